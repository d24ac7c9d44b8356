"""The short form of the feed's race: `python -m penstock_faults.feed` is the long one."""

from array import array
from typing import Any

import pytest

from penstock_faults.feed import Follower, Plan, Tally, judge
from tests.faults.programs import verdict_of

RIGHT = {"missed": 0, "duplicated": 0, "inverted": 0, "never_kept": 0}


def race(url: str, *options: str) -> dict[str, Any]:
    return verdict_of("feed", "--server", url, *options)


def faults(reader: dict[str, Any]) -> dict[str, Any]:
    return {name: reader[name] for name in RIGHT}


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("writers", "events"), [("16", "20000"), ("48", "10000")])
def test_the_floor_loses_nothing_where_a_cursor_does(postgres_url: str, writers: str, events: str) -> None:
    found = race(postgres_url, "--writers", writers, "--events", events)
    assert faults(found["floor"]) == RIGHT
    assert found["floor"]["read"] == found["events"] == found["kept"]
    assert found["naive"]["missed"] > 0
    assert min(found[what] for what in ("undone", "savepoints_undone", "conflicts")) > 0
    assert (found["void"], found["ok"]) == (False, True)


@pytest.mark.timeout(300)
def test_strict_appenders_need_no_floor(postgres_url: str) -> None:
    found = race(postgres_url, "--writers", "8", "--events", "1500", "--think", "2", "--strict")
    assert [faults(found[reader]) for reader in ("floor", "naive")] == [RIGHT, RIGHT]
    assert found["ok"]


def test_a_run_in_which_a_cursor_lost_nothing_is_void() -> None:
    plan, tally = Plan("", 1, 1, 0, strict=False, seed=1), Tally(kept=1)
    lossy: dict[str, object] = {**RIGHT, "missed": 1}
    kept = {"facts": {1}}
    assert judge(plan, tally, 1, {"floor": {**RIGHT}, "naive": lossy}, kept)["ok"]
    assert judge(plan, tally, 1, {"floor": {**RIGHT}, "naive": {**RIGHT}}, kept)["void"]
    assert not judge(plan, tally, 1, {"floor": lossy, "naive": lossy}, kept)["ok"]
    assert not judge(plan, Tally(kept=2), 1, {"floor": {**RIGHT}, "naive": lossy}, kept)["ok"]


def test_what_a_reader_saw_is_compared_with_what_was_kept() -> None:
    follower = Follower(link=None, strict=False)  # type: ignore[arg-type]
    follower.positions["facts"] = array("q", [1, 2, 2, 9])
    follower.lags.append(5_000)
    assert follower.verdict({"facts": {1, 2, 3}, "accounts": {4}}) == {
        "read": 4,
        "missed": 2,
        "duplicated": 1,
        "never_kept": 1,
        "inverted": 0,
        "lag_ms": {"p50": 5, "p99": 5},
    }
