"""Rounds of the fault suite are run once each, and their verdicts add up."""

import json
import subprocess
import sys
import time
from pathlib import Path

from penstock_faults.__main__ import PARTS, entries, rounds, sums


def verdict(part: str, seed: int, **facts: object) -> dict[str, object]:
    return {"part": part, "seed": seed, "seconds": 1.0, "verdict": {"ok": True, **facts}}


def test_verdicts_add_up() -> None:
    found = [
        verdict("kills", 1, kills=50, acknowledged=900, lost=[]),
        verdict("kills", 2, kills=50, acknowledged=800, lost=["a"], ok=False),
    ]
    told = sums(found)
    assert told["programs"] == {"kills": {"rounds": 2, "kills": 100, "acknowledged": 1700, "lost": 1, "bound_95_percent": 0.03}}
    assert (told["wrong"], told["ok"]) == (["kills, seed 2"], False)
    assert sums([])["ok"] is False


def test_what_the_log_has_is_not_run_again(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("".join(json.dumps(verdict(part.name, 1)) + "\n" for part in PARTS))
    rounds(PARTS, 1, time.monotonic() - 1, log, "")
    assert len(entries(log)) == len(PARTS)


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
