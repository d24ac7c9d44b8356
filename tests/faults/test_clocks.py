"""The short form of the clocks' test: `python -m penstock_faults.clocks` is the long one."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest

from penstock_faults.clocks import SKEWS, rate_excess, timing, victims, wrong
from penstock_faults.crew import Book, Crew, gathered, slots, sums
from tests.faults.programs import verdict_of

SECOND = 1_000_000


@pytest.mark.timeout(120)
def test_clocks_that_are_30_s_apart_decide_nothing(postgres_url: str, libfaketime: Path) -> None:
    options = ["--server", postgres_url, "--seconds", "3", "--kills", "3"]
    found = verdict_of("clocks", *options)
    assert not wrong(found), found
    assert not found["void"], found
    assert found["ok"]


def book(tmp_path: Path, *lines: str, killed: dict[int, int] | None = None) -> Book:
    (tmp_path / "ledger").write_text("".join(f"{line}\n" for line in lines))
    return Book.read(tmp_path / "ledger", killed or {})


def test_runs_that_overlap_are_seen(tmp_path: Path) -> None:
    apart = ("BEGIN a 1 10", "END a 1 20", "BEGIN a 2 30", "END a 2 40")
    assert book(tmp_path, *apart).overlapping() == []
    assert book(tmp_path, "BEGIN a 1 10", "BEGIN a 2 15", "END a 1 20", "END a 2 25").overlapping() == ["a"]
    assert book(tmp_path, "BEGIN a 1 10", "BEGIN a 2 30", "END a 2 40").overlapping() == ["a"]
    assert book(tmp_path, "BEGIN a 1 10", "BEGIN a 2 30", "END a 2 40", killed={1: 20}).overlapping() == []
    assert book(tmp_path, "BEGIN a 1 10", "BEGIN a 2 30", "END a 2 40", killed={1: 35}).overlapping() == ["a"]


DEATHS = {  # by job: what the dead letter says, and who died under it
    "plainly": ("its worker died 3 times under it", (1, 2, 3)),
    "with a result": ("its worker died 3 times under it", (1, 2, 3)),
    "with an effect": ("its worker died 3 times under it", (1, 2, 3)),
    "under one who lived": ("its worker died 3 times under it", (1, 2, 4)),
    "under two": ("its worker died 3 times under it", (1, 2, 2)),
    "for another reason": ("failed 3 times", (1, 2, 3)),
    "of nothing": ("failed 3 times", ()),
    "not at all": (None, (1, 2, 3)),
}


def test_a_dead_letter_is_no_loss_where_we_killed_three_workers_under_it(tmp_path: Path) -> None:
    with gathered(None, disk=tmp_path) as crew:
        jobs = {how: f"{how.replace(' ', '-')}-effect" for how in DEATHS}
        workers = [f"WORKER {owner:016x} 0 10{owner} 1" for owner in (1, 2, 3, 4)]
        told = [*workers, *(f"ACK {job} 1 2" for job in jobs.values()), f"RESULT {jobs['with a result']} 1 3"]
        crew.ledger.write_text("".join(f"{line}\n" for line in told))
        crew.killed |= dict.fromkeys((101, 102, 103), 9)
        for seq, (how, (reason, owners)) in enumerate(DEATHS.items(), 1):
            bury(crew, seq, jobs[how], reason, owners)
        crew.site.rows(f"insert into effects values ('{jobs['with an effect']}')")
        found = sums(crew, crew.book())
    lost = sorted(job for how, job in jobs.items() if how != "plainly")
    assert (found["buried"], found["dead"], found["lost"]) == (1, len(DEATHS) - 2, lost)
    assert found["effects_missing"] == [job for job in lost if job != jobs["with an effect"]]


def bury(crew: Crew, seq: int, job: str, reason: str | None, owners: Sequence[int]) -> None:
    message = "insert into penstock_message (seq, id, queue, task, rank, enqueued, body)"
    crew.site.rows(f"{message} values ({seq}, '{job}', 'q', 't', 5, 0, '')")
    if reason is not None:
        dead = "insert into penstock_dead (seq, queue, task, reason, died, attempts)"
        crew.site.rows(f"{dead} values ({seq}, 'q', 't', '{reason}', 0, 1)")
    for number, owner in enumerate(owners):
        attempt = "insert into penstock_attempt (seq, number, what, at, owner)"
        crew.site.rows(f"{attempt} values ({seq}, {number}, 'died', 0, '{owner:016x}')")


def test_a_job_that_ran_again_is_seen_unless_its_worker_had_died(tmp_path: Path) -> None:
    twice = book(tmp_path, "BEGIN a 1 10", "END a 1 20", "BEGIN a 2 30", "END a 2 40")
    assert (twice.repeated({}), twice.repeated({"a": 1})) == (["a"], [])


def test_slots_that_are_missing_or_twice_are_seen(tmp_path: Path) -> None:
    def seen(*starts: int) -> tuple[Any, Any]:
        lines = [f"SLOT job{n} {start * SECOND} 1 {start * SECOND + 5}" for n, start in enumerate(starts)]
        found = slots(book(tmp_path, *lines))
        return found["slots_twice"], found["slots_missing"]

    assert seen(1, 2, 3) == (0, [])
    assert seen(1, 2, 2, 3) == (1, [0.0])
    assert seen(1, 2, 4) == (0, [2.0])


def test_what_comes_early_is_seen(tmp_path: Path) -> None:
    found = timing(book(tmp_path, f"TRY a-delay delay {31 * SECOND} 9 1", f"BEGIN a-delay 1 {SECOND}", f"END a-delay 1 {SECOND}"))
    assert found["delayed_earliest_s"] == -30
    assert "delayed_earliest_s" in wrong({**NOTHING, **found})
    assert wrong(NOTHING) == []


def test_a_rate_that_was_exceeded_is_seen() -> None:
    assert rate_excess(range(0, 3 * SECOND, SECOND // 20)) <= 0
    assert rate_excess([0] * 40) == 38


NOTHING: dict[str, object] = {
    **dict.fromkeys(("lost", "effects_missing", "at_once", "ran_again", "slots_missing", "expired_wrongly", "results_missing"), ()),
    **dict.fromkeys(("effects_twice", "dead", "slots_twice", "rate_excess"), 0),
    "corrupt": "ok",
}


def test_workers_of_each_clock_are_killed_as_often() -> None:
    orders = {tuple(victims(6, Random(seed))) for seed in range(10)}
    assert [Counter(order) for order in orders] == [Counter(dict.fromkeys(SKEWS, 2))] * len(orders)
    assert len(orders) > 1
    assert len(victims(4, Random(1))) == 4
