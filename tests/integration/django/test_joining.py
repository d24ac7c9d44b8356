"""Jobs in Django's transactions."""

from __future__ import annotations

import sqlite3
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from asgiref.sync import sync_to_async
from django.core.exceptions import SynchronousOnlyOperation
from django.db import DatabaseError, connection, connections, transaction

from penstock.errors import ConfigurationError, NotFound, StoreUnavailable, TransactionClosed
from penstock.testing.kit import Kit
from tests.integration.django.shop.models import Order
from tests.integration.django.shop.tasks import Placed, app, ledger, pay, placed
from tests.integration.play import rows


def orders(database: Path) -> list[str]:
    return [row[0] for row in rows(database, "select sku from shop_order order by id")]


def enqueued(database: Path) -> list[int]:
    """The orders that are to be paid."""
    return [row[0] for row in rows(database, "select body ->> 'order' from penstock_message where task = 'shop.pay' order by seq")]


# -- commit and rollback


def test_a_block_commits_its_jobs(kit: Kit, database: Path) -> None:
    with transaction.atomic():
        order = Order.objects.create(sku="mug")
        job = pay.using(tx=connection).sync.enqueue(order.pk)
        app.sync.enqueue_many([pay.using(tx=connection).bind(n) for n in (7, 8)])
        with pytest.raises(NotFound):
            job.sync.status()
    assert (orders(database), enqueued(database)) == (["mug"], [order.pk, 7, 8])
    kit.sync.drain()
    assert job.sync.result() == f"order {order.pk} is paid"
    order.refresh_from_db()
    assert order.paid


def test_a_block_rolls_its_jobs_back(kit: Kit, database: Path) -> None:
    with pytest.raises(KeyError), transaction.atomic():
        pay.using(tx=connection).sync.enqueue(Order.objects.create(sku="mug").pk)
        raise KeyError
    assert (orders(database), enqueued(database)) == ([], [])


def test_an_inner_block_takes_its_jobs_with_it(kit: Kit, database: Path) -> None:
    with transaction.atomic():
        pay.using(tx=connection).sync.enqueue(1)
        with pytest.raises(KeyError), transaction.atomic():
            Order.objects.create(sku="inner")
            pay.using(tx=connection).sync.enqueue(2)
            raise KeyError
        with transaction.atomic():
            pay.using(tx=connection).sync.enqueue(3)
    assert (orders(database), enqueued(database)) == ([], [1, 3])


def test_events_join_too(kit: Kit, database: Path) -> None:
    for ends in (transaction.rollback, transaction.commit):
        transaction.set_autocommit(False)
        placed.using(tx=connection).sync.publish(Placed("mug"))
        ledger.using(tx=connection).sync.append("mug", [Placed("mug")], expected=0)
        ends()
        transaction.set_autocommit(True)
        assert len(ledger.sync.read("mug")) == (1 if ends is transaction.commit else 0)


@pytest.mark.parametrize("which", [lambda: connection, lambda: connections["default"], transaction.get_connection])
def test_what_django_calls_a_connection_is_joined(which: Callable[[], object], kit: Kit, database: Path) -> None:
    with transaction.atomic():
        pay.using(tx=which()).sync.enqueue(1)
    assert enqueued(database) == [1]


def test_whatever_the_connection_makes_of_rows_and_text(kit: Kit, database: Path) -> None:
    connection.ensure_connection()
    connection.connection.row_factory = sqlite3.Row
    connection.connection.text_factory = bytes
    with transaction.atomic():
        pay.using(tx=connection).sync.enqueue(1)
        assert connection.connection.execute("select 'text'").fetchone()[0] == b"text"
    assert enqueued(database) == [1]


async def test_an_asynchronous_view_enqueues_as_it_writes(kit: Kit, database: Path) -> None:
    def request() -> int:
        with transaction.atomic():
            order = Order.objects.create(sku="mug")
            pay.using(tx=connection).sync.enqueue(order.pk)
        return order.pk

    order = await sync_to_async(request)()
    await sync_to_async(connections.close_all)()
    assert (orders(database), enqueued(database)) == (["mug"], [order])
    with pytest.raises(SynchronousOnlyOperation, match="use a thread or sync_to_async"):
        await pay.using(tx=connection).enqueue(order)


# -- what cannot be joined


def test_outside_of_a_block_it_is_refused(kit: Kit, database: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"no transaction is open on Django's database 'default'.*transaction\.atomic\(\)"):
        pay.using(tx=connection).sync.enqueue(1)
    assert enqueued(database) == []


def test_a_broken_block_says_so(kit: Kit, database: Path) -> None:
    with transaction.atomic():
        with pytest.raises(KeyError), transaction.atomic(savepoint=False):
            raise KeyError
        with pytest.raises(TransactionClosed, match=r"the atomic block on Django's database 'default' is broken"):
            pay.using(tx=connection).sync.enqueue(1)
    assert enqueued(database) == []


def test_another_database_is_refused(kit: Kit, database: Path) -> None:
    with transaction.atomic(using="other"), pytest.raises(ConfigurationError, match="one transaction cannot span two stores"):
        pay.using(tx=connections["other"]).sync.enqueue(1)


def test_the_connection_of_another_thread_is_refused(kit: Kit, database: Path) -> None:
    with transaction.atomic(), ThreadPoolExecutor(1) as elsewhere:
        ours = connections["default"]
        with pytest.raises(DatabaseError, match="can only be used in that same thread"):
            elsewhere.submit(lambda: pay.using(tx=ours).sync.enqueue(1)).result()


def test_what_is_no_connection_is_refused_by_name(kit: Kit) -> None:
    with pytest.raises(ConfigurationError, match=r"tx=Order\): of Django, a database connection can be joined"):
        pay.using(tx=Order(sku="mug")).sync.enqueue(1)


# -- settings


def test_the_options_give_every_connection_our_settings(kit: Kit) -> None:
    with connection.cursor() as cursor:
        found = [cursor.execute(f"pragma {name}").fetchone()[0] for name in ("journal_mode", "synchronous", "wal_autocheckpoint")]
    assert found == ["wal", 2, 0]


def test_a_block_of_a_prepared_database_has_the_write_lock(kit: Kit, database: Path) -> None:
    """So it never fails for having read before it wrote."""
    with transaction.atomic():
        assert Order.objects.count() == 0
        other = sqlite3.connect(database, timeout=0)
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("begin immediate")
        other.close()
        pay.using(tx=connection).sync.enqueue(Order.objects.create(sku="mug").pk)
    assert orders(database) == ["mug"] and len(enqueued(database)) == 1


def test_a_stale_read_of_one_that_is_not_prepared_keeps_nothing(kit: Kit, database: Path) -> None:
    with pytest.raises(StoreUnavailable), warnings.catch_warnings(), transaction.atomic(using="plain"):
        warnings.simplefilter("ignore")
        assert Order.objects.using("plain").count() == 0
        Order.objects.create(sku="mug")
        pay.using(tx=connections["plain"]).sync.enqueue(1)
    assert (orders(database), enqueued(database)) == (["mug"], [])


def test_a_database_that_is_not_prepared_works_and_warns_once(kit: Kit, database: Path) -> None:
    with transaction.atomic(using="plain"), pytest.warns(UserWarning, match=r"automatic checkpoints on; they are off now.*sqlite_options"):
        pay.using(tx=connections["plain"]).sync.enqueue(1)
    with warnings.catch_warnings(), transaction.atomic(using="plain"):
        warnings.simplefilter("error")
        pay.using(tx=connections["plain"]).sync.enqueue(2)
    assert enqueued(database) == [1, 2]


def test_weaker_durability_is_refused(kit: Kit, database: Path) -> None:
    with connection.cursor() as cursor:
        cursor.execute("pragma synchronous = normal")
    with transaction.atomic(), pytest.raises(ConfigurationError, match=r"lost on power failure.*sqlite_options\(\)"):
        pay.using(tx=connection).sync.enqueue(1)
    assert enqueued(database) == []
