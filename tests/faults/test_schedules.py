"""The short form of the schedules' test: `python -m penstock_faults.schedules` is the long one."""

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest

from penstock_faults.plan import MINUTE, Planned, jobs, plan
from penstock_faults.schedules import by_policy, judge
from tests.faults.programs import verdict_of


@pytest.mark.timeout(300)
def test_each_slot_fires_as_it_is_said_whoever_dies(tmp_path: Path) -> None:
    check_schedules("--disk", str(tmp_path))


@pytest.mark.timeout(300)
def test_on_postgresql_each_slot_fires_as_it_is_said_whoever_dies(tmp_path: Path, postgres_url: str) -> None:
    check_schedules("--disk", str(tmp_path), "--server", postgres_url)


def check_schedules(*options: str) -> None:
    verdict = verdict_of("schedules", "--schedules", "90", "--kills", "6", "--seed", "7", *options)
    assert not {name: verdict[name] for name in ("twice", "lost", "too_many", "dead", "void") if verdict[name]}, verdict
    assert verdict["corrupt"] == "ok"
    assert verdict["ok"]
    assert (sum(verdict["kills_at"].values()), verdict["fired"] > 500) == (6, True)


def test_the_judge_sees_what_it_looks_for() -> None:
    assert judge({"a", "b"}, Counter(["a", "b"])) == {"twice": [], "lost": [], "too_many": []}
    assert judge({"a", "b"}, Counter(["a", "a", "c"])) == {"twice": ["a"], "lost": ["b"], "too_many": ["c"]}


def test_what_fired_is_counted_by_its_policy() -> None:
    planned = [Planned("s", "skip"), Planned("a", "all"), Planned("o", "once")]
    fired = Counter({"a@keeper:19700101T001000Z": 2, "a@keeper:19700101T002000Z": 1, "s@keeper:19700101T001000Z": 1, "x@keeper:1": 1})
    assert by_policy(planned, fired) == {"skip": 1, "once": 0, "all": 3}


def at(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1e6)


def test_the_other_reckoning_knows_both_changes_of_time() -> None:
    daily = Planned("s", "all", "Europe/Berlin", 30, 2)
    assert daily.slots(at("2026-03-28 12:00"), at("2026-03-29 12:00"), 0) == [at("2026-03-29 01:00")]
    assert daily.slots(at("2026-10-24 12:00"), at("2026-10-25 12:00"), 0) == [at("2026-10-25 00:30")]
    exact = Planned("s", "all", "Europe/Berlin", 30, 2, second=15)
    assert exact.slots(at("2026-03-28 12:00"), at("2026-03-29 12:00"), 0) == [at("2026-03-29 01:00")]
    assert exact.slots(at("2026-10-24 12:00"), at("2026-10-25 12:00"), 0) == [at("2026-10-25 00:30:15")]
    hourly = Planned("s", "all", "Europe/Berlin", 30)
    assert len(hourly.slots(at("2026-10-24 22:00"), at("2026-10-25 03:00"), 0)) == 5


@pytest.mark.parametrize(("missed", "fired"), [("all", ["001000", "002000", "003000"]), ("once", ["003000"]), ("skip", ["003000"])])
def test_the_other_reckoning_knows_the_policies(missed: str, fired: list[str]) -> None:
    planned = Planned("s", missed, every=10 * MINUTE)
    assert list(jobs(planned, [0, 30 * MINUTE])) == [f"s@keeper:19700101T{time}Z" for time in fired]
    assert list(jobs(planned, [0, 32 * MINUTE])) == ([] if missed == "skip" else [f"s@keeper:19700101T{time}Z" for time in fired])


def test_a_plan_has_all_sorts() -> None:
    made = plan(200, 1)
    assert {each.missed for each in made} == {"skip", "once", "all"}
    assert {(each.hour is None, each.every is None) for each in made} == {(True, True), (True, False), (False, True)}
    assert len([each for each in made if each.second is not None and each.hour is not None]) > 50
    assert len({each.name for each in made}) == 200
