"""Who leads, and from when to when."""

from __future__ import annotations

from typing import Any

import pytest

from penstock.engine.leader import Leader
from penstock.errors import StoreUnavailable
from penstock.observe.signals import Signals
from tests.unit.engine.scripted import ties


class Leases:
    """Answers with what stands in `answers`; notes whether the leader led while it asked."""

    def __init__(self, *answers: bool | Exception) -> None:
        self.answers = list(answers)
        self.led: list[bool] = []
        self.leader: Leader

    async def lead(self, role: str, incarnation: int, lease: int) -> bool:
        self.led.append(self.leader.leading)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def leader_of(*answers: bool | Exception) -> tuple[Leader, Leases]:
    leases: Any = Leases(*answers)
    leases.leader = Leader(leases, 1, 15, ties(Signals()))
    return leases.leader, leases


async def test_it_leads_while_it_renews() -> None:
    leader, leases = leader_of(True, True, False, True)
    for _ in range(4):
        await leader.tick()
    assert leases.led == [False, True, True, False]


async def test_who_cannot_renew_leads_no_more() -> None:
    leader, _ = leader_of(True, StoreUnavailable("busy"))
    await leader.tick()
    with pytest.raises(StoreUnavailable):
        await leader.tick()
    assert not leader.leading


async def test_all_are_told_of_each_election() -> None:
    leader, _ = leader_of(False, True, True, False, True)
    told: list[str] = []
    leader.when_elected(lambda: told.append("one"))
    leader.when_elected(lambda: told.append("two"))
    counts = []
    for _ in range(5):
        await leader.tick()
        counts.append(len(told))
    assert counts == [0, 2, 2, 2, 4]
    assert set(told) == {"one", "two"}
