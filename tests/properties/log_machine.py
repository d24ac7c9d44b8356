"""Lists against the store: topics that are published and appended to, and subscriptions that are fed, sought, dropped and trimmed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule
from msgspec.structs import replace

from penstock.errors import ConfigurationError, NotFound, VersionConflict
from penstock.model.clock import SECOND
from penstock.model.delivery import Delivery, Settlement
from penstock.model.log import Append, Event, Recorded, Span, Start, SubscriptionSpec, TopicSpec
from penstock.model.message import Placed
from penstock.model.outcome import Done
from penstock.ports.log import Log
from penstock.ports.transaction import OpenTransaction
from penstock.testing.conformance.ground import ALL
from penstock.testing.conformance.readers import ACCOUNTS, ORDERS, event, subscription
from penstock.testing.conformance.worker import Worker
from tests.properties.crew import END, LINE, NUMBER, WORKER, CrewMachine, Verb
from tests.properties.line import Entry
from tests.properties.machines import agree, pick
from tests.properties.topics import Fact, Reader, Topic

BRIEF = TopicSpec("brief", retention=20 * SECOND, retention_max=60 * SECOND)
SPECS = (
    subscription("all", ORDERS),
    subscription("some", ORDERS, types=["Placed"], hold=True),
    subscription("short", BRIEF),
    subscription("ledger", ACCOUNTS, hold=True),
)
NAMES = tuple(spec.name for spec in SPECS)
BEYOND = 1 << 39
KEYS = st.sampled_from(["a", "a", "b", None])
TYPES = st.sampled_from(["Placed", "Placed", "Paid"])
GIVEN = st.sampled_from([None, None, None, "x", "y"])
EXPECTED = st.sampled_from(["any", "right", "right", "lower", "higher"])


class LogMachine(CrewMachine):
    queues = NAMES
    known = (NAMES, NAMES[:1], NAMES)

    async def set_up(self) -> None:
        await super().set_up()
        self.topics = {spec.name: Topic(spec) for spec in (ORDERS, BRIEF, ACCOUNTS)}
        self.readers: dict[str, Reader] = {}
        self.generations = dict.fromkeys(NAMES, 0)
        self.count = 0
        await self.log.declare([], [ORDERS, BRIEF, ACCOUNTS])
        for spec in SPECS[:3]:
            await self.register(spec)

    # -- facts -------------------------------------------------------------------------------------

    @rule(topic=st.sampled_from(["orders", "orders", "brief"]), wanted=st.lists(st.tuples(KEYS, TYPES, GIVEN), min_size=1, max_size=4))
    def publish(self, topic: str, wanted: list[tuple[str | None, str, str | None]]) -> None:
        events = [self.event(*each) for each in wanted]
        placed = self.run(self.log.publish(self.topics[topic].spec, events))
        created = self.topics[topic].publish(events, self.now)
        agree(placed, [Placed(each.id, new) for each, new in zip(events, created, strict=True)], f"what was published to {topic}")

    publish_often = publish_more = publish

    @rule(key=st.sampled_from(["a", "b"]), count=st.integers(1, 3), expected=EXPECTED, given=GIVEN)
    def append(self, key: str, count: int, expected: str, given: str | None) -> None:
        append = self.an_append(key, count, expected, given)
        found = self.run(said(self.log.append(append)))
        agree(found, self.topics["accounts"].append(append, self.now), f"an append to {key}, version {append.expected} expected")

    @rule(kind=TYPES, key=st.sampled_from(["a", "b"]), expected=EXPECTED, given=GIVEN, end=st.sampled_from(["commit", "roll back"]))
    def in_a_transaction(self, kind: str, key: str, expected: str, given: str | None, end: str) -> None:
        """An append that is refused leaves it as it was."""
        published, append = self.event(key, kind, given), self.an_append(key, 2, expected, given)
        found = self.run(self.carry_out(published, append, end))
        if end == "commit":
            agree(found, self.topics["accounts"].append(append, self.now), f"an append to {key} in a transaction")
            self.topics["orders"].publish([published], self.now)

    async def carry_out(self, published: Event, append: Append, end: str) -> int | str:
        tx: OpenTransaction = self.ground.store.transaction()
        await tx.publish(ORDERS, [published])
        found = await said(tx.append(append))
        await (tx.commit() if end == "commit" else tx.rollback())
        return found

    async def commit(self, worker: Worker, delivery: Delivery) -> None:
        """Another event of the same key."""
        follows = self.event(delivery.key, "Paid", None)
        tx = worker.store.transaction()
        await tx.publish(ORDERS, [follows])
        await tx.commit((worker.incarnation, [Settlement(delivery, Done())]))
        self.topics["orders"].publish([follows], self.now)

    async def write(self, tx: OpenTransaction) -> None:
        await tx.publish(ORDERS, [event("never committed", "a")])
        await tx.append(Append(ACCOUNTS, "a", [event("nor this")], None))

    def repeatable(self) -> Verb:
        self.count += 1
        published = self.event("a", "Placed", f"once-{self.count}")
        self.topics["orders"].publish([published], self.now)
        return lambda store: store.log.publish(ORDERS, [published])

    @rule(limit=st.sampled_from([1, 3, 1_000]))
    def trim(self, limit: int) -> None:
        brief = self.topics["brief"]
        own = [reader for reader in self.readers.values() if reader.topic is brief]
        last = brief.last_to_go(limit, self.now, min((reader.at for reader in own), default=brief.head))
        agree(self.run(self.log.trim(limit)), last - brief.gone, "how many events went")
        brief.gone = last
        for reader in own:
            reader.skip(last)

    @rule(count=st.integers(1, 3), seconds=st.sampled_from([25, 70]))
    def grow_old(self, count: int, seconds: int) -> None:
        """Older than what is kept, read or not."""
        self.publish("brief", [(None, "Placed", None)] * count)
        self.advance(seconds)
        self.trim(1_000)

    @rule(seconds=st.sampled_from([1, 4, 25, 70, 25 * 3_600]))
    def advance(self, seconds: int) -> None:
        self.ground.advance(seconds)

    # -- subscriptions -------------------------------------------------------------------------------

    @rule(at=LINE, start=st.sampled_from(["beginning", "now"]))
    def declare(self, at: int, start: Start) -> None:
        self.run(self.register(replace(pick(SPECS, at), start=start)))

    async def register(self, spec: SubscriptionSpec) -> None:
        await self.log.declare([spec])
        topic = self.topics[spec.topic.name]
        at = topic.gone if spec.start == "beginning" else topic.head
        self.readers.setdefault(spec.name, Reader(spec, topic, at, self.generations[spec.name]))
        self.lines[spec.name].hold = spec.hold

    @rule(at=LINE, limit=st.sampled_from([1, 2, 1_000, 1_000]))
    def feed(self, at: int, limit: int) -> None:
        name = pick(NAMES, at)
        found = self.run(said(self.log.feed(name, limit)))
        if (reader := self.readers.get(name)) is None:
            agree(found, "not found", f"a feed of {name}")
            return
        fed, facts = reader.feed(limit)
        agree(found, fed, f"a feed of {name}")
        self.take_in(reader, facts)

    @rule(which=WORKER, at=LINE, ends=st.lists(END, max_size=3))
    def feed_and_claim(self, which: int, at: int, ends: list[str]) -> None:
        self.feed(at, 1_000)
        self.claim(which, at, 5, ends)

    feed_often = feed
    feed_and_claim_often = feed_and_claim_more = feed_and_claim

    @rule(at=LINE, where=st.sampled_from(["beginning", "end", "between"]), number=NUMBER)
    def seek(self, at: int, where: str, number: int) -> None:
        name = pick(NAMES, at)
        reader = self.readers.get(name)
        position = {"beginning": 0, "end": BEYOND}.get(where) or (self.place(reader.topic, number) if reader else 0)
        found = self.run(said(self.log.seek(name, position)))
        if reader is None:
            agree(found, "not found", f"a seek of {name}")
            return
        reader.seek(position)
        agree(found, self.lines[name].drop_unbegun(), f"what a seek of {name} dropped")

    @rule(at=LINE)
    def drop(self, at: int) -> None:
        name = pick(NAMES, at)
        found = self.run(said(self.log.drop(name)))
        if (reader := self.readers.pop(name, None)) is None:
            agree(found, "not found", f"to drop {name}")
            return
        agree(found, self.lines[name].drop_unbegun(), f"what went with {name}")
        self.generations[name] = reader.generation + 1
        self.lines[name].hold = False

    # -- reading -------------------------------------------------------------------------------------

    @rule(topic=st.sampled_from(["orders", "brief", "accounts"]), number=NUMBER, limit=st.integers(1, 5))
    def read(self, topic: str, number: int, limit: int) -> None:
        own = self.topics[topic]
        position, moment = self.place(own, number), self.now - number * SECOND
        self.compare(own.after(position)[:limit], self.run(self.log.read(topic, position, limit)), f"{topic} behind {position}")
        self.compare(own.kept[-limit:], self.run(self.ground.store.inspect.newest(topic, limit)), f"the newest of {topic}")
        later = own.after(self.run(self.ground.store.inspect.position_at(topic, moment)))
        agree([fact.event.id for fact in later], [fact.event.id for fact in own.kept if fact.at >= moment], f"{topic} since {moment}")

    @rule(
        key=st.sampled_from(["a", "b"]), first=st.integers(1, 4), length=st.integers(0, 4), backward=st.booleans(), limit=st.integers(1, 4)
    )
    def read_key(self, key: str, first: int, length: int, backward: bool, limit: int) -> None:
        history = self.topics["accounts"].history(key)
        span = Span(first, first + length, backward=backward, limit=limit)
        part = history[first - 1 : first + length][:: -1 if backward else 1][:limit]
        self.compare(part, self.run(self.log.read_key("accounts", key, span)), f"{key}, {span}")
        whole = self.run(self.log.read_key("accounts", key, Span()))
        agree([each.version for each in whole], [n + 1 for n in range(len(history))], f"the versions of {key}")

    # -- what must always be so ----------------------------------------------------------------------

    @invariant()
    def topics_are_as_their_models(self) -> None:
        views = {view.name: view for view in self.run(self.ground.store.inspect.topics())}
        for name, topic in self.topics.items():
            found = self.run(self.log.read(name, 0, ALL))
            self.compare(topic.kept, found, f"topic {name}")
            positions = [each.position for each in found]
            agree(positions, sorted(set(positions)), f"the positions of {name}, in their order")
            for fact, each in zip(topic.kept, found, strict=True):
                fact.position = each.position
            view = views[name]
            agree(view.events, len(topic.kept), f"how many events {name} has")
            if topic.kept:
                ends = (topic.kept[0].position, topic.kept[-1].position, topic.kept[-1].at)
                agree((view.first, view.head, view.newest), ends, f"the ends of {name}")

    @invariant()
    def subscriptions_are_as_their_models(self) -> None:
        found = {view.name: view for view in self.run(self.ground.store.inspect.subscriptions())}
        shown = {name: (v.generation, v.unfed, v.oldest, v.missed, v.hold, v.types) for name, v in found.items()}
        model: dict[str, Any] = {}
        for name, reader in self.readers.items():
            unfed = reader.topic.facts[reader.at :]
            oldest = unfed[0].at if unfed else None
            model[name] = reader.generation, len(unfed), oldest, reader.missed, reader.spec.hold, reader.spec.types
        agree(shown, model, "subscriptions")

    async def finish(self) -> None:
        """All that is left is fed and handled: what every subscription that is there now has not passed, and what was dead."""
        for name, reader in self.readers.items():
            await self.log.feed(name, ALL)
            self.take_in(reader, reader.feed(ALL)[1])
        for line in self.lines.values():
            names = [entry.name for entry in line.of_state("dead")]
            await self.ground.queue.replay(names)
            line.replay(names, self.now)
        await super().finish()

    # -- the model -----------------------------------------------------------------------------------

    @property
    def log(self) -> Log:
        return self.ground.store.log

    def take_in(self, reader: Reader, facts: list[Fact]) -> None:
        """What it was fed."""
        line = self.lines[reader.spec.name]
        for fact in facts:
            own = fact.event
            line.add(Entry(reader.name_of(fact, line.entries), own.key, line.name, own.body, own.type))

    def event(self, key: str | None, kind: str, given: str | None) -> Event:
        self.count += 1
        return event(given or f"e{self.count:03}", key, type=kind, given=given is not None)

    def an_append(self, key: str, count: int, expected: str, given: str | None) -> Append:
        version = len(self.topics["accounts"].history(key))
        versions = {"any": None, "right": version, "lower": version - 1 if version else 2, "higher": version + 1}
        plan = Append(ACCOUNTS, key, (), versions[expected], given)
        names = [given and plan.id_of(n) for n in range(1, count + 1)]
        return replace(plan, events=[self.event(None, "Paid", name) for name in names])

    def place(self, topic: Topic, number: int) -> int:
        return (pick(topic.facts, number).position or 0) if topic.facts else 0

    def compare(self, facts: Sequence[Fact], found: Sequence[Recorded], what: str) -> None:
        same = len(facts) == len(found) and all(fact.is_as(each) for fact, each in zip(facts, found, strict=True))
        assert same, f"{what}: the store has {found!r}, the model {facts!r}"


async def said(work: Any) -> Any:
    """What a verb of the log returns; the word for what it raises."""
    try:
        return await work
    except VersionConflict:
        return "conflict"
    except NotFound:
        return "not found"
    except ConfigurationError as error:
        assert "was used there for another number of events" in str(error), str(error)
        return "reused"
