"""Does the fault suite see what it looks for? One line of Penstock is made wrong, and a fault program has to find it.

    python -m tests.mutants.faults [--only NAME] [--server postgresql://…]

Prints "caught k of n", and JSON; exit 1 if one got away. A mutant on both stores is tried on each. Without `--server` one is started.
Needs root for power cuts and cables; those are named where nobody is root.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from penstock_faults.software import server
from tests.mutants.mutant import ROOT, Mutant, copy

CATALOGUE = Path(__file__).with_name("faults.toml")
SECONDS = 240.0
ON_A_SERVER = ("kills", "poison", "schedules", "leaders", "points", "slow", "malformed", "jumps", "replies", "feed", "clocks")
"""They can be told of one. The others start their own."""
ON_A_DISK = ("kills", "points", "schedules")
NEEDS_ROOT = ("power", "cuts", "full", "stall")
SOUND = ("ok", [], {}, 0, None)


class Fault(Mutant, frozen=True, forbid_unknown_fields=True, kw_only=True):
    program: Sequence[str]
    """Of `penstock_faults`, and what it is told."""
    sees: Sequence[str]
    """Parts of its verdict that have to say so, one of them: not that it took too long, unless that is what the fault does."""

    def command(self, store: str, server: str, disk: Path) -> list[str]:
        name, *options = self.program
        command = [sys.executable, "-m", f"penstock_faults.{name}", *options]
        if store == "postgres" and name in ON_A_SERVER:
            command += ["--server", server]
        return command + (["--disk", str(disk)] if name in ON_A_DISK else [])


def faults() -> list[Fault]:
    return msgspec.convert(tomllib.loads(CATALOGUE.read_text())["mutant"], list[Fault])


def try_one(fault: Fault, store: str, server: str) -> dict[str, Any]:
    """`seen`: what the program says is wrong, of what it should. Empty: it saw nothing. `said`: all that it has to say."""
    began = time.monotonic()
    with copy(fault) as folder:
        command = fault.command(store, server, folder)
        environment = {**os.environ, "PYTHONPATH": str(folder)}
        try:
            run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=SECONDS)
        except subprocess.TimeoutExpired:
            return {"seen": [], "said": f"it came to no end within {SECONDS:g} s", "seconds": SECONDS}
    return {"seen": seen(run, fault.sees), "said": run.stdout or run.stderr[-2000:], "seconds": round(time.monotonic() - began, 1)}


def seen(run: subprocess.CompletedProcess[str], wanted: Sequence[str]) -> list[str]:
    """Raises RuntimeError if the program itself broke."""
    try:
        verdict = json.loads(run.stdout[run.stdout.index("{") :])
    except ValueError:
        if "waited " not in run.stderr:
            raise RuntimeError(f"it said nothing ({run.returncode}): {run.stderr[-6000:]}") from None
        why = run.stderr[run.stderr.rindex("waited ") :].strip()
        return [why for name in wanted if why.startswith(name)]
    return [] if verdict["ok"] else troubles(verdict, wanted)


def troubles(verdict: Mapping[str, Any], wanted: Sequence[str]) -> list[str]:
    """Which of these are not as they should be. `floor missed`: what `floor` says of `missed`."""
    return [name for name in wanted if not name.startswith("waited ") and part(verdict, name) not in SOUND]


def part(verdict: Mapping[str, Any], name: str) -> Any:
    first, _, rest = name.partition(" ")
    return part(verdict[first], rest) if rest else verdict.get(name)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", default=[], metavar="NAME")
    parser.add_argument("--server", help="URL of a PostgreSQL database")
    options = parser.parse_args()
    chosen = [fault for fault in faults() if not options.only or fault.name in options.only]
    if os.geteuid():
        for fault in [each for each in chosen if each.program[0] in NEEDS_ROOT]:
            print(f"not tried, since it needs root: {fault.name}", file=sys.stderr)
        chosen = [fault for fault in chosen if fault.program[0] not in NEEDS_ROOT]
    found: dict[str, Any] = {}
    with server(options.server) as url:
        for fault in chosen:
            for store in fault.stores:
                name = f"{fault.name}, {store}"
                found[name] = try_one(fault, store, url)
                print(
                    f"{name}: {'; '.join(found[name]['seen'])[:200] or 'NOT SEEN: ' + found[name]['said']} ({found[name]['seconds']:g} s)",
                    file=sys.stderr,
                    flush=True,
                )
    caught = {name for name, what in found.items() if what["seen"]}
    print(f"caught {len(caught)} of {len(found)}")
    print(json.dumps({"caught": len(caught), "of": len(found), "got_away": sorted(set(found) - caught), "mutants": found}, indent=1))
    sys.exit(0 if len(caught) == len(found) else 1)


if __name__ == "__main__":
    main()
