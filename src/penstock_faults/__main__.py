"""The whole fault suite, round by round, each with a seed of its own.

    penstock-faults --minutes 60 --seed 1 [--store sqlite|postgres|postgresql://…] [--only kills] [--log faults.jsonl]

A round runs each program once, in its short form. The log keeps every verdict; what it has of this seed is not run again, so a run can
be stopped and gone on with. Nothing is tried twice. Prints the sums of all rounds in the log as JSON; exit 1 if anything was wrong.
Without a URL a server of its own is started; on one that is given, each program makes a database of its own, and drops it. Programs that
need root are named where nobody is root. Needs the extra `postgres`; exit 69 without it, or where something else is not installed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from penstock_faults.software import server
from penstock_faults.waiting import conclude

LONGEST = 900
"""Seconds of one program."""


class Part(NamedTuple):
    """One program in a round."""

    name: str
    words: tuple[str, ...]
    """Of `penstock_faults`; `{seed}` and `{url}` are put in."""
    store: str
    root: bool = False


PARTS = (
    Part("kills", ("kills", "--kills", "50", "--seed", "{seed}"), "sqlite"),
    Part("kills on a server", ("kills", "--kills", "50", "--seed", "{seed}", "--server", "{url}"), "postgres"),
    Part("power cuts", ("power", "--cuts", "20", "--seed", "{seed}"), "sqlite", root=True),
    Part("power cuts on a server", ("power", "--cuts", "20", "--seed", "{seed}", "--server"), "postgres", root=True),
    Part("power cuts of a server alone", ("power", "--cuts", "20", "--seed", "{seed}", "--server", "--survivors"), "postgres", root=True),
    Part("poison", ("poison", "--each", "1", "--good", "1000"), "sqlite"),
    Part("poison on a server", ("poison", "--each", "1", "--good", "1000", "--server", "{url}"), "postgres"),
    Part("schedules", ("schedules", "--schedules", "90", "--kills", "6", "--seed", "{seed}"), "sqlite"),
    Part("schedules on a server", ("schedules", "--schedules", "90", "--kills", "6", "--seed", "{seed}", "--server", "{url}"), "postgres"),
    Part("who keeps house", ("leaders", "--changes", "2", "--server", "{url}"), "postgres"),
    Part("the feed", ("feed", "--writers", "16", "--events", "20000", "--seed", "{seed}", "--server", "{url}"), "postgres"),
    Part("cut cables", ("cuts", "--seconds", "9", "--cuts", "1"), "postgres", root=True),
    Part("a crash at every point", ("points", "--rounds", "1", "--seed", "{seed}"), "sqlite"),
    Part("a crash at every point on a server", ("points", "--rounds", "1", "--seed", "{seed}", "--server", "{url}"), "postgres"),
    Part("slow handlers", ("slow", "--stops", "6", "--seed", "{seed}"), "sqlite"),
    Part("slow handlers on a server", ("slow", "--stops", "6", "--seed", "{seed}", "--server", "{url}"), "postgres"),
    Part("malformed", ("malformed", "--bad", "5000", "--good", "1000", "--seed", "{seed}"), "sqlite"),
    Part("malformed on a server", ("malformed", "--bad", "5000", "--good", "1000", "--seed", "{seed}", "--server", "{url}"), "postgres"),
    Part("clocks that jump", ("jumps", "--jumps", "10", "--seed", "{seed}"), "sqlite"),
    Part("clocks that jump on a server", ("jumps", "--jumps", "10", "--seed", "{seed}", "--server", "{url}"), "postgres"),
    Part("a full disk", ("full", "--fills", "10", "--seed", "{seed}"), "sqlite", root=True),
    Part("a disk that stands still", ("stall", "--stalls", "4"), "sqlite", root=True),
    Part("a disk that stands still under a server", ("stall", "--stalls", "4", "--server"), "postgres", root=True),
    Part("errors of the device", ("ioerrors", "--each", "6", "--seed", "{seed}"), "sqlite"),
    Part("damaged files", ("corruption", "--rounds", "2", "--seed", "{seed}"), "sqlite"),
    Part("lost replies", ("replies", "--losses", "100", "--seed", "{seed}", "--server", "{url}"), "postgres"),
)
SUMS = (
    *("kills", "cuts", "fills", "errors_injected", "damages", "silent", "stops", "jumps", "poison", "malformed"),
    *("acknowledged", "lost", "twice", "missing", "lost_after_a_cut", "effects_twice", "dead"),
)


def run(part: Part, seed: int, url: str) -> dict[str, Any]:
    words = [word.format(seed=seed, url=url) for word in part.words]
    began = time.monotonic()
    command = [sys.executable, "-m", f"penstock_faults.{words[0]}", *words[1:]]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=LONGEST)
    except subprocess.TimeoutExpired:
        verdict = {"ok": False, "trouble": f"it came to no end within {LONGEST} s"}
    else:
        found = "{" in done.stdout
        verdict = json.loads(done.stdout[done.stdout.index("{") :]) if found else {"ok": False, "trouble": done.stderr[-500:]}
    return {"part": part.name, "seed": seed, "seconds": round(time.monotonic() - began, 1), "verdict": verdict}


def rounds(parts: Sequence[Part], seed: int, until: float, log: Path, url: str) -> None:
    """Round n has the seed `seed + n`."""
    known = {(entry["part"], entry["seed"]) for entry in entries(log)}
    number = 0
    while time.monotonic() < until:
        for part in parts:
            if (part.name, seed + number) in known or time.monotonic() >= until:
                continue
            entry = run(part, seed + number, url)
            with log.open("a") as file:
                file.write(json.dumps(entry) + "\n")
            how = "ok" if entry["verdict"]["ok"] else f"NOT OK {json.dumps(entry['verdict'])[:500]}"
            print(f"round {number + 1}, {part.name}: {how} ({entry['seconds']:g} s)", file=sys.stderr, flush=True)
        number += 1


def entries(log: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


def sums(found: Sequence[Mapping[str, Any]]) -> dict[str, object]:
    """Of each program, over all its rounds."""
    programs: dict[str, Counter[str]] = {}
    for entry in found:
        counts = programs.setdefault(entry["part"], Counter())
        counts["rounds"] += 1
        for name in SUMS:
            value = entry["verdict"].get(name, 0)
            counts[name] += len(value) if isinstance(value, list | dict) else int(value)
    wrong = [f"{entry['part']}, seed {entry['seed']}" for entry in found if not entry["verdict"]["ok"]]
    told: dict[str, dict[str, float]] = {}
    for name, counts in programs.items():
        faults = counts["kills"] + counts["cuts"]
        told[name] = {count: value for count, value in counts.items() if value or count == "lost"}
        told[name] |= {"bound_95_percent": round(3 / faults, 5)} if faults else {}
    return {"programs": told, "wrong": wrong, "ok": bool(found) and not wrong}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10, help="no program begins after that")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--store", help="sqlite, postgres, or the URL of a PostgreSQL database; both if not given")
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help=", ".join(part.name for part in PARTS))
    parser.add_argument("--log", type=Path, default=Path("faults.jsonl"))
    options = parser.parse_args()
    if missing := [name for name in ("asyncpg", "psycopg") if find_spec(name) is None]:
        print(f'{missing[0]} is not installed; install it with:  pip install "penstock[postgres]"', file=sys.stderr)
        sys.exit(69)
    wanted = None if options.store is None else "sqlite" if options.store == "sqlite" else "postgres"
    parts = [part for part in PARTS if wanted in (None, part.store) and (not options.only or part.name in options.only)]
    if os.geteuid():
        print(f"not run, since they need root: {', '.join(part.name for part in parts if part.root)}", file=sys.stderr)
        parts = [part for part in parts if not part.root]
    given = options.store if (options.store or "").startswith("postgresql:") else None
    until = time.monotonic() + options.minutes * 60
    with nullcontext("") if all(part.store == "sqlite" for part in parts) else server(given) as url:
        rounds(parts, options.seed, until, options.log, url)
    conclude(sums(entries(options.log)))


if __name__ == "__main__":
    main()
