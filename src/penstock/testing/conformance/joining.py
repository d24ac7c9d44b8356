"""Messages on a connection of the user's: there when, and only if, the user's transaction commits."""

from __future__ import annotations

import asyncio

import pytest
from msgspec.structs import replace

from penstock.errors import CapabilityMissing, ConfigurationError
from penstock.model.log import Append, TopicSpec
from penstock.model.message import Placed
from penstock.testing.conformance.backend import UserConnection
from penstock.testing.conformance.ground import Ground
from penstock.testing.conformance.readers import ACCOUNTS, ORDERS, append, event, log, publish
from penstock.testing.conformance.worker import ids

INSERT = "insert into users (name) values ('sam')"


class JoiningConformance:
    async def test_it_joins_or_says_that_it_cannot(self, store: Ground) -> None:
        if not store.backend.capabilities.joins:
            with pytest.raises(CapabilityMissing):
                store.store.join(object())
            return
        connection = store.connect()
        await store.store.join(connection.driver).put([store.message("welcome")])
        connection.commit()
        assert await store.status("welcome") == "unroutable"  # there, and nobody enrolled who knows it

    async def test_a_commit_brings_the_message_with_the_row(self, store: Ground) -> None:
        connection = _users(store)
        worker = await store.worker()
        connection.execute(INSERT)
        joined = store.store.join(connection.driver)
        assert await joined.put([store.message("welcome"), store.message("tour")]) == [Placed("welcome"), Placed("tour")]
        assert await store.store.inspect.job("welcome") is None
        connection.commit()
        assert ids(await worker.claim()) == ["welcome", "tour"]
        assert connection.execute("select name from users") == [("sam",)]
        assert await store.counters() == await store.recount()

    async def test_a_rollback_takes_both(self, store: Ground) -> None:
        connection = _users(store)
        connection.execute(INSERT)
        store.store.join(connection.driver).put_now([store.message("welcome")])
        connection.rollback()
        assert await (await store.worker()).claim() == []
        assert connection.execute("select name from users") == []

    async def test_a_given_id_is_known_there_too(self, store: Ground) -> None:
        await store.put_given("welcome")
        connection = _users(store)
        connection.execute(INSERT)
        again = replace(store.message("welcome"), given=True)
        assert await store.store.join(connection.driver).put([again]) == [Placed("welcome", created=False)]
        connection.commit()
        assert ids(await (await store.worker()).claim()) == ["welcome"]

    async def test_delay_key_and_priority_are_kept(self, store: Ground) -> None:
        connection = _users(store)
        connection.execute(INSERT)
        joined = store.store.join(connection.driver)
        delayed = replace(store.message("later"), due=store.after(10))
        await joined.put([delayed, store.message("a1", "a", 1), store.message("urgent", priority=9), store.message("a2", "a")])
        connection.commit()
        worker = await store.worker()
        assert await worker.drain() == ["urgent", "a1", "a2"]
        store.advance(10)
        assert await worker.drain() == ["later"]

    async def test_many_joined_puts_of_competing_users(self, store: Ground) -> None:
        """Everything commits once, while the store's own writer is busy too."""
        connection = _users(store)
        worker = await store.worker()
        taken: list[str] = []
        for n in range(20):
            connection.execute(INSERT)
            await store.store.join(connection.driver).put([store.message(f"joined {n}")])
            connection.commit()
            _, some = await asyncio.gather(store.put(f"own {n}"), worker.claim())
            await worker.done(some)
            taken += ids(some)
        taken += await worker.drain()
        assert sorted(taken) == sorted(f"{kind} {n}" for kind in ("joined", "own") for n in range(20))

    async def test_the_commit_wakes_who_listens(self, store: Ground) -> None:
        connection = _users(store)
        woken = asyncio.Event()
        undo = store.store.listen(woken.set)
        try:
            connection.execute(INSERT)
            await store.store.join(connection.driver).put([store.message("welcome")])
            assert not woken.is_set(), "it woke somebody before the commit"
            connection.commit()
            await asyncio.wait_for(woken.wait(), 10)
            assert await store.status("welcome") == "unroutable"  # there, and nobody enrolled who knows it
        finally:
            undo()

    async def test_another_database_is_refused(self, store: Ground) -> None:
        store.needs(store.backend.capabilities.joins, "joining a user's connection")
        elsewhere = store.connect("elsewhere")
        elsewhere.execute("create table users (name text)")
        elsewhere.execute(INSERT)
        joined = store.store.join(elsewhere.driver)
        with pytest.raises(ConfigurationError):
            await joined.put([store.message("welcome")])
        with pytest.raises(ConfigurationError):
            joined.put_now([store.message("welcome")])
        elsewhere.rollback()
        assert await (await store.worker()).claim() == []

    async def test_what_is_no_connection_is_refused(self, store: Ground) -> None:
        store.needs(store.backend.capabilities.joins, "joining a user's connection")
        with pytest.raises(ConfigurationError, match="dict"):
            store.store.join({})

    async def test_a_weaker_durability_is_refused_where_it_is_known(self, store: Ground) -> None:
        _users(store)
        careless = store.connect("careless")
        careless.execute(INSERT)
        if not store.backend.capabilities.checks_durability:
            await store.store.join(careless.driver).put([store.message("welcome")])
            careless.commit()
            assert ids(await (await store.worker()).claim()) == ["welcome"]
            return
        with pytest.raises(ConfigurationError, match=r"durab|power"):
            await store.store.join(careless.driver).put([store.message("welcome")])
        careless.rollback()
        assert await (await store.worker()).claim() == []

    async def test_of_the_other_kind_on_a_users_connection(self, store: Ground) -> None:
        """The user's transaction goes on, also where only the store knows of which kind a topic is."""
        await publish(store, "order")
        await append(store, "k", "opened", expected=0)
        connection = _users(store)
        connection.execute(INSERT)
        joined = store.store.join(connection.driver)
        for accounts, orders in ((ACCOUNTS, ORDERS), (TopicSpec("accounts"), TopicSpec("orders", versioned=True))):
            with pytest.raises(ConfigurationError, match="'accounts' is versioned"):
                await joined.publish(accounts, [event("plain")])
            with pytest.raises(ConfigurationError, match="'orders' is not versioned"):
                joined.append_now(Append(orders, "k", [event("versioned")], None))
        await joined.publish(ORDERS, [event("joined")])
        connection.commit()
        assert [each.id for each in await log(store).read("orders", 0, 10)] == ["order", "joined"]
        assert [each.id for each in await log(store).read("accounts", 0, 10)] == ["opened"]


def _users(store: Ground) -> UserConnection:
    """A user's connection to the store's database, with a table of the user's."""
    store.needs(store.backend.capabilities.joins, "joining a user's connection")
    connection = store.connect()
    connection.execute("create table users (name text)")
    connection.commit()
    return connection
