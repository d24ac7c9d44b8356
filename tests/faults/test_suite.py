"""Rounds of the fault suite are run once each, and their verdicts add up."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from penstock._version import __version__
from penstock_faults.__main__ import APART, PARTS, Part, Suite, sums
from penstock_faults.waiting import wait_for


def verdict(part: str, seed: int, **facts: object) -> dict[str, object]:
    return {"part": part, "seed": seed, "seconds": 1.0, "verdict": {"ok": True, **facts}}


def test_verdicts_add_up() -> None:
    found = [
        verdict("kills", 1, kills=50, acknowledged=900, lost=[]),
        verdict("kills", 2, kills=50, acknowledged=800, lost=["a"], ok=False),
    ]
    told = sums(found)
    counts = {"rounds": 2, "kills": 100, "acknowledged": 1700, "lost": 1}
    assert told["programs"] == {"kills": counts}
    assert told["stores"] == {"sqlite": counts}
    assert (told["wrong"], told["ok"]) == (["kills, seed 2"], False)
    assert sums([])["ok"] is False


def test_where_nothing_was_wrong_there_is_a_bound() -> None:
    told = sums([verdict("kills", 1, kills=50, acknowledged=900, lost=[]), verdict("power cuts", 1, cuts=20, lost=0)])
    counts = {"rounds": 2, "kills": 50, "cuts": 20, "acknowledged": 900, "lost": 0}
    assert told["stores"] == {"sqlite": {**counts, "bound_of_kills": 0.06, "bound_of_cuts": 0.15}}


def test_what_is_wrong_on_one_store_takes_the_bound_of_that_store_only() -> None:
    told = sums([verdict("kills", 1, kills=50, lost=["a"], ok=False), verdict("kills on a server", 1, kills=50, lost=[])])
    counts = {"rounds": 1, "kills": 50}
    assert told["stores"] == {"sqlite": {**counts, "lost": 1}, "postgres": {**counts, "lost": 0, "bound_of_kills": 0.06}}
    assert told["ok"] is False


def logged(folder: Path, *lines: dict[str, object]) -> Suite:
    suite = Suite("here", "", folder / "log")
    suite.log.write_text("".join(json.dumps({"store": "here", "release": __version__, **line}) + "\n" for line in lines))
    return suite


def test_what_the_log_has_is_not_run_again(tmp_path: Path) -> None:
    suite = logged(tmp_path, *(verdict(part.name, 1) for part in PARTS))
    suite.rounds(PARTS, 1, time.monotonic() - 1)
    assert len(suite.entries()) == len(PARTS)


def test_a_round_has_a_seed_for_each_program() -> None:
    assert [part.name for part in PARTS if "{seed}" not in part.words] == []


def test_so_many_rounds_and_no_more(tmp_path: Path) -> None:
    """No round of one seed is one of the next."""
    suite = logged(tmp_path)
    for seed in (1, 2):
        suite.rounds([Part("broken", ("missing",), "sqlite")], seed, time.monotonic() + 60, 2)
    assert [entry["seed"] for entry in suite.entries()] == [1, 1 + APART, 2, 2 + APART]


def test_what_was_said_of_another_store_or_release_is_another_runs(tmp_path: Path) -> None:
    suite = logged(tmp_path, {**verdict("kills", 1), "store": "postgresql://there/shop"}, {**verdict("kills", 1), "release": "0"})
    assert suite.entries() == []


def test_a_program_that_breaks_is_a_fault(tmp_path: Path) -> None:
    suite = logged(tmp_path)
    assert suite.rounds([Part("broken", ("missing",), "sqlite")], 1, time.monotonic() + 60, 1) == set()
    assert [(entry["part"], entry["verdict"]["ok"]) for entry in suite.entries()] == [("broken", False)]


def test_what_cannot_be_run_here_is_named_and_is_no_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    suite, python = logged(tmp_path), tmp_path / "python"
    python.write_text("#!/bin/sh\necho 'strace is not installed' >&2\nexit 69\n")
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    assert suite.rounds([Part("errors", ("ioerrors",), "sqlite")], 1, time.monotonic() + 60) == {"errors"}
    assert "not run, errors: strace is not installed" in capsys.readouterr().err
    assert suite.entries() == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--store", "sqlite:///shop.db"], "--store: it is sqlite, postgres, or a URL"),
        (["--only", "kill"], "--only: there is no kill; there are kills, "),
        (["--store", "postgresql://h/d?dbname=prod", "--only", "poison on a server"], "leave out ?dbname="),
        (["--store", "postgresql://h/d?schema=shop", "--only", "poison on a server"], "leave out ?schema="),
    ],
)
def test_what_nobody_can_have_meant_is_refused(words: list[str], said: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "penstock_faults", "--minutes", "0.01", *words]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert run.returncode in (1, 2) and said in run.stderr
    assert not list(tmp_path.iterdir())


def test_a_round_of_one_program(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "penstock_faults",
        "--minutes",
        "0.01",
        "--store",
        "sqlite",
        "--only",
        "schedules",
        "--log",
        str(tmp_path / "log"),
    ]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    told = json.loads(run.stdout)
    assert told["ok"] and told["programs"]["schedules"]["rounds"] == 1


def test_one_that_is_stopped_leaves_nothing_behind_also_in_the_background(tmp_path: Path) -> None:
    """A shell's background jobs are started with SIGINT ignored, and so would be the program that has to end by it."""
    command = [sys.executable, "-m", "penstock_faults", "--minutes", "1", "--only", "kills"]
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        suite = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    finally:
        signal.signal(signal.SIGINT, before)
    with suite:
        wait_for(lambda: any(tmp_path.glob("*/kills.db")), "the program to begin")
        suite.terminate()
    assert suite.returncode == 128 + signal.SIGTERM
    assert not list(tmp_path.iterdir())
