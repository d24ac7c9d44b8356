"""The short form of the crowds' test, without its figures: `python -m penstock_faults.crowds` is the long one."""

from pathlib import Path

import pytest

from penstock_faults.crowds import ALONE, COMPANY, CROWD, Measured, Round, worst_to_alone
from tests.faults.programs import verdict_of


@pytest.mark.alone
@pytest.mark.timeout(300)
def test_good_keys_are_handled_beside_bad_company(tmp_path: Path) -> None:
    check_crowds(tmp_path)


@pytest.mark.alone
@pytest.mark.timeout(300)
def test_on_postgresql_good_keys_are_handled_beside_bad_company(tmp_path: Path, postgres_url: str) -> None:
    check_crowds(tmp_path, "--server", postgres_url, "--rate", "100")


def check_crowds(tmp_path: Path, *more: str) -> None:
    options = ["--keys", "300", "--crowd", "2500", "--rounds", "1", "--folder", str(tmp_path), *more]
    found = verdict_of("crowds", *options)
    (only,) = found["rounds"]
    assert set(found) == {"rounds", "worst_to_alone", "ok"}
    assert set(only) == {ALONE, COMPANY, CROWD}
    assert [only[kind]["handled"] for kind in (ALONE, COMPANY, CROWD)] == [300, 300, 300]
    assert [only[kind]["held"] for kind in (ALONE, COMPANY, CROWD)] == [0, 0, 2500]
    assert [min(only[kind]["failed"], only[kind]["slow"]) > 0 for kind in (ALONE, COMPANY, CROWD)] == [False, True, True]
    assert all(0 < each["p50_ms"] <= each["p99_ms"] for each in only.values())
    assert list(tmp_path.iterdir()) == []


def measured(p99: float) -> Measured:
    return Measured(p50_ms=0.5, p99_ms=p99, handled=1, failed=0, slow=0, held=0)


def test_only_what_was_measured_in_one_round_is_compared() -> None:
    figures = [(1.0, 1.2, 1.4), (10.0, 11.0, 20.0), (2.0, 9.0, 2.0)]
    rounds: list[Round] = [dict(zip((ALONE, COMPANY, CROWD), map(measured, each), strict=True)) for each in figures]
    assert worst_to_alone(rounds) == pytest.approx(1.4)
