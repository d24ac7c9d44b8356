"""The feeders of a worker: one for each subscription of its program that it serves."""

from __future__ import annotations

from penstock.engine.duty import Duty
from penstock.engine.feeder import Feeder
from penstock.engine.supervisor import Supervisor


def feeding(duty: Duty) -> Supervisor:
    """Wake it when the store has news."""
    store = (duty.store.log, duty.store.leases)
    served = {queue for queue, _ in duty.queues}
    names = [each.name for each in duty.program.subscriptions if each.name in served]
    return Supervisor([Feeder(store, name, duty.incarnation, duty.options.lease, duty.ties) for name in names])
