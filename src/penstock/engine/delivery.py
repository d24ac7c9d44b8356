"""The life of a delivery.

The claimer leases messages to this worker's incarnation and the runner starts one task for each run: usually one delivery,
else some of one key, one after the other. Here a run is carried from its first step to the settler; `batch.py` is for batches.

Who settles?    The settler, in batches, fenced by the incarnation: for what is another's by now nothing is written. A handler
                with `tx` settles itself: the fenced settle is the last statement of its own transaction, so its rows, its
                messages and its acknowledgement commit together or not at all; that is `Committed`, and there is nothing to add.
Where does a retry wait?  In the store, due at `Failed.due`, holding its place in its key. Nothing waits here, so no crash
                forgets a retry. `Snoozed` waits there too, uncounted. `Released` goes back at once, uncounted.
What ends it?   `Done`, `Dead` (in the dead letters with its history), or a cancellation: `Released` to us, and the store ends it
                because the request stands there. After these the run goes on, but not after a `Dead` that holds its key; after that and
                after a failure the rest of it is released, since the failed one keeps its place before them.
What does poison do?  Undecodable, rejected, out of attempts: `Dead`. If it kills the worker, each rescue counts a death; with two
                it runs alone (`Claimer`), so the third names the killer and the store writes the dead letter.
What does stopping do?  SIGTERM: nothing is claimed or begun any more, and what runs may end within `shutdown_timeout`; then it is
                cancelled and released. A second SIGTERM: cancelled and released now. Neither counts as an attempt. A handler
                that does not end is abandoned: released, and whatever it comes to later is dropped or refused by the fence.
What does a timeout do?  `Deadlines` cancels the coroutine: a failed attempt, `TimeoutError`. A thread is only told.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from penstock.engine.running import Running
from penstock.engine.stages.kit import Kit
from penstock.model.delivery import Delivery
from penstock.model.outcome import Committed, Dead, Done, Outcome, Released
from penstock.ports.handler import Next

RELEASED = Released()


class Courier:
    """Carries runs. `free` is called when one has ended and its slot is free."""

    def __init__(self, chains: Mapping[str, Next], kit: Kit, holding: frozenset[str]) -> None:
        """`holding`: the tasks of which a dead letter keeps its key."""
        self.free: Callable[[], None] = lambda: None
        self._chains = chains
        self._holding = holding
        self._clock = kit.store.clock
        self._table = kit.table
        self._settler = kit.settler
        self._hooks = kit.hooks

    async def carry(self, running: Running) -> None:
        """The whole life of a run, in a task of its own."""
        table, settler = self._table, self._settler
        carried = 0
        try:
            for delivery in running.run:
                # A crash up to here costs nothing but the lease: the message is rescued with one death more, and runs again.
                if table.get(delivery.seq) is not None and not await table.outlive(delivery):  # this claim was undone
                    break
                if delivery.expires is not None and delivery.expires <= self._clock.now():  # the next claim ends it
                    break
                if not table.begin(running, delivery):  # the worker stops, or somebody cancelled it
                    break
                run = self._chains.get(delivery.task, unknown)  # middleware around tx around the handler; never raises
                try:
                    outcome = await run(delivery)
                except BaseException:  # the process ends, by KeyboardInterrupt
                    table.end(running, delivery, RELEASED)
                    raise
                # A crash here: the handler's effects outside its `tx` happened, and will happen again. At least once.
                if not table.end(running, delivery, outcome) or running.reason == "lost":  # it was released, or is another's
                    carried = len(running.run)
                    return
                if not isinstance(outcome, Committed):  # else it is in its own transaction: no crash can undo it or do it twice
                    settler.add(delivery, outcome)  # a crash before its batch is written: as above
                carried += 1
                ended = not goes_on(outcome, delivery.task in self._holding)
                if ended:  # in the same batch: the failed one keeps its place before them
                    self._release(running, carried)
                    carried = len(running.run)
                if (error := running.take_error()) is not None:
                    await self._hooks.report(delivery, error)
                if ended:
                    return
        finally:
            self._release(running, carried)
            self.free()

    def _release(self, running: Running, carried: int) -> None:
        for delivery in running.run[carried:]:
            self._settler.add(delivery, RELEASED)


def goes_on(outcome: Outcome, holds: bool) -> bool:
    """Whether the next one of the key may run. `holds`: a dead letter keeps its key until somebody replays or discards it."""
    return isinstance(outcome, Done | Committed) or (isinstance(outcome, Dead) and not holds)


async def unknown(delivery: Delivery) -> Outcome:
    """A claim asks only for what this process knows; should another come, it is for a worker that knows it."""
    return RELEASED
