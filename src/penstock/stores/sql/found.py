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

    def sort(self, shares: Sequence[Share]) -> None:
        """What these gave, which was all of one queue and came last, in the order of its places."""
        if sum(bool(share.runs) for share in shares) > 1:
            runs = [(place, run) for share in shares for place, run in zip(share.places, share.runs, strict=True)]
            self.runs[-len(runs) :] = [run for _, run in sorted(runs, key=lambda each: each[0])]

    def note_due(self, due: int | None) -> None:
        if due is not None:
            self.due = due if self.due is None else min(self.due, due)

    def claimed(self, ask: Claim) -> Claimed:
        more = self.more or (bool(ask.suspects) and self.suspects and not self.runs)  # set apart just now: this worker could have had it
        return Claimed(self.runs, more, self.due, self.suspects, self.starved)
