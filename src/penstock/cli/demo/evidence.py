"""Gathers the evidence: the two ledgers, SQL on the user's tables, and what Penstock says of dead letters and deaths."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import TypeVar

import msgspec
from msgspec import Struct

from penstock.cli.demo import ledger
from penstock.cli.demo.killer import Kill
from penstock.cli.demo.ledger import Accepted, Acknowledged, Entry, Refused, Tried, Unknown
from penstock.cli.demo.plan import Plan
from penstock.cli.demo.reconcile import Buried, Death, Evidence, User, Welcomed
from penstock.model.job import DeadLetterView, JobFilter
from penstock.ports.store import Store

ALL = 1_000_000
KindT = TypeVar("KindT", bound=Struct)


class Arguments(Struct, frozen=True):
    """Of `send_welcome`, as they are stored."""

    user_id: int
    address: str


async def gather(plan: Plan, store: Store, kills: Sequence[Kill]) -> Evidence:
    visits: list[Entry] = ledger.read(plan.visits)
    mail: list[Entry] = ledger.read(plan.spool)
    accepted = [entry for entry in mail if isinstance(entry, Accepted)]
    users, welcomed = _tables(plan)
    buried = await letters(store)
    return Evidence(
        visits=[entry for entry in visits if isinstance(entry, Tried | Acknowledged | Unknown)],
        mail=[entry for entry in mail if isinstance(entry, Accepted | Refused)],
        users=users,
        welcomed=welcomed,
        letters=buried,
        deaths=await _deaths(store, accepted, buried),
        kills={kill.worker: kill.at for kill in kills},
        unfinished=await unfinished(store),
    )


async def letters(store: Store) -> list[Buried]:
    return [_buried(letter) for letter in await store.inspect.letters(JobFilter(), limit=ALL)]


async def unfinished(store: Store) -> int:
    return sum(queue.waiting + queue.delayed + queue.running for queue in await store.inspect.queues())


def _tables(plan: Plan) -> tuple[list[User], list[Welcomed]]:
    with closing(sqlite3.connect(f"{plan.database.as_uri()}?mode=ro", uri=True)) as connection:
        users = [User(*row) for row in connection.execute("select id, address from users order by id")]
        welcomed = [Welcomed(*row) for row in connection.execute("select user_id, job from welcomed order by user_id")]
    return users, welcomed


def _buried(letter: DeadLetterView) -> Buried:
    arguments = msgspec.json.decode(letter.body, type=Arguments)
    return Buried(letter.id, arguments.user_id, arguments.address, letter.reason, letter.deaths)


async def _deaths(store: Store, accepted: list[Accepted], buried: list[Buried]) -> Mapping[str, Sequence[Death]]:
    """Only of jobs that have something to explain."""
    copies = Counter(entry.job for entry in accepted)
    found: dict[str, Sequence[Death]] = {}
    for job in [*(job for job, count in copies.items() if count > 1), *(letter.job for letter in buried if letter.deaths)]:
        view = await store.inspect.job(job)
        history = () if view is None else view.history
        found[job] = [Death(entry.at, entry.worker or "") for entry in history if entry.what == "died"]
    return found
