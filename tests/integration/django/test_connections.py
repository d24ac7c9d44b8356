"""Django's connections in a worker: as fresh for each job as for each request, and none is left open."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from django.db import connection, connections

from penstock.testing import HandlerRaised
from penstock.testing.kit import Kit
from tests.integration.django.shop.models import Order
from tests.integration.django.shop.tasks import fail, pay, pay_later, think, worked


@pytest.fixture
def order(kit: Kit) -> int:
    return Order.objects.create(sku="mug").pk


@pytest.fixture
def persistent() -> Iterator[None]:
    connections.settings["default"]["CONN_MAX_AGE"] = None
    yield
    connections.settings["default"]["CONN_MAX_AGE"] = 0


def test_a_def_handlers_connection_is_closed_after_the_job(kit: Kit, order: int) -> None:
    pay.sync.enqueue(order)
    kit.sync.drain()
    ((thread, wrapper),) = worked
    assert thread is not threading.current_thread() and wrapper is not connections["default"]
    assert wrapper.connection is None
    assert connection.connection is not None  # the test's own stays


def test_also_after_one_that_failed(kit: Kit) -> None:
    fail.sync.enqueue(1)
    with pytest.raises(HandlerRaised):
        kit.sync.drain()
    assert [wrapper.connection for _, wrapper in worked] == [None]


def test_a_persistent_one_is_kept_for_the_next_job_unless_it_is_broken(kit: Kit, order: int, persistent: None) -> None:
    pay.sync.enqueue(order)
    pay.sync.enqueue(order)
    kit.sync.drain()
    (_, first), (_, second) = worked
    assert first is second and first.connection is not None
    first.inc_thread_sharing()
    first.close()


def test_a_coroutines_connection_is_closed_and_its_thread_ends(kit: Kit, order: int) -> None:
    job = pay_later.sync.enqueue(order)
    kit.sync.drain()
    assert job.sync.result() == f"order {order} is paid"
    ((thread, wrapper),) = worked
    assert wrapper is not connections["default"] and wrapper.connection is None
    assert not thread.is_alive()


def test_coroutines_have_threads_of_their_own(kit: Kit, order: int) -> None:
    pay_later.sync.enqueue(order)
    pay_later.sync.enqueue(order)
    kit.sync.drain()
    (_, first), (_, second) = worked
    assert first is not second


def test_a_coroutine_without_the_database_starts_no_thread(kit: Kit) -> None:
    job = think.sync.enqueue(1)
    kit.sync.drain()
    first = job.sync.result()
    again = think.sync.enqueue(1)
    kit.sync.drain()
    assert again.sync.result() == first
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("ThreadPoolExecutor")]
