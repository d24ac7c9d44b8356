"""Declares schedules."""

from __future__ import annotations

from datetime import timedelta
from typing import overload

from penstock.api import place
from penstock.api.plan import BoundCall
from penstock.api.schedule import declare
from penstock.api.topicrouter import TopicRouter
from penstock.model.schedule import Missed


class ScheduleRouter(TopicRouter):
    """The part of a `Router` that declares schedules."""

    @overload
    def schedule(self, call: BoundCall[object], /, *, name: str, cron: str, tz: str = "UTC", missed: Missed = "once") -> None: ...
    @overload
    def schedule(self, call: BoundCall[object], /, *, name: str, every: timedelta, missed: Missed = "once") -> None: ...
    def schedule(
        self,
        call: BoundCall[object],
        /,
        *,
        name: str,
        cron: str | None = None,
        every: timedelta | None = None,
        tz: str = "UTC",
        missed: Missed = "once",
    ) -> None:
        """Enqueue this call at each slot of a calendar, once over all workers, while a worker of the app runs.

        `cron`: minute, hour, day of month, month and day of week as Debian's cron reads them, in the time zone `tz`; with six
        fields, seconds come first. `every`: so much real time apart, at least 1 s, counted from when the store first saw it.
        `name`: one of the app's, whole: routers add no prefix. `missed`: what becomes of slots that passed while no worker ran:
        `skip` them, enqueue one job for all (`once`), or one for each (`all`). The options of the call travel with each job:
        queue, key, priority, headers, retry, timeout, and `expires` as a length of time.

        Raises ConfigurationError naming the place: for a bad cron, an unknown zone, `every` below 1 s, a name that exists,
        and a call with `delay`, `at`, `id`, `tx` or `then`.

            app.schedule(cleanup.bind(), name="nightly-cleanup", cron="0 3 * * *", tz="Europe/Berlin", missed="once")
        """
        self._register_schedule(declare(place.caller(), call, name, cron, every, tz, missed))
