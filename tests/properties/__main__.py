"""The state machines, thousands of runs of each on both stores, others with each seed.

    python -m tests.properties --examples 5000 --seed 7 [--store sqlite|postgres|postgresql://…] [--only log] [--steps 40]

Goes in rounds: round n has the seed `seed + n`, and prints it. What fails is made small and shown as the steps that lead there; the
machine that failed is not run on. A round again: its seed, and no more examples than a round has. Without a URL a server of its own
is started. Exit 1 if anything failed.
"""

from __future__ import annotations

import argparse
import secrets
import signal
import sys
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from types import MappingProxyType

from hypothesis import seed
from hypothesis.stateful import run_state_machine_as_test

from penstock_faults.software import server
from tests.properties.calendar_machine import CalendarMachine
from tests.properties.log_machine import LogMachine
from tests.properties.machines import OnPostgres, StoreMachine, many
from tests.properties.queue_machine import QueueMachine
from tests.properties.unique_machine import UniqueMachine

MACHINES: Mapping[str, type[StoreMachine]] = MappingProxyType(
    {"queue": QueueMachine, "unique": UniqueMachine, "log": LogMachine, "calendar": CalendarMachine}
)
ROUND = 100
"""Examples. Hypothesis keeps what it has tried in memory."""


def on(machine: type[StoreMachine], url: str) -> type[StoreMachine]:
    """On a file where there is no URL."""

    class OnFile(machine):
        pass

    class OnServer(OnPostgres, machine):
        server = url

    return OnServer if url else OnFile


def rounds(examples: int) -> Iterator[int]:
    for done in range(0, examples, ROUND):
        yield min(ROUND, examples - done)


def run(name: str, url: str, options: argparse.Namespace) -> bool:
    where = "PostgreSQL" if url else "SQLite"
    for number, examples in enumerate(rounds(options.examples)):
        began, chance = time.monotonic(), options.seed + number
        try:
            run_state_machine_as_test(seed(chance)(on(MACHINES[name], url)), settings=many(examples, options.steps))
        except Exception:
            traceback.print_exc()
            print(f"{name} on {where}, seed {chance}, {examples} examples: FAILED, by the steps above", flush=True)
            return False
        print(f"{name} on {where}, seed {chance}, {examples} examples: ok ({time.monotonic() - began:.0f} s)", flush=True)
    return True


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--examples", type=int, default=2_000, help="of each machine on each store")
    parser.add_argument("--steps", type=int, default=40, help="of an example, at the most")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1_000_000), help="by chance if not given")
    parser.add_argument("--store", help="sqlite, postgres, or the URL of a PostgreSQL database; both if not given")
    parser.add_argument("--only", action="append", choices=list(MACHINES))
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # the server ends with us
    print(f"seed {options.seed}", flush=True)
    given = options.store if options.store not in ("sqlite", "postgres") else None
    with nullcontext("") if options.store == "sqlite" else server(given) as url:
        urls = [*([""] if options.store in (None, "sqlite") else []), *([url] if url else [])]
        results = [run(name, each, options) for name in options.only or MACHINES for each in urls]
    sys.exit(not all(results))


if __name__ == "__main__":
    main()
