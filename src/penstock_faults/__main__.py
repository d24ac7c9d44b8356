"""The whole fault suite, round by round, each with a seed of its own.

    penstock-faults --minutes 60 --seed 1 [--rounds N] [--store sqlite|postgres|postgresql://…] [--only kills] [--log faults.jsonl]

A round runs each program once, in its short form. The log keeps every verdict; what it has of this seed, store and release is not run
again, so a run can be stopped and gone on with. Nothing is tried twice. Prints the sums of such rounds in the log as JSON, of each
program and of all that use one kind of store; exit 1 if anything was wrong.

Without a URL a server of its own is started; on one that is given, each program makes a database of its own, and drops it. Power cuts,
stalls and cut cables have servers of their own in any case. Programs that need root, or something that is not installed, are named and
left out; exit 77 if none is left. Needs the extra `postgres`; exit 69 without it, or where no server can be started.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from penstock._version import __version__
from penstock.cli.bench.machine import commit
from penstock.config import masked
from penstock_faults.software import server
from penstock_faults.waiting import conclude

LONGEST = 900
"""Seconds of one program."""
PATIENCE = 30
"""Seconds that one has to end in good order."""
APART = 1_000_000
"""Seeds of two rounds: so no round of one run is a round of another one's."""
UNAVAILABLE = (69, 77)
"""Exit codes: something is not installed, or only root can."""


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
    Part("poison", ("poison", "--each", "1", "--good", "1000", "--seed", "{seed}"), "sqlite"),
    Part("poison on a server", ("poison", "--each", "1", "--good", "1000", "--seed", "{seed}", "--server", "{url}"), "postgres"),
    Part("schedules", ("schedules", "--schedules", "90", "--kills", "6", "--seed", "{seed}"), "sqlite"),
    Part("schedules on a server", ("schedules", "--schedules", "90", "--kills", "6", "--seed", "{seed}", "--server", "{url}"), "postgres"),
    Part("who keeps house", ("leaders", "--changes", "2", "--seed", "{seed}"), "sqlite"),
    Part("who keeps house on a server", ("leaders", "--changes", "2", "--seed", "{seed}", "--server", "{url}"), "postgres"),
    Part("the feed", ("feed", "--writers", "16", "--events", "20000", "--seed", "{seed}", "--server", "{url}"), "postgres"),
    Part("cut cables", ("cuts", "--seconds", "9", "--cuts", "1", "--seed", "{seed}"), "postgres", root=True),
    Part("a crash at every point", ("points", "--rounds", "1", "--seed", "{seed}"), "sqlite"),
    Part("a crash at every point on a server", ("points", "--rounds", "1", "--seed", "{seed}", "--server", "{url}"), "postgres"),
    Part("slow handlers", ("slow", "--stops", "6", "--seed", "{seed}"), "sqlite"),
    Part("slow handlers on a server", ("slow", "--stops", "6", "--seed", "{seed}", "--server", "{url}"), "postgres"),
    Part("malformed", ("malformed", "--bad", "5000", "--good", "1000", "--seed", "{seed}"), "sqlite"),
    Part("malformed on a server", ("malformed", "--bad", "5000", "--good", "1000", "--seed", "{seed}", "--server", "{url}"), "postgres"),
    Part("clocks that jump", ("jumps", "--jumps", "10", "--seed", "{seed}"), "sqlite"),
    Part("clocks that jump on a server", ("jumps", "--jumps", "10", "--seed", "{seed}", "--server", "{url}"), "postgres"),
    Part("clocks that are apart", ("clocks", "--seconds", "10", "--kills", "3", "--seed", "{seed}", "--server", "{url}"), "postgres"),
    Part("a full disk", ("full", "--fills", "10", "--seed", "{seed}"), "sqlite", root=True),
    Part("a full disk under a server", ("full", "--fills", "4", "--seed", "{seed}", "--server"), "postgres", root=True),
    Part("a disk that stands still", ("stall", "--stalls", "4", "--seed", "{seed}"), "sqlite", root=True),
    Part("a disk that stands still under a server", ("stall", "--stalls", "4", "--seed", "{seed}", "--server"), "postgres", root=True),
    Part("errors of the device", ("ioerrors", "--each", "6", "--seed", "{seed}"), "sqlite"),
    Part("damaged files", ("corruption", "--rounds", "2", "--seed", "{seed}"), "sqlite"),
    Part("lost replies", ("replies", "--losses", "100", "--seed", "{seed}", "--server", "{url}"), "postgres"),
)
SUMS = (
    *("kills", "cuts", "fills", "errors_injected", "damages", "silent", "stops", "jumps", "poison", "malformed"),
    *(
        "acknowledged",
        "lost",
        "unrun",
        "unexpected",
        "begun_again",
        "twice",
        "missing",
        "events",
        "lost_events",
        "duplicated_events",
        "unexpected_events",
        "disordered_events",
        "misplaced_versions",
        "missed",
        "heard_twice",
        "disordered",
        "lost_after_a_cut",
        "effects_twice",
        "dead",
        "buried",
    ),
)


class Suite(NamedTuple):
    """What a run is about: verdicts of another store, or of another release, are another run's."""

    store: str
    url: str
    log: Path

    def entries(self) -> list[dict[str, Any]]:
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [entry for line in lines if (entry := json.loads(line))["store"] == self.store and entry["release"] == __version__]

    def rounds(self, parts: Sequence[Part], seed: int, until: float, most: float = math.inf) -> set[str]:
        """Which parts need what is not there."""
        known = {(entry["part"], entry["seed"]) for entry in self.entries()}
        missing: set[str] = set()
        facts = {"store": self.store, "release": __version__, "commit": commit()}
        number = 0
        while number < most and time.monotonic() < until and len(missing) < len(parts):
            own = seed + number * APART
            for part in parts:
                if part.name in missing or (part.name, own) in known or time.monotonic() >= until:
                    continue
                entry = {**facts, **run(part, own, self.url)}
                if why := entry["verdict"].get("unavailable"):
                    missing.add(part.name)
                    print(f"not run, {part.name}: {why}", file=sys.stderr, flush=True)
                    continue
                with self.log.open("a") as file:
                    file.write(json.dumps(entry) + "\n")
                how = "ok" if entry["verdict"]["ok"] else f"NOT OK {json.dumps(entry['verdict'])[:500]}"
                print(f"round {number + 1}, {part.name}: {how} ({entry['seconds']:g} s)", file=sys.stderr, flush=True)
            number += 1
        return missing


def run(part: Part, seed: int, url: str) -> dict[str, Any]:
    """`verdict` has `unavailable` if something that it needs is not there."""
    words = [word.format(seed=seed, url=url) for word in part.words]
    began = time.monotonic()
    command = [sys.executable, "-m", f"penstock_faults.{words[0]}", *words[1:]]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as program:
        try:
            said, trouble = program.communicate(timeout=LONGEST)
        except BaseException as error:
            said, trouble = ended(program), f"it came to no end within {LONGEST} s"
            if not isinstance(error, subprocess.TimeoutExpired):
                raise
    verdict: dict[str, Any]
    if program.returncode in UNAVAILABLE:
        verdict = {"unavailable": trouble.strip().splitlines()[-1] if trouble.strip() else "something is not installed"}
    elif "{" in said:
        verdict = json.loads(said[said.index("{") :])
    else:
        verdict = {"ok": False, "trouble": trouble[-500:]}
    return {"part": part.name, "seed": seed, "seconds": round(time.monotonic() - began, 1), "verdict": verdict}


def ended(program: subprocess.Popen[str]) -> str:
    """As by Ctrl-C, so that it takes away what it made."""
    program.send_signal(signal.SIGINT)
    try:
        return program.communicate(timeout=PATIENCE)[0]
    except subprocess.TimeoutExpired:
        program.kill()
        return program.communicate()[0]


def sums(found: Sequence[Mapping[str, Any]]) -> dict[str, object]:
    """Of each program and of each kind of store, over all rounds."""
    kinds = {part.name: part.store for part in PARTS}
    programs: dict[str, Counter[str]] = {}
    stores: dict[str, Counter[str]] = {}
    for entry in found:
        for counts in (programs.setdefault(entry["part"], Counter()), stores.setdefault(kinds.get(entry["part"], "?"), Counter())):
            counts["rounds"] += 1
            for name in SUMS:
                value = entry["verdict"].get(name, 0)
                counts[name] += len(value) if isinstance(value, list | dict) else int(value)
    bad = [entry for entry in found if not entry["verdict"]["ok"]]
    wrong = [f"{entry['part']}, seed {entry['seed']}" for entry in bad]
    harmed = {kinds.get(entry["part"], "?") for entry in bad}
    told = {"programs": {name: counted(counts) for name, counts in programs.items()}}
    told["stores"] = {name: {**counted(counts), **({} if harmed & {name, "?"} else bounds(counts))} for name, counts in stores.items()}
    commits = sorted({entry["commit"] for entry in found if entry.get("commit")})
    return {**told, "commits": commits, "wrong": wrong, "ok": bool(found) and not wrong}


def bounds(counts: Mapping[str, int]) -> dict[str, float]:
    """Of a store with nothing wrong: with a confidence of 95 %, less than so many kills, or power cuts, do harm (the rule of three)."""
    return {f"bound_of_{fault}": round(3 / counts[fault], 5) for fault in ("kills", "cuts") if counts[fault]}


def counted(counts: Mapping[str, int]) -> dict[str, float]:
    return {count: value for count, value in counts.items() if value or count == "lost"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10, help="no program begins after that")
    parser.add_argument("--rounds", type=int, default=math.inf, help="so many at the most; default: as many as the minutes allow")
    parser.add_argument("--seed", type=int, default=1, help=f"of the first round; the next one's is {APART:,} more")
    parser.add_argument("--store", help="sqlite, postgres, or the URL of a PostgreSQL database; both if not given")
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help=", ".join(part.name for part in PARTS))
    parser.add_argument("--log", type=Path, default=Path("faults.jsonl"))
    options = parser.parse_args()
    if missing := [name for name in ("asyncpg", "psycopg") if find_spec(name) is None]:
        print(f'{missing[0]} is not installed; install it with:  pip install "penstock[postgres]"', file=sys.stderr)
        sys.exit(69)
    given = options.store if (options.store or "").startswith(("postgresql:", "postgres:")) else None
    if given is None and options.store not in (None, "sqlite", "postgres"):
        parser.error("--store: it is sqlite, postgres, or a URL that begins with postgresql:")
    if unknown := set(options.only) - {part.name for part in PARTS}:
        parser.error(f"--only: there is no {min(unknown)}; there are {', '.join(part.name for part in PARTS)}")
    signal.signal(signal.SIGINT, signal.default_int_handler)  # also in the background of a shell: programs are ended by it
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    parts = chosen(options.only, None if options.store is None else "sqlite" if options.store == "sqlite" else "postgres")
    until = time.monotonic() + options.minutes * 60
    with server(given) if any("{url}" in part.words for part in parts) else nullcontext("") as url:
        if given:
            check(given)
        suite = Suite(masked(given) if given else "here", url, options.log)
        suite.rounds(parts, options.seed, until, options.rounds)
    conclude(sums(suite.entries()))


def chosen(names: Sequence[str], store: str | None) -> Sequence[Part]:
    """Exits with 77 if none of them can be run."""
    parts = [part for part in PARTS if store in (None, part.store) and (not names or part.name in names)]
    if os.geteuid():
        print(f"not run, since they need root: {', '.join(part.name for part in parts if part.root)}", file=sys.stderr)
        parts = [part for part in parts if not part.root]
    if not parts:
        sys.exit(77)
    return parts


def check(url: str) -> None:
    """A database can be made there, and used."""
    code = "import sys; from penstock_faults.site import Site; Site.on(sys.argv[1]).drop()"  # psycopg is an extra
    done = subprocess.run([sys.executable, "-c", code, url], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr.strip().splitlines()[-1])


if __name__ == "__main__":
    main()
