"""One process, one loop, one store: loops, threads, forks."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar
from uuid import UUID

import pytest

from penstock.api.link import Link
from penstock.errors import ConfigurationError, StoreUnavailable
from penstock.ports.store import Store
from tests.unit.api.scripted import ScriptedStore, link_to

T = TypeVar("T")


class Made:
    """The stores that a link made."""

    def __init__(self) -> None:
        self.stores: list[ScriptedStore] = []
        self.link: Link = link_to(self._make)

    def _make(self) -> ScriptedStore:
        self.stores.append(ScriptedStore())
        return self.stores[-1]


@pytest.fixture
def made() -> Made:
    return Made()


async def loop_of(store: Store) -> asyncio.AbstractEventLoop:
    return asyncio.get_running_loop()


async def thread_of(store: Store) -> str:
    return threading.current_thread().name


def on_a_thread(work: Callable[[], T]) -> T:
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(work).result()


def test_nothing_opens_before_the_first_use(made: Made) -> None:
    assert made.stores == []


async def test_the_first_use_opens_once(made: Made) -> None:
    stores = await asyncio.gather(*(made.link.opened() for _ in range(5)))
    assert len(made.stores) == 1
    assert made.stores[0].log == ["open"]
    assert all(store is made.stores[0] for store in stores)
    assert made.link.store_here() is made.stores[0]
    await made.link.close()
    await made.link.close()
    assert made.stores[0].log == ["open", "close"]
    await made.link.opened()
    assert len(made.stores) == 2


async def test_an_opening_that_fails_is_tried_anew() -> None:
    broken, sound = ScriptedStore(), ScriptedStore()
    broken.trouble = [StoreUnavailable("locked")]
    stores = [broken, sound]
    link = link_to(lambda: stores.pop(0))
    with pytest.raises(StoreUnavailable):
        await link.opened()
    assert await link.opened() is sound  # type: ignore[comparison-overlap]


async def test_other_loops_are_sent_to_the_first(made: Made) -> None:
    await made.link.opened()
    home = asyncio.get_running_loop()

    def elsewhere() -> bool:
        async def ask() -> bool:
            assert made.link.store_here() is None
            return await made.link.run(loop_of) is home

        return asyncio.run(ask())

    assert await asyncio.to_thread(elsewhere)
    assert len(made.stores) == 1


async def test_errors_come_back_from_the_other_loop(made: Made) -> None:
    await made.link.opened()

    async def fail(store: Store) -> None:
        raise KeyError("x")

    def elsewhere() -> None:
        asyncio.run(made.link.run(fail))

    with pytest.raises(KeyError):
        await asyncio.to_thread(elsewhere)
    with pytest.raises(KeyError):
        await asyncio.to_thread(made.link.call, fail, "")


def test_a_loop_that_ended_is_left(made: Made) -> None:
    for _ in range(3):
        asyncio.run(made.link.opened())  # type: ignore[arg-type]
    assert [store.log for store in made.stores] == [["open", "close"], ["open", "close"], ["open"]]
    made.link.call(loop_of, "")
    assert made.stores[2].log == ["open", "close"]
    made.link.close_now()
    assert made.stores[3].log == ["open", "close"]


def test_sync_runs_on_a_thread_of_its_own_until_closed(made: Made) -> None:
    assert made.link.call(thread_of, "") == "penstock-sync"
    assert made.link.call(thread_of, "") == "penstock-sync"
    assert on_a_thread(lambda: made.link.call(thread_of, "")) == "penstock-sync"
    assert len(made.stores) == 1
    assert asyncio.run(made.link.run(thread_of)) == "penstock-sync"
    made.link.close_now()
    made.link.close_now()
    assert made.stores[0].log == ["open", "close"]
    assert "penstock-sync" not in [thread.name for thread in threading.enumerate()]


async def test_sync_uses_the_apps_loop_from_another_thread(made: Made) -> None:
    await made.link.opened()
    home = asyncio.get_running_loop()
    assert await asyncio.to_thread(made.link.call, loop_of, "") is home
    assert len(made.stores) == 1


async def test_sync_on_the_apps_own_loop_names_the_async_verb(made: Made) -> None:
    with pytest.raises(ConfigurationError, match=r"would block the event loop that this app runs on: await send\.enqueue"):
        made.link.call(loop_of, "await send.enqueue(…)")
    assert made.stores == []
    await made.link.opened()
    with pytest.raises(ConfigurationError, match=r"await send\.enqueue"):
        made.link.call(loop_of, "await send.enqueue(…)")


async def test_a_worker_takes_the_store_from_the_background(made: Made) -> None:
    assert await asyncio.to_thread(made.link.call, thread_of, "") == "penstock-sync"
    await made.link.settle_here()
    assert [store.log for store in made.stores] == [["open", "close"], ["open"]]
    assert await made.link.run(loop_of) is asyncio.get_running_loop()


async def test_a_worker_does_not_take_it_from_another_loop(made: Made) -> None:
    await made.link.opened()

    def elsewhere() -> None:
        asyncio.run(made.link.settle_here())  # type: ignore[arg-type]

    with pytest.raises(ConfigurationError, match="already runs on another event loop"):
        await asyncio.to_thread(elsewhere)


def test_ids_are_unique_over_threads(made: Made) -> None:
    def many() -> list[str]:
        several = made.link.foreign_ids(500)
        return [made.link.foreign_id() for _ in range(1000)] + [several() for _ in range(1000)]

    with ThreadPoolExecutor(4) as pool:
        ids = [one for future in [pool.submit(many) for _ in range(4)] for one in future.result()]
    own = made.link.own_ids(500)
    ids += [made.link.own_id() for _ in range(1000)] + [own() for _ in range(1000)]
    assert len(set(ids)) == 10_000
    assert all(UUID(one).version == 7 for one in ids)


def assert_in_order(single: Callable[[], str], several: Callable[[int], Callable[[], str]]) -> None:
    before = single()
    draw, none = several(3), several(0)
    ids = [before, *(draw() for _ in range(3)), single(), draw(), none()]
    assert ids == sorted(set(ids))


async def test_ids_of_one_call_sort_in_their_order_between_those_before_and_after(made: Made) -> None:
    link = made.link
    assert_in_order(link.foreign_id, link.foreign_ids)
    assert_in_order(link.own_id, link.own_ids)
    await link.opened()
    for _ in range(100):  # some of them within a millisecond
        assert_in_order(link.own_id, link.own_ids)
    other = Made()
    back = link.divert(lambda: opened(other))
    await link.opened()
    assert_in_order(link.own_id, link.own_ids)
    back()
    assert_in_order(link.own_id, link.own_ids)


def in_a_child(work: Callable[[], bool]) -> bool:
    """Fork, and whether `work` was true in the child."""
    pid = os.fork()
    if pid == 0:
        os._exit(0 if work() else 1)
    return os.waitpid(pid, 0)[1] == 0


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_forgets_and_opens_its_own(made: Made) -> None:
    made.link.call(loop_of, "")

    def child() -> bool:
        made.link.call(loop_of, "")
        return [store.log for store in made.stores] == [["open"], ["open"]]

    assert in_a_child(child)
    made.link.call(loop_of, "")
    assert [store.log for store in made.stores] == [["open"]]
    made.link.close_now()


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_forked_while_the_lock_was_held_is_free(made: Made) -> None:
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with made.link._guard():
            held.set()
            done.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    assert in_a_child(lambda: made.link.foreign_id() != "" and made.link.call(thread_of, "") == "penstock-sync")
    done.set()
    thread.join()


# -- diverted


async def test_diverted_it_uses_another_store_and_comes_back(made: Made) -> None:
    own, other = await made.link.opened(), Made()
    back = made.link.divert(lambda: opened(other))
    assert await made.link.opened() is other.stores[0]
    assert await asyncio.to_thread(lambda: made.link.opened_now("…")) is other.stores[0]
    back()
    assert await made.link.opened() is own
    assert (made.stores[0].log, other.stores[0].log) == (["open"], ["open"])  # who made it closes it


def test_diverted_before_the_first_use_nothing_of_its_own_opens(made: Made) -> None:
    other = Made()
    back = made.link.divert(lambda: opened(other))
    assert made.link.call(thread_of, "…") == "penstock-sync"
    back()
    assert made.stores == [] and len(other.stores) == 1
    assert "penstock-sync" not in {thread.name for thread in threading.enumerate()}
    made.link.close_now()


async def test_it_lets_go_of_its_store_and_stays_on_its_loop(made: Made) -> None:
    await made.link.leave()
    await made.link.opened()
    await made.link.leave()
    assert made.link.store_here() is None
    assert await made.link.run(loop_of) is asyncio.get_running_loop()
    assert [store.log for store in made.stores] == [["open", "close"], ["open"]]
    await made.link.close()


async def opened(other: Made) -> Store:
    return await other.link.opened()
