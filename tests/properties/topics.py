"""Topics and subscriptions as lists: what a log has to keep, and what is to be fed of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from penstock.model.clock import SECOND
from penstock.model.log import Append, Event, Fed, Recorded, SubscriptionSpec, TopicSpec
from tests.properties.line import Entry

DAY = 24 * 3_600 * SECOND
"""Chosen ids are known for so long, whatever the retention."""


@dataclass
class Fact:
    """An event, and what the model knows of it. Its position is the store's to choose: told by the first look."""

    event: Event
    at: int
    version: int | None = None
    position: int | None = None

    def is_as(self, found: Recorded) -> bool:
        event = self.event
        same = (found.id, found.type, found.body, found.key) == (event.id, event.type, event.body, event.key)
        return same and (found.at, found.version) == (self.at, self.version) and self.position in (None, found.position)


class Topic:
    def __init__(self, spec: TopicSpec) -> None:
        self.spec = spec
        self.facts: list[Fact] = []
        """Also those that are forgotten: the first `gone`."""
        self.gone = 0
        self.commands: dict[tuple[str, str], tuple[int, int]] = {}
        """By key and chosen id: how many events, and the version that they came to."""

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def kept(self) -> Sequence[Fact]:
        return self.facts[self.gone :]

    @property
    def head(self) -> int:
        return len(self.facts)

    def publish(self, events: Sequence[Event], now: int) -> list[bool]:
        """Which of them are new."""
        return [self._publish(event, now) for event in events]

    def _publish(self, event: Event, now: int) -> bool:
        if event.given and any(fact.event.id == event.id for fact in self.kept):
            return False
        self.facts.append(Fact(event, now))
        return True

    def history(self, key: str) -> list[Fact]:
        return [fact for fact in self.facts if fact.event.key == key]

    def append(self, append: Append, now: int) -> int | str:
        """The new version, or why not."""
        version, size = len(self.history(append.key)), len(append.events)
        if append.given is not None and (before := self.commands.get((append.key, append.given))):
            return before[1] if before[0] == size else "reused"
        if append.expected not in (None, version):
            return "conflict"
        for event in append.events:
            version += 1
            self.facts.append(Fact(replace(event, key=append.key), now, version))
        if append.given is not None:
            self.commands[append.key, append.given] = size, version
        return version

    def after(self, position: int) -> list[Fact]:
        return [fact for fact in self.kept if (fact.position or 0) > position]

    def last_to_go(self, limit: int, now: int, read: int) -> int:
        """How many have gone after a trim; the first `read` of all have been fed to everybody."""
        last = self.gone
        for number, fact in enumerate(self.kept[:limit], self.gone):
            age = now - fact.at
            if fact.event.given and age < DAY:
                break
            old = self.spec.retention is not None and age > self.spec.retention and number < read
            if not old and not (self.spec.retention_max is not None and age > self.spec.retention_max):
                break
            last = number + 1
        return last


@dataclass
class Reader:
    """A subscription. `at`: how many facts of its topic it has passed, those that are forgotten included."""

    spec: SubscriptionSpec
    topic: Topic
    at: int
    generation: int
    missed: int = 0

    def feed(self, limit: int) -> tuple[Fed, list[Fact]]:
        facts = self.topic.facts[self.at : self.at + limit]
        self.at += len(facts)
        wanted = [fact for fact in facts if self.spec.types is None or fact.event.type in self.spec.types]
        return Fed(len(wanted), self.at < self.topic.head), wanted

    def name_of(self, fact: Fact, known: dict[str, Entry]) -> str:
        """Of the message that is made of an event. A chosen id that was forgotten and came again has its position, too."""
        name = f"{fact.event.id}@{self.spec.name}" + (f"#{self.generation}" if self.generation else "")
        return f"{name}#{fact.position}" if fact.event.given and name in known else name

    def seek(self, position: int) -> None:
        self.generation += 1
        passed = [fact for fact in self.topic.facts if (fact.position or 0) <= position]
        self.at = max(self.topic.gone, len(passed))

    def skip(self, gone: int) -> None:
        if self.at < gone:
            self.missed += gone - self.at
            self.at = gone
