"""Work to be done once."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Protocol

from msgspec import Struct

from penstock.model.delivery import Delivery, Settlement
from penstock.model.job import Cancelled
from penstock.model.message import Message, Placed


class Claim(Struct, frozen=True):
    """What a worker asks for: queue by queue, not atomic across them."""

    owner: int
    """The incarnation that will hold the messages."""
    queues: Sequence[tuple[str, int]]
    """Queue and how many at the most, in the order to look. Due messages are promoted first."""
    tasks: frozenset[str]
    """What this process knows. Anything else that is met goes aside for a worker that knows it, uncounted."""
    suspects: Sequence[str] = ()
    """This process holds nothing: it may take one suspect, before anything else, and then gets nothing but it. Where to look for it,
    in this order: in all queues that are served, though `queues` may name only some. Who looked into some only would seldom find it,
    since to hold nothing is rare. Empty: none is wanted."""
    slots: float = math.inf
    """What can start at once. Of a queue with limits a claim takes no more than that."""
    batches: Mapping[str, int] = {}
    """Tasks that take so many messages for one slot. Of a key they get one message at a time."""
    claimed: int = 0
    """µs: when it is made, and later than any claim of this worker's before, for stores that may undo one. 0: the store's time."""


class Claimed(Struct, frozen=True):
    """What a claim got, and when it is worth asking again."""

    runs: Sequence[Sequence[Delivery]]
    """Each run is executed one after the other by one worker; without a key a run is one message."""
    more: bool
    """Something that could run was left."""
    next_due: int | None
    """µs: when the next delayed message of these queues is due, or a rate lets the next one start."""
    suspects: bool
    """A suspect waits in `Claim.queues` for a process that holds nothing else, or came. One that a rate keeps back for
    more than about 2 s does not, nor one behind a limit that others fill: to hold nothing would be in vain."""
    starved: Sequence[str] = ()
    """Queues with limits, of which more could start if this process had a slot free. What their limits keep back is not `more`: the
    settle that lets it start rings."""


class Queue(Protocol):
    """All verbs are durable as `DESIGN.md` §6 says when they return; the store's clock gives the time.

    Order of messages of one key is the order in which their puts committed. A key is busy from the claim of a run to the
    settling of its last message; `Failed` and `Snoozed` keep their message's place, and the key waits for it.

    Limits of a queue (`Enrolment.limits`, or an operator's) hold over all workers: `concurrency` counts what is leased, `rate` what a
    claim leases, retries and what was released included. Then a run is one message.
    """

    async def put(self, messages: Sequence[Message]) -> list[Placed]:
        """Keep all of them or none. Durable when it returns. Raises StoreError; PublishUnknown if the reply was lost."""
        ...

    async def claim(self, ask: Claim) -> Claimed:
        """Lease messages to `ask.owner`. Expired ones met are ended. Raises LeaseLost if the owner is not enrolled."""
        ...

    async def settle(self, owner: int, settlements: Sequence[Settlement]) -> list[int]:
        """Write the ends; fenced. Returns the seqs that `owner` did not hold any more: for them nothing was written.

        `Released` and `Failed` of a message whose cancellation was requested end it as cancelled. `Dead` writes the dead
        letter and, where the task has an `on_dead` hook, enqueues it, in the same transaction.
        """
        ...

    async def cancel(self, job_id: str) -> Cancelled:
        """Raises NotFound."""
        ...

    async def cancellations(self, owner: int) -> list[int]:
        """Seqs held by `owner` whose cancellation is requested."""
        ...

    async def replay(self, ids: Sequence[str]) -> list[str]:
        """Move dead letters back to their queues, at the end of their keys, attempts 0; what is delayed or waits for a retry
        becomes due now, in its place. Returns the ids that moved."""
        ...

    async def discard(self, ids: Sequence[str]) -> list[str]:
        """Remove dead letters for good. Returns the ids removed."""
        ...

    async def expire(self, limit: int) -> int:
        """End up to `limit` waiting messages whose time has passed. Returns how many."""
        ...

    async def prune(self, limit: int, *, age: int, keep: int) -> int:
        """Forget up to `limit` ended jobs older than `age` µs or beyond `keep` in their queue. Ids given by a caller
        stay `age` whatever `keep` says. Returns how many went."""
        ...
