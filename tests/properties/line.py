"""One queue as a dictionary: what a store has to do with its messages, whoever claims and ends them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from penstock.model.delivery import FATAL_DEATHS, SUSPECT_DEATHS, Delivery
from penstock.model.outcome import Dead, Done, Failed, Outcome, Snoozed
from tests.properties.machines import agree


@dataclass
class Entry:
    """What the model knows of one message. `state`: open, running, done, dead, cancelled or expired."""

    name: str
    key: str | None
    task: str
    body: bytes
    type: str | None = None
    due: int | None = None
    expires: int | None = None
    state: str = "open"
    failures: int = 0
    deaths: int = 0
    begun: bool = False
    """Something came of it: it failed, was snoozed, or its worker died. Not if it was only given back."""
    holds: bool = False
    """It failed or was snoozed: its key waits for it."""
    keeps: bool = False
    """It is dead, and its key waits until it is replayed or discarded."""
    stop: bool = False
    """Its cancellation is requested."""

    def is_due(self, now: int) -> bool:
        return self.due is None or self.due <= now

    def is_late(self, now: int) -> bool:
        return self.expires is not None and self.expires <= now


class Line:
    def __init__(self, name: str, *, hold: bool = False) -> None:
        self.name = name
        self.hold = hold
        """A death keeps its key."""
        self.entries: dict[str, Entry] = {}
        self.order: list[Entry] = []
        """In the order of their places."""

    def add(self, entry: Entry) -> None:
        assert entry.name not in self.entries
        self.entries[entry.name] = entry
        self.order.append(entry)

    @property
    def states(self) -> dict[str, str]:
        return {name: entry.state for name, entry in self.entries.items()}

    # -- claims ------------------------------------------------------------------------------------

    def begin(self, run: Sequence[Delivery], tasks: Collection[str], now: int, *, alone: bool) -> None:
        agree(
            [delivery.job_id for delivery in run if delivery.job_id not in self.entries], [], f"what came out of {self.name} from nowhere"
        )
        entries = [self.entries[delivery.job_id] for delivery in run]
        for delivery, entry in zip(run, entries, strict=True):
            own = (delivery.queue, delivery.task, delivery.key, delivery.body, delivery.type)
            agree(own, (self.name, entry.task, entry.key, entry.body, entry.type), f"what is claimed as {entry.name}")
            agree((delivery.attempt, delivery.deaths), (entry.failures + 1, entry.deaths), f"attempt and deaths of {entry.name}")
            agree(entry.state, "open", f"the state of {entry.name}, which is claimed")
            assert entry.task in tasks, f"{entry.name} came to a worker that does not know its task"
            assert entry.is_due(now), f"{entry.name} came too early"
            assert not entry.is_late(now), f"{entry.name} came too late"
        if any(delivery.suspect for delivery in run):
            assert alone and len(run) == 1, f"the suspect {run[0].job_id} did not come alone"
        if (key := run[0].key) is not None:
            waiting = self.waiting(key, now)
            assert waiting is not None, f"{run[0].job_id} came, and its key {key} was not free"
            agree([entry.name for entry in entries], [entry.name for entry in waiting[: len(run)]], f"the run of key {key}")
        for entry in entries:
            entry.state, entry.holds = "running", False

    def waiting(self, key: str, now: int) -> list[Entry] | None:
        """What of a key may run, in its order; None if the key is busy, or waits for a retry or an operator."""
        of_key = [entry for entry in self.order if entry.key == key]
        if any(entry.state == "running" or entry.keeps for entry in of_key):
            return None
        if any(entry.state == "open" and entry.holds and not entry.is_due(now) for entry in of_key):
            return None
        return [entry for entry in of_key if entry.state == "open" and entry.is_due(now)]

    def could_run(self, tasks: Collection[str], now: int) -> list[str]:
        """What a claim by who knows these tasks would find, suspects apart."""
        keys = sorted({entry.key for entry in self.order if entry.key is not None})
        firsts = [entry for key in keys for entry in (self.waiting(key, now) or [])[:1]]
        loose = [entry for entry in self.order if entry.key is None and entry.state == "open" and entry.is_due(now)]
        return [entry.name for entry in [*firsts, *loose] if entry.task in tasks and entry.deaths < SUSPECT_DEATHS]

    # -- ends --------------------------------------------------------------------------------------

    def end(self, delivery: Delivery, outcome: Outcome) -> None:
        entry = self.entries[delivery.job_id]
        match outcome:
            case Done():
                entry.state = "done"
            case Dead():
                self._bury(entry)
            case _ if entry.stop:
                entry.state = "cancelled"
            case Failed() | Snoozed():
                entry.state, entry.due, entry.holds, entry.begun = "open", outcome.due, True, True
                entry.failures += isinstance(outcome, Failed)
            case _:
                entry.state = "open"
        entry.stop = False

    def lose(self, delivery: Delivery) -> None:
        """Its worker died."""
        entry = self.entries[delivery.job_id]
        entry.deaths, entry.begun = entry.deaths + 1, True
        if entry.stop:
            entry.state, entry.stop = "cancelled", False
        elif entry.deaths >= FATAL_DEATHS:
            self._bury(entry)
        else:
            entry.state = "open"

    def _bury(self, entry: Entry) -> None:
        entry.state, entry.begun, entry.keeps = "dead", True, self.hold and entry.key is not None

    # -- what comes from outside ---------------------------------------------------------------------

    def cancel(self, entry: Entry) -> str:
        if entry.state == "open":
            entry.state = "cancelled"
            return "cancelled"
        entry.stop = entry.state == "running"
        return "requested" if entry.stop else "ended"

    def of_state(self, state: str) -> list[Entry]:
        return [entry for entry in self.order if entry.state == state]

    def late(self, now: int) -> list[Entry]:
        return [entry for entry in self.of_state("open") if entry.is_late(now)]

    def postponed(self, now: int) -> list[Entry]:
        return [entry for entry in self.of_state("open") if not entry.is_due(now)]

    def replay(self, names: Collection[str], now: int) -> tuple[list[str], list[str]]:
        """What was postponed, and what was dead: that goes to the end, in its old order, unless it keeps its key."""
        early = [entry for entry in self.postponed(now) if entry.name in names]
        letters = [entry for entry in self.of_state("dead") if entry.name in names]
        for entry in early:
            entry.due = now
        for entry in letters:
            if not entry.keeps:
                self.order.remove(entry)
                self.order.append(entry)
            entry.state, entry.failures, entry.deaths = "open", 0, 0
            entry.due, entry.expires, entry.holds, entry.keeps = None, None, False, False
        return [entry.name for entry in early], [entry.name for entry in letters]

    def discard(self, names: Collection[str]) -> list[str]:
        gone = [entry for entry in self.of_state("dead") if entry.name in names]
        for entry in gone:
            entry.state, entry.keeps = "cancelled", False
        return [entry.name for entry in gone]

    def drop_unbegun(self) -> int:
        """As a seek does."""
        gone = [entry for entry in self.of_state("open") if not entry.begun]
        for entry in gone:
            self.order.remove(entry)
            del self.entries[entry.name]
        return len(gone)
