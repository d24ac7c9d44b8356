"""Each slot of a schedule fires once over all workers, or as `missed` says where nobody was there for it."""

from __future__ import annotations

import msgspec
import pytest
from msgspec.structs import replace

from penstock.errors import NotFound
from penstock.model.message import Options
from penstock.model.schedule import LATE, MOST, Timing, digest
from penstock.model.unique import Hold
from penstock.testing.conformance.calendar import APP, Calendar, every
from penstock.testing.conformance.ground import TASK, Ground


class SchedulingConformance:
    async def test_a_slot_puts_its_job(self, store: Ground) -> None:
        calendar = Calendar(store)
        worker = await calendar.worker(every(10, body=b'{"n":1}'))
        assert await calendar.tick() == []
        store.advance(10)
        assert await calendar.tick() == [10]
        assert await calendar.tick() == []
        (delivery,) = await worker.claim()
        assert (delivery.task, delivery.body) == ("send", b'{"n":1}')
        view = await calendar.view()
        assert (view.job, view.fired, view.slot, view.next) == (delivery.job_id, store.now(), store.now(), store.after(10))

    async def test_a_slot_whose_unique_name_is_held_puts_no_job(self, store: Ground) -> None:
        """So runs of a schedule never overlap: its next slot is the next chance."""
        hold = Hold(f"{TASK}/one")
        schedule = every(60)
        template = replace(schedule.template, options=msgspec.json.encode(Options(unique=hold)))
        calendar = Calendar(store)
        worker = await calendar.worker(replace(schedule, template=template))
        store.advance(60)
        assert await calendar.tick() == [60]
        first = await worker.claim_one()
        store.advance(60)
        assert await calendar.tick() == []
        assert await calendar.next() == 180
        await worker.done(first)
        store.advance(60)
        assert await calendar.tick() == [180]

    async def test_two_leaders_fire_a_slot_once(self, store: Ground) -> None:
        """Both have seen it before either fires."""
        calendar = Calendar(store)
        one, two = await calendar.worker(every(10)), await calendar.worker(every(10))
        store.advance(10)
        seen = await one.store.schedules.due(10)
        assert len(await calendar.fire(two.store, await two.store.schedules.due(10))) == 1
        assert await calendar.fire(one.store, seen) == []
        assert len(await one.claim()) == 1

    async def test_slots_do_not_drift(self, store: Ground) -> None:
        """Late firings and restarts move nothing."""
        calendar = Calendar(store)
        worker = await calendar.worker(every(10))
        store.advance(13)
        assert await calendar.tick() == [10]
        await calendar.leave(worker)
        store.advance(3)
        await calendar.worker(every(10))
        store.advance(5)
        assert await calendar.tick() == [20]
        assert await calendar.next() == 30

    async def test_missed_once_is_one_job_for_all(self, store: Ground) -> None:
        calendar = Calendar(store)
        await calendar.leave(await calendar.worker(every(100, missed="once")))
        store.advance(350)
        await calendar.worker(every(100, missed="once"))
        assert await calendar.tick() == [300]
        assert b'"penstock-since"' in (await calendar.headers((await calendar.view()).job or "") or b"")
        assert await calendar.next() == 400

    async def test_missed_all_is_a_job_for_each(self, store: Ground) -> None:
        """In their order."""
        calendar = Calendar(store)
        await calendar.leave(await calendar.worker(every(100, missed="all")))
        store.advance(350)
        await calendar.worker(every(100, missed="all"))
        assert await calendar.tick() == [100, 200, 300]
        assert await calendar.next() == 400

    async def test_missed_skip_is_none_but_what_is_due_now(self, store: Ground) -> None:
        calendar = Calendar(store)
        await calendar.leave(await calendar.worker(every(100, missed="skip")))
        store.advance(200 + LATE / 1e6 + 1)
        await calendar.worker(every(100, missed="skip"))
        assert await calendar.tick() == []
        assert await calendar.next() == 300
        store.advance(100)
        assert await calendar.tick() == []
        store.advance(100 - LATE / 1e6 - 1 + 5)
        assert await calendar.tick() == [400]

    async def test_a_long_downtime_is_made_up_for_in_parts(self, store: Ground) -> None:
        calendar = Calendar(store)
        await calendar.worker(every(1, missed="all"))
        store.advance(2.5 * MOST)
        parts = [await calendar.tick() for _ in range(4)]
        assert [len(part) for part in parts] == [MOST, MOST, MOST // 2, 0]
        assert [slot for part in parts for slot in part] == list(range(1, 5 * MOST // 2 + 1))

    async def test_what_no_worker_declares_does_not_fire(self, store: Ground) -> None:
        calendar = Calendar(store)
        worker = await calendar.worker(every(10))
        await calendar.worker(app="other")
        await calendar.leave(worker)
        store.advance(10)
        assert await calendar.tick() == []
        assert not (await calendar.view()).live
        await calendar.worker(every(10))
        assert await calendar.tick() == [10]

    async def test_the_newest_release_wins(self, store: Ground) -> None:
        """Whichever worker starts last; and the older one when the newer has left."""
        calendar = Calendar(store)
        old, new = every(10, body=b'"old"'), every(10, body=b'"new"')
        await calendar.worker(old)
        newer = await calendar.worker(new)
        await calendar.worker(old)
        assert (await calendar.view()).schedule == new
        await calendar.leave(newer)
        assert (await calendar.view()).schedule == old
        await calendar.worker(new)
        assert (await calendar.view()).schedule == new

    async def test_what_a_release_changes_but_the_times_keeps_its_slot(self, store: Ground) -> None:
        calendar = Calendar(store)
        await calendar.worker(every(10))
        store.advance(12)
        newer = await calendar.worker(every(10, body=b'"new"'))
        assert await calendar.tick() == [10]
        assert (await newer.claim_one()).body == b'"new"'

    async def test_other_times_count_from_now(self, store: Ground) -> None:
        calendar = Calendar(store)
        await calendar.worker(every(10))
        store.advance(12)
        await calendar.worker(every(20))
        assert await calendar.tick() == []
        assert await calendar.next() == 32

    async def test_a_rollback_brings_the_old_times_back(self, store: Ground) -> None:
        """They count from then, as those of the newer release counted from its start."""
        calendar = Calendar(store)
        await calendar.worker(every(100))
        newer = await calendar.worker(every(10))
        assert await calendar.next() == 10
        store.advance(5)
        await calendar.leave(newer)
        assert await calendar.next() == 105

    async def test_what_was_changed_since_it_was_seen_does_not_fire(self, store: Ground) -> None:
        calendar = Calendar(store)
        await calendar.worker(every(10))
        store.advance(10)
        seen = await store.store.schedules.due(10)
        await calendar.worker(every(10, body=b'"new"'))
        assert await calendar.fire(store.store, seen) == []
        assert await calendar.tick() == [10]

    async def test_what_was_removed_begins_anew(self, store: Ground) -> None:
        """Others of its app lived without it: that was no downtime."""
        calendar = Calendar(store)
        await calendar.leave(await calendar.worker(every(100, missed="all")))
        await calendar.worker()
        assert (await calendar.view()).removed
        store.advance(1_000)
        await calendar.worker(every(100, missed="all"))
        assert await calendar.tick() == []
        assert await calendar.next() == 1_100

    async def test_what_a_release_left_out_makes_up_for_nothing(self, store: Ground) -> None:
        """The other schedules of its app went on, late as they were."""
        calendar = Calendar(store)
        await calendar.leave(await calendar.worker(every(100), every(60, "other")))
        await calendar.worker(every(60, "other"))
        store.advance(1_050)
        assert await calendar.tick() == [1_020]
        await calendar.worker(every(100), every(60, "other"))
        assert await calendar.tick() == []
        assert (await calendar.next(), await calendar.next("other")) == (1_150, 1_080)

    async def test_a_moment_without_it_is_no_removal(self, store: Ground) -> None:
        calendar = Calendar(store)
        await calendar.leave(await calendar.worker(every(100, missed="all")))
        await calendar.worker()
        store.advance(110)
        await calendar.worker(every(100, missed="all"))
        assert await calendar.tick() == [100]

    async def test_a_zone_that_nobody_here_knows_stops_no_other(self, store: Ground) -> None:
        calendar = Calendar(store)
        foreign = replace(every(10, "foreign"), timing=Timing(cron="* * * * *", tz="Mars/Olympus"))
        await calendar.worker(foreign, every(10))
        store.advance(10)
        assert await calendar.tick() == [10]

    async def test_those_left_out_are_neither_due_nor_next(self, store: Ground) -> None:
        """They are a definition of an app's schedule, no more: what has its name in another app is due."""
        calendar, schedules = Calendar(store), store.store.schedules
        for app in ("one", "two"):
            await calendar.worker(every(10), every(20, "later"), app=app)
        store.advance(20)
        strange = [due.identity for due in await schedules.due(10) if (due.app, due.schedule.name) != ("two", "later")]
        assert [due.app for due in await schedules.due(1, strange)] == ["two"]
        assert (await schedules.look(strange)).next == store.now()
        assert await schedules.due(10, [*strange, ("two", "later", digest(every(20, "later").encoded()))]) == []
        await calendar.worker(every(10, body=b'"new"'), app="one")
        assert [due.schedule.name for due in await schedules.due(10, strange)] == ["tick", "later"]

    async def test_two_apps_have_one_name_each(self, store: Ground) -> None:
        calendar = Calendar(store)
        await calendar.worker(every(10), app="one")
        await calendar.worker(every(10), app="two")
        store.advance(10)
        assert await calendar.tick() == [10, 10]

    async def test_a_pause_holds_from_its_return_on(self, store: Ground) -> None:
        """Also for who has seen the slot before."""
        calendar = Calendar(store)
        await calendar.worker(every(10, missed="all"))
        store.advance(10)
        seen = await store.store.schedules.due(10)
        await store.store.schedules.pause(APP, "tick", "an operator")
        assert await calendar.fire(store.store, seen) == []
        assert await calendar.tick() == []
        assert await calendar.next() == 20
        await calendar.worker(every(10, missed="all", body=b'"new"'))
        assert (await calendar.view()).paused, "code took back what an operator set"

    async def test_resumed_it_goes_on_with_the_next_slot(self, store: Ground) -> None:
        """What passed is over, also where nobody looked meanwhile."""
        calendar = Calendar(store)
        await calendar.worker(every(10, missed="all"))
        await store.store.schedules.pause(APP, "tick", "an operator")
        store.advance(35)
        await store.store.schedules.resume(APP, "tick")
        assert await calendar.tick() == []
        store.advance(5)
        assert await calendar.tick() == [40]

    async def test_run_now_moves_no_slot(self, store: Ground) -> None:
        calendar = Calendar(store)
        worker = await calendar.worker(every(10, body=b'{"n":1}'))
        store.advance(3)
        await store.store.schedules.run_now(APP, "tick", "by hand")
        delivery = await worker.claim_one()
        assert (delivery.job_id, delivery.body) == ("by hand", b'{"n":1}')
        view = await calendar.view()
        assert (view.job, view.fired, view.slot, await calendar.next()) == ("by hand", store.now(), None, 10)

    async def test_what_is_unknown_is_not_found(self, store: Ground) -> None:
        schedules = store.store.schedules
        for verb in (schedules.run_now(APP, "x", "id"), schedules.pause(APP, "x", "an operator"), schedules.resume(APP, "x")):
            with pytest.raises(NotFound, match="x@conformance"):
                await verb

    async def test_a_look_tells_the_next_slot_and_the_crew(self, store: Ground) -> None:
        calendar = Calendar(store)
        assert not (await store.store.schedules.look()).any
        worker = await calendar.worker(every(10), every(7, "other"))
        look = await store.store.schedules.look()
        assert (look.next, look.crew, look.any) == (store.after(7), (worker.incarnation,), True)
