"""All handles store at one time, also when the machine's wall clock was set and only some of them keep it."""

from __future__ import annotations

from msgspec.structs import replace

from penstock.model.clock import SECOND
from penstock.ports.leases import MAINTENANCE
from penstock.ports.store import Store
from penstock.testing.conformance.ground import Ground
from penstock.testing.conformance.readers import ORDERS, event
from penstock.testing.conformance.worker import Worker, ids

HOUR = 3_600


class TimekeepingConformance:
    async def test_lengths_of_time_begin_when_a_message_is_stored(self, store: Ground) -> None:
        worker = await store.worker()
        tx = store.store.transaction()
        plain = store.message("delayed")
        await tx.put([replace(plain, delay=20 * SECOND, lifetime=60 * SECOND), replace(plain, id="at once", delay=0)])
        store.advance(5)
        await tx.commit()
        assert ((await store.job("delayed")).due, (await store.job("delayed")).expires) == (store.after(20), store.after(60))
        assert ids(await worker.claim()) == ["at once"]
        store.advance(20)
        assert ids(await worker.claim()) == ["delayed"]

    async def test_a_producer_that_keeps_no_time_puts_by_the_time_of_all(self, store: Ground) -> None:
        """Once the wall clock was set an hour forward: what is delayed waits, and what expires later is not late."""
        web, worker = await self._set_forward(store)
        tx = (await store.open()).transaction()
        for name, verbs in (("alone", web.queue), ("joined", tx)):
            message = store.message(f"{name} delayed")
            await verbs.put([replace(message, delay=1_800 * SECOND), replace(message, id=f"{name} expiring", lifetime=600 * SECOND)])
        await tx.commit()
        assert ids(await worker.claim()) == ["alone expiring", "joined expiring"]
        now = worker.store.clock.now()
        assert [(await store.job(f"{name} delayed")).due for name in ("alone", "joined")] == [now + 1_800 * SECOND] * 2
        assert [(await store.job(f"{name} expiring")).expires for name in ("alone", "joined")] == [now + 600 * SECOND] * 2
        assert web.clock.now() == now

    async def test_a_joined_connection_puts_by_the_time_of_all(self, store: Ground) -> None:
        store.needs(store.backend.capabilities.joins, "joined connections")
        web, worker = await self._set_forward(store)
        connection = store.connect()
        connection.execute("create table users (name text)")
        await web.join(connection.driver).put([replace(store.message("delayed"), delay=1_800 * SECOND)])
        connection.commit()
        assert (await store.job("delayed")).due == worker.store.clock.now() + 1_800 * SECOND

    async def test_the_times_of_a_topic_never_go_back(self, store: Ground) -> None:
        """In whatever way, and whoever publishes."""
        before, one = store.store, await store.open()
        web, worker = await self._set_forward(store)
        await worker.store.log.publish(ORDERS, [event("first")])
        await web.log.publish(ORDERS, [event("second")])
        tx = one.transaction()
        await tx.publish(ORDERS, [event("third")])
        await tx.commit()
        now = worker.store.clock.now()
        assert [each.at for each in await before.log.read("orders", 0, 10)] == [now] * 3

    async def test_nor_do_they_on_a_joined_connection(self, store: Ground) -> None:
        store.needs(store.backend.capabilities.joins, "joined connections")
        joined = await store.open()
        _, worker = await self._set_forward(store)
        await worker.store.log.publish(ORDERS, [event("first")])
        connection = store.connect()
        await joined.join(connection.driver).publish(ORDERS, [event("second")])
        connection.commit()
        assert [each.at for each in await store.store.log.read("orders", 0, 10)] == [worker.store.clock.now()] * 2

    async def test_set_back_it_stands_still_for_all(self, store: Ground) -> None:
        web, worker = await store.open(), await store.worker()
        now = store.now()
        store.set_wall(-HOUR)
        assert await worker.store.leases.lead(MAINTENANCE, worker.incarnation, 15 * SECOND)
        store.advance(60)
        await web.log.publish(ORDERS, [event("one")])
        stands = store.backend.capabilities.follows_the_wall
        assert [each.at for each in await web.log.read("orders", 0, 10)] == [now if stands else store.now()]

    async def _set_forward(self, store: Ground) -> tuple[Store, Worker]:
        """A handle from before that, and the worker that has noticed."""
        web, worker = await store.open(), await store.worker()
        store.set_wall(HOUR)
        assert await worker.store.leases.lead(MAINTENANCE, worker.incarnation, 15 * SECOND)
        return web, worker
