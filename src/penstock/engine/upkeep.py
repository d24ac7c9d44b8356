"""What a worker does for the store and for others: rescue, leadership, housekeeping, the calendar."""

from __future__ import annotations

from collections.abc import Callable

from penstock.engine.beat import Beat, Vitals
from penstock.engine.duty import Duty
from penstock.engine.leader import Leader
from penstock.engine.pruner import Pruner
from penstock.engine.rescuer import Rescuer
from penstock.engine.scheduler import Scheduler
from penstock.engine.supervisor import Supervisor


def upkeep(duty: Duty, beat: Beat, vitals: Vitals, rescued: Callable[[], None]) -> Supervisor:
    """`rescued` is called when messages of a dead worker were freed."""
    leases, lease = duty.store.leases, vitals.lease
    rescuer = Rescuer(leases, duty.incarnation, beat, vitals, duty.ties)
    rescuer.rescued = rescued
    leader = Leader(leases, duty.incarnation, lease, duty.ties)
    pruner = Pruner((duty.store.queue, duty.store.log), leader, duty.ties)
    scheduler = Scheduler(duty.store.schedules, duty.store.clock, leader, duty.ties)
    return Supervisor([rescuer, leader, pruner, scheduler])
