"""Good keys beside bad company: a key that always fails, a slow one, and a crowd behind one that is held.

    python -m penstock_faults.crowds --keys 10000 --crowd 1000000

One subscription of one topic, one worker process's worth of engine, events of good keys at a steady rate. Three stores: good keys
alone; beside a poison and a slow key; beside these and a crowd of messages behind a dead one that holds its key. Each is measured
once a round, in another order each time; a first round does not count. Prints JSON: from publish's call to the handler's first line,
p50 and p99 in ms, and what a p99 is to that of the good keys alone in the same round, as the median of the rounds. Exit code 1 if
that is above 1.5.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TypedDict

from penstock import App, Reject, Retry, Topic
from penstock.cli.bench.plan import percentiles
from penstock.model.job import QueueView
from penstock_faults.site import Site
from penstock_faults.waiting import conclude

BATCH = 1_000
POISON, SLOW, HELD = "poison", "slow", "held"
ALONE, COMPANY, CROWD = "alone", "beside a poison and a slow key", "beside these and a crowd"
LIMIT = 1.5
PATIENCE = 60.0
FEED = 1_000
"""Of the crowd, a second: what is slower hangs."""


@dataclass(frozen=True)
class Happened:
    key: str
    sent: float = 0.0


class Measured(TypedDict):
    """In one round. `handled`: good keys; `failed` and `slow`: how often the bad ones ran; `held`: of the crowd, the dead one included."""

    p50_ms: float
    p99_ms: float
    handled: int
    failed: int
    slow: int
    held: int


Round = dict[str, Measured]


class Town:
    """One store with its subscription. `crowd`: how many messages wait behind a dead one, this included."""

    def __init__(self, site: Site, retry: float) -> None:
        self.app = App(site.url, name="town")
        self.topic: Topic[Happened] = self.app.topic("facts", Happened, key=lambda event: event.key)
        self.crowd = 0
        self.bad = False
        """Otherwise the poison and the slow key are as good as others, so that what is left of them is soon handled."""
        self.forget()

        again = Retry(attempts=1_000_000, first=retry, limit=retry)

        @self.app.subscribe(self.topic, start="beginning", on_dead="hold", retry=again)
        async def handle(event: Happened) -> None:
            await self.behave(event)

    def forget(self, wanted: int = 0) -> None:
        self.waits: dict[str, float] = {}
        self.wanted = wanted
        self.handled = asyncio.Event()
        """So many good ones as are wanted."""
        self.failed = self.slow = 0

    async def behave(self, event: Happened) -> None:
        match event.key:
            case "poison":
                if self.bad:
                    self.failed += 1
                    raise ValueError("as always")
            case "slow":
                if self.bad:
                    self.slow += 1
                    await asyncio.sleep(0.5)
            case "held":
                raise Reject("it holds its key")
            case good:
                self.waits.setdefault(good, time.monotonic() - event.sent)
                if len(self.waits) == self.wanted:
                    self.handled.set()

    async def drained(self, patience: float = PATIENCE) -> QueueView:
        """All is fed, and nothing is left but those that are held."""
        store = await self.app._link.opened()
        async with asyncio.timeout(patience):
            while True:
                (view,), (queue,) = await store.inspect.subscriptions(), await store.inspect.queues()
                if not view.unfed and queue.waiting + queue.delayed + queue.running == max(0, self.crowd - 1):
                    return queue
                await asyncio.sleep(0.1)


async def gather_crowd(town: Town, count: int) -> None:
    """Until all of them have been fed and have been met."""
    town.crowd = count
    async with town.app.worker():
        for sent in range(0, count, BATCH):
            await town.topic.publish_many([Happened(HELD)] * min(BATCH, count - sent))
        await town.drained(PATIENCE + count / FEED)


async def measure(town: Town, keys: Sequence[str], rate: float, *, company: bool) -> Measured:
    async with town.app.worker():
        async with bad_company(town) if company else AsyncExitStack():
            await good_keys(town, [f"before-{keys[0]}"], rate)  # the worker is up
            await good_keys(town, keys, rate)
        failed, slow = town.failed, town.slow
        assert not company or (failed > 1 and slow > 0), "the bad keys did not run"
        queue = await town.drained()
    p50, p99 = percentiles(town.waits.values())
    return Measured(p50_ms=p50, p99_ms=p99, handled=len(town.waits), failed=failed, slow=slow, held=queue.waiting + queue.dead)


@asynccontextmanager
async def bad_company(town: Town) -> AsyncIterator[None]:
    """They are bad in this block, and all of them are good afterwards."""

    async def publish() -> None:
        while True:
            await town.topic.publish_many([Happened(POISON), Happened(SLOW)])
            await asyncio.sleep(0.05)

    town.bad = True
    publishing = asyncio.create_task(publish())
    try:
        yield
    finally:
        town.bad = False
        publishing.cancel()
        with suppress(asyncio.CancelledError):
            await publishing


async def good_keys(town: Town, keys: Sequence[str], rate: float) -> None:
    """Open loop, each key once; returns when all were handled."""
    town.forget(len(keys))
    began = time.monotonic()
    sending: set[asyncio.Task[str]] = set()
    for n, key in enumerate(keys):
        await asyncio.sleep(max(0.0, began + n / rate - time.monotonic()))
        sending.add(asyncio.create_task(town.topic.publish(Happened(key, time.monotonic()))))
    async with asyncio.timeout(PATIENCE):
        await asyncio.gather(*sending)
        await town.handled.wait()


async def run(arguments: argparse.Namespace, folder: Path) -> list[Round]:
    names = {ALONE: "alone", COMPANY: "company", CROWD: "crowd"}
    sites = {kind: Site.on(arguments.server) if arguments.server else Site(folder / f"{name}.db") for kind, name in names.items()}
    towns = {kind: Town(site, arguments.retry) for kind, site in sites.items()}
    rounds: list[Round] = []
    try:
        await gather_crowd(towns[CROWD], arguments.crowd)
        for n in range(arguments.rounds + 1):
            keys = [f"good-{n}-{number}" for number in range(arguments.keys)]
            order = [*towns, *towns][n % len(towns) :][: len(towns)]
            rounds.append({kind: await measure(towns[kind], keys, arguments.rate, company=kind != ALONE) for kind in order})
    finally:
        for town in towns.values():
            await town.app.close()
        for site in sites.values():
            site.drop()
    return rounds[1:]


def worst_to_alone(rounds: Sequence[Round]) -> float:
    """Only what was measured in the same round is compared: the machine is not equally quiet in all of them."""
    return max(median(each[kind]["p99_ms"] / each[ALONE]["p99_ms"] for each in rounds) for kind in (COMPANY, CROWD))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keys", type=int, default=10_000, help="good ones, in each round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rate", type=float, default=500, help="good events a second")
    parser.add_argument("--crowd", type=int, default=1_000_000)
    parser.add_argument("--retry", type=float, default=0.05, help="seconds until a poison event runs again")
    parser.add_argument("--server", help="URL of a PostgreSQL database, instead of files")
    parser.add_argument("--folder", type=Path, default=Path())
    arguments = parser.parse_args()
    if min(arguments.rounds, arguments.keys, arguments.crowd) < 1 or arguments.retry <= 0:
        parser.error("at least one round, one key, and one message of the crowd; and a time until the retry")
    with tempfile.TemporaryDirectory(prefix="penstock-crowds-", dir=arguments.folder) as folder:
        rounds = asyncio.run(run(arguments, Path(folder)))
    worst = worst_to_alone(rounds)
    conclude({"rounds": rounds, "worst_to_alone": worst, "ok": worst <= LIMIT})


if __name__ == "__main__":
    main()
