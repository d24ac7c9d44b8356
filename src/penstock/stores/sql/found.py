"""What the queues that a claim looked into gave, and when it is worth asking again."""

from __future__ import annotations

from collections.abc import Sequence

from penstock.model.delivery import Delivery
from penstock.ports.queue import Claim, Claimed
from penstock.stores.sql.share import Share


class Found:
    def __init__(self, slots: float) -> None:
        self.slots = slots
        self.runs: list[Sequence[Delivery]] = []
        self.more = False
        self.suspects = False
        self.due: int | None = None
        self.starved: list[str] = []

    def add(self, share: Share) -> None:
        self.runs += share.runs
        self.slots -= share.taken
        if not share.more:
            return
        match share.kept_back:
            case None:
                self.more = True
            case "slots":
                self.starved.append(share.queue)
            case "limit":
                self.note_due(share.opens_at)

    def note_due(self, due: int | None) -> None:
        if due is not None:
            self.due = due if self.due is None else min(self.due, due)

    def claimed(self, ask: Claim) -> Claimed:
        more = self.more or (bool(ask.suspects) and self.suspects and not self.runs)  # set apart just now: this worker could have had it
        return Claimed(self.runs, more, self.due, self.suspects, self.starved)
