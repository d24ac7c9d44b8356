"""Whom the demo kills, and when."""

from random import Random

from penstock.cli.demo.killer import aimed_at, plan_kills
from penstock.cli.demo.roles import sorted_out
from penstock.model.job import WorkerView


def test_ten_kills_have_feeders_and_schedulers_among_them() -> None:
    aims = [planned.aim for planned in plan_kills(10, 60.0, Random(7))]
    assert len(aims) == 10
    assert (aims.count("feeder"), aims.count("scheduler")) == (2, 2)


def test_each_kill_has_a_slice_of_the_run() -> None:
    moments = [planned.at for planned in plan_kills(4, 10.0, Random(7))]
    assert all(1.0 + 2.0 * number <= at < 3.0 + 2.0 * number for number, at in enumerate(moments))


def test_roles_are_read_from_the_leases() -> None:
    leases = [("feed:demo.inventory", 1), ("feed:demo.shipping", 1), ("maintenance", 1), ("feed:demo.directory", 2), ("other", 3)]
    assert sorted_out(leases) == {1: {"feeder", "scheduler"}, 2: {"feeder"}}


def test_an_aim_leaves_out_who_has_another_role() -> None:
    alive, held = [worker(1), worker(2)], sorted_out([("feed:demo.inventory", 1), ("maintenance", 3)])
    assert aimed_at(alive, held, None) == alive
    assert aimed_at(alive, held, "feeder") == [alive[0]]
    assert aimed_at(alive, held, "scheduler") == [], "its holder is dead, and nobody has taken over yet"


def worker(incarnation: int) -> WorkerView:
    return WorkerView(incarnation, "w", "demo", 1, "here", started=0, beat=0, running=0, queues=(), tasks=())
