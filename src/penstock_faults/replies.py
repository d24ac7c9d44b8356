"""Connections to a PostgreSQL server that break, and replies that are late or lost, under load.

    python -m penstock_faults.replies --server postgresql://… --losses 200 --seed 1

Producers and workers as in the kill test, all through a proxy. It loses requests, replies, or the second half of one, and breaks the
connection; or it holds the end of a reply back. What a producer does not know is put again under the same id. Prints a JSON verdict;
exit 1 if anything was lost or done twice, or if the run could not have seen it.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

from penstock_faults.full import untyped
from penstock_faults.kills import Run, finish, gathered, prepare
from penstock_faults.ledger import judge, whole_lines
from penstock_faults.proxy import Loss, Proxy, no_delay, nothing
from penstock_faults.waiting import conclude, wait_for

WORKERS, RATE = 2, 200
SHARE = 0.01
"""Of the requests, that something of them is lost; of the replies, that they are late."""
PUTS = 0.1
"""Of those that put messages."""
LATEST = 0.5
"""Seconds."""
LOSSES: Sequence[Loss] = ("request", "reply", "half a reply")


@contextmanager
def proxied(url: str) -> Iterator[Proxy]:
    """On a loop and a thread of its own."""
    proxy, open_ = Proxy(url), threading.Event()
    loop = asyncio.new_event_loop()
    over = asyncio.Event()

    async def stand_between() -> None:
        async with proxy:
            open_.set()
            await over.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(stand_between()), daemon=True)
    thread.start()
    if not open_.wait(10):
        raise SystemExit("the proxy did not start")
    try:
        yield proxy
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join()
        loop.close()


def run(server: str, losses: int, seed: int, patience: float) -> dict[str, object]:
    chance = random.Random(seed)
    with (
        tempfile.TemporaryDirectory(prefix="penstock-replies-") as folder,
        gathered(Path(folder), server, patience) as test,
        proxied(test.site.url) as proxy,
    ):
        test.url = proxy.url
        prepare(test, WORKERS, RATE)
        late = storm(test, proxy, losses, chance)
        ended = [f"{role} {process.returncode}" for process, role in test.processes.values() if process.poll() is not None]
        finish(test)
        return report(test, proxy, late, ended)


def storm(test: Run, proxy: Proxy, losses: int, chance: random.Random) -> int:
    """Until so much is lost, and some of it was there when it was put again. Returns how many replies were late."""
    late: list[float] = []

    def lose(statements: Sequence[str]) -> Loss | None:
        share = PUTS if any("message (" in each for each in statements) else SHARE
        return chance.choice(LOSSES) if chance.random() < share else None

    def delay() -> float:
        if chance.random() >= SHARE:
            return 0.0
        late.append(chance.uniform(0.01, LATEST))
        return late[-1]

    proxy.rule, proxy.delay = lose, delay
    wait_for(lambda: len(proxy.lost) >= losses and bool(Calls.of(test).known), f"{losses} losses", test.patience)
    proxy.rule, proxy.delay = nothing, no_delay
    return len(late)


class Calls(NamedTuple):
    """Jobs, by what their producers were told."""

    unknown: set[str]
    known: set[str]
    """They were there already."""

    @property
    def kept(self) -> set[str]:
        return self.unknown & self.known

    @classmethod
    def of(cls, test: Run) -> Calls:
        lines = [line.split(" ") for line in whole_lines(test.ledger, 0)[0]]
        unknown = {line[2] for line in lines if line[:2] == ["REFUSED", "PublishUnknown"]}
        return cls(unknown, {line[1] for line in lines if line[0] == "ACK" and line[2] == "0"})


def report(test: Run, proxy: Proxy, late: int, ended: list[str]) -> dict[str, object]:
    lines = [line.split(" ") for line in test.ledger.read_text().splitlines()]
    refused = Counter(line[1] for line in lines if line[0] == "REFUSED")
    troubles = Counter(line[1] for line in lines if line[0] == "TROUBLE")
    calls = Calls.of(test)
    verdict = judge(test.read(), test.site)
    wrong = {
        "there_though_known_to_be_new": sorted(calls.known - calls.unknown),
        "untyped": untyped([*refused, *troubles]),
        "ended_early": ended,
    }
    void = [name for name, found in (("unknown", calls.unknown), ("unknown that had been kept", calls.kept), ("late", late)) if not found]
    return {
        "losses": dict(Counter(lost.what for lost in proxy.lost)),
        "held_back": late,
        "refused": dict(refused),
        "troubles": dict(troubles),
        "unknown_that_had_been_kept": len(calls.kept),
        "failed_three_times_and_replayed": test.replayed,
        **asdict(verdict),
        **wrong,
        "void": void,
        "ok": verdict.good and not void and not any(wrong.values()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", required=True, help="URL of a PostgreSQL database")
    parser.add_argument("--losses", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--patience", type=float, default=240)
    options = parser.parse_args()
    conclude(run(options.server, options.losses, options.seed, options.patience))


if __name__ == "__main__":
    main()
