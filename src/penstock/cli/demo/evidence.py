"""Gathers the evidence: the ledgers, SQL on the user's tables, and what Penstock says of events, dead letters and deaths."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing

import msgspec
from msgspec import Struct

from penstock.cli.demo import archive, ledger
from penstock.cli.demo.events import OrderPlaced, UserCreated
from penstock.cli.demo.killer import Kill
from penstock.cli.demo.ledger import Accepted, ChangeCall, Entry, FileEntry, Mail, OrderCall, ReportAsked, Visit
from penstock.cli.demo.plan import Plan
from penstock.cli.demo.reconcile import Evidence, accounts, files, orders, reports, signups
from penstock.cli.demo.reconcile.burial import Letter
from penstock.cli.demo.reconcile.signups import Buried, Death
from penstock.cli.demo.sales import Sales
from penstock.cli.demo.shelf import AGE
from penstock.cli.demo.tables import Tables
from penstock.model.clock import SECOND
from penstock.model.job import DeadLetterView, JobFilter
from penstock.ports.store import Store

ALL = 1_000_000


class Seen(Struct, frozen=True):
    """What the visitors saw, what the topics tell, and the tables."""

    visits: list[Entry]
    told: archive.Told
    tables: Tables


class Arguments(Struct, frozen=True):
    """Of `send_welcome`, as they are stored."""

    user_id: str
    address: str


async def gather(plan: Plan, store: Store, kills: Sequence[Kill]) -> Evidence:
    visits: list[Entry] = ledger.read(plan.visits)
    told = await archive.read(plan)
    with closing(Tables(plan.store)) as tables:
        seen = Seen(visits, told, tables)
        return Evidence(
            sign_ups=await _sign_ups(plan, store, kills, seen),
            orders=await _orders(store, seen),
            accounts=await _accounts(store, seen),
            files=_files(plan, kills),
            reports=await _reports(store, seen),
            unfinished=await unfinished(store),
        )


async def letters(store: Store) -> list[Buried]:
    return [_buried(letter) for letter in await store.inspect.letters(JobFilter(task="demo.send_welcome"), limit=ALL)]


async def unfinished(store: Store) -> int:
    """Jobs that wait or run, and events that were not put into a queue yet."""
    jobs = sum(queue.waiting + queue.delayed + queue.running for queue in await store.inspect.queues())
    return jobs + sum(subscription.unfed for subscription in await store.inspect.subscriptions())


async def _sign_ups(plan: Plan, store: Store, kills: Sequence[Kill], seen: Seen) -> signups.Evidence:
    mail = [entry for entry in ledger.read(plan.spool) if isinstance(entry, Mail)]
    buried = await letters(store)
    return signups.Evidence(
        visits=[entry for entry in seen.visits if isinstance(entry, Visit)],
        mail=mail,
        users=[signups.User(fact.user, fact.event.address) for fact in seen.told.facts if isinstance(fact.event, UserCreated)],
        welcomed=[signups.Welcomed(*row) for row in seen.tables.rows("select user_id, job from welcomed order by user_id")],
        letters=buried,
        deaths=await _deaths(store, [entry for entry in mail if isinstance(entry, Accepted)], buried),
        kills={kill.worker: kill.at for kill in kills},
    )


async def _orders(store: Store, seen: Seen) -> orders.Evidence:
    moves = [order for (order,) in seen.tables.rows("select order_id from moves order by n")]
    shipments = [order for (order,) in seen.tables.rows("select order_id from shipments order by n")]
    return orders.Evidence(
        calls=[entry for entry in seen.visits if isinstance(entry, OrderCall)],
        orders=[orders.Order(*row) for row in seen.tables.rows("select id, reference, product from orders order by id")],
        events=[event.order for event in seen.told.orders],
        moves=orders.Handled(moves, await _buried_orders(store, "demo.inventory")),
        shipments=orders.Handled(shipments, await _buried_orders(store, "demo.shipping")),
    )


async def _accounts(store: Store, seen: Seen) -> accounts.Evidence:
    buried = await store.inspect.letters(JobFilter(queue="demo.directory"), limit=ALL)
    return accounts.Evidence(
        calls=[entry for entry in seen.visits if isinstance(entry, ChangeCall)],
        facts=seen.told.facts,
        table=[accounts.User(*row) for row in seen.tables.rows("select id, address from users order by id")],
        buried=[Letter(letter.key or "", letter.deaths, letter.reason) for letter in buried],
        story=seen.told.story,
    )


async def _reports(store: Store, seen: Seen) -> reports.Evidence:
    asked = [entry for entry in seen.visits if isinstance(entry, ReportAsked)]
    buried = await store.inspect.letters(JobFilter(queue="reports"), limit=ALL)
    views = [await store.inspect.job(each.job) for each in asked]
    ((count,),) = seen.tables.rows("select count(*) from orders")
    return reports.Evidence(
        asked=asked,
        calls=[entry for entry in seen.visits if isinstance(entry, OrderCall)],
        orders=count,
        results={view.id: msgspec.json.decode(view.result, type=Sales) for view in views if view is not None and view.result is not None},
        buried=[Letter(letter.id, letter.deaths, letter.reason) for letter in buried],
    )


def _files(plan: Plan, kills: Sequence[Kill]) -> files.Evidence:
    return files.Evidence(
        entries=[entry for entry in ledger.read(plan.shelf) if isinstance(entry, FileEntry)],
        left=[path.name for path in plan.temporary.iterdir()],
        killed=[kill.pid for kill in kills],
        age=int(AGE * SECOND),
    )


async def _buried_orders(store: Store, subscription: str) -> list[Letter[int]]:
    found = await store.inspect.letters(JobFilter(queue=subscription), limit=ALL)
    return [Letter(msgspec.json.decode(letter.body, type=OrderPlaced).order, letter.deaths, letter.reason) for letter in found]


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
