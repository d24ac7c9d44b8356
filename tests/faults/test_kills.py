"""The short form of the kill test: `python -m penstock_faults.kills --kills 200` is the long one."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from penstock.stores.sqlite import migrate
from penstock_faults.kills import create_tables
from penstock_faults.ledger import Ledger, disordered, effect_of, judge
from penstock_faults.site import Site
from tests.faults.programs import verdict_of


@pytest.mark.timeout(300)
def test_kills_lose_nothing_and_do_nothing_twice(tmp_path: Path) -> None:
    check_kills("--disk", str(tmp_path))


@pytest.mark.timeout(300)
def test_on_postgresql_kills_lose_nothing_and_do_nothing_twice(tmp_path: Path, postgres_url: str) -> None:
    check_kills("--disk", str(tmp_path), "--server", postgres_url)


@pytest.mark.timeout(300)
def test_behind_a_pooler_kills_lose_nothing_and_do_nothing_twice(tmp_path: Path, pooled_url: str) -> None:
    check_kills("--disk", str(tmp_path), "--server", pooled_url, kills=8, seed=5)


def check_kills(*options: str, kills: int = 24, seed: int = 7) -> None:
    verdict = verdict_of("kills", "--kills", str(kills), "--seed", str(seed), *options)
    assert verdict["acknowledged"] > 200 * kills
    names = ("lost", "unrun", "unexpected", "begun_again", "twice", "missing", "follow_ups", "disordered", "void")
    broken = {name: verdict[name] for name in names if verdict[name]}
    assert not broken, verdict
    assert verdict["corrupt"] == "ok"
    assert verdict["ok"]


def test_the_checks_see_what_they_look_for() -> None:
    assert disordered([(20, "k"), (40, "k"), (40, "j")]) == []
    assert disordered([(40, "k"), (20, "k")]) == ["k"]
    assert disordered([(20, "k"), (20, "k")]) == ["k"]
    assert (effect_of("1-20"), effect_of("1-23"), effect_of("1-21")) == (("1", 20), ("1", 23), None)


@pytest.mark.parametrize(
    ("tampering", "seen"),
    [
        ("delete from penstock_finished where seq = 1", "lost"),
        ("insert into effects (n, key) values (20, 'k1-1')", "twice"),
        ("insert into effects (n, key) values (40, 'k1-2')", "unexpected"),
        ("update penstock_message set id = '1-40'", "unexpected"),
        ("delete from effects where n = 20", "missing"),
        ("insert into follows values (140)", "follow_ups"),
        ("update penstock_counter set waiting = 1, running = -1", "corrupt"),
        ("delete from penstock_counter", "corrupt"),
        ("insert into penstock_dead (seq, queue, task, reason, died, attempts) values (9, 'q', 't', 'r', 1, 1)", "dead"),
    ],
)
def test_the_verdict_sees_tampering(tmp_path: Path, tampering: str, seen: str) -> None:
    database = tmp_path / "kills.db"
    connection = sqlite3.connect(database)
    for _, script in migrate.scripts():
        connection.executescript(script)
    create_tables(Site(database))
    connection.executescript(
        """
        insert into penstock_message (seq, id, queue, task, rank, enqueued, body) values (1, '1-20', 'q', 't', 5, 1, '{}');
        insert into penstock_finished (seq, queue, outcome, ended, attempt) values (1, 'q', 'done', 2, 1);
        insert into penstock_counter (queue, done, kept) values ('q', 1, 1);
        insert into effects (n, key) values (20, 'k1-1');
        """
    )
    ledger = Ledger()
    ledger.tried["1-20"].append(1)
    ledger.acknowledged["1-20"] = 2
    ledger.ended.add(("1-20", 7))
    assert judge(ledger, Site(database)).good
    connection.executescript(tampering)
    connection.close()
    verdict = judge(ledger, Site(database))
    assert not verdict.good
    assert getattr(verdict, seen) not in ([], 0, "ok")


def test_the_verdict_sees_what_no_handler_did(tmp_path: Path) -> None:
    ledger = Ledger()
    ledger.acknowledged["1-21"] = 2
    site = Site(tmp_path / "kills.db")
    with closing(sqlite3.connect(tmp_path / "kills.db")) as connection:
        for _, script in migrate.scripts():
            connection.executescript(script)
    create_tables(site)
    assert judge(ledger, site).unrun == ["1-21"]
    ledger.ended.add(("1-21", 7))
    assert judge(ledger, site).unrun == []


@pytest.mark.parametrize(
    ("begins", "again"),
    [
        ([(10, 1)], []),
        ([(10, 1), (30, 2)], []),
        ([(10, 1), (19, 2)], ["1-21"]),
        ([(10, 2), (30, 1)], ["1-21"]),
        ([(10, 1), (30, 2), (40, 2)], ["1-21"]),
    ],
    ids=["once", "after a death", "before it", "without one", "twice in one process"],
)
def test_what_begins_again_without_a_death_is_seen(begins: list[tuple[int, int]], again: list[str]) -> None:
    """The worker 1 died at 20."""
    ledger = Ledger()
    ledger.begins["1-21"] = ledger.begins["1-20"] = begins
    assert ledger.begun_again({1: 20}) == again
