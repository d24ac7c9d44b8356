"""What can be a schedule, and what is refused where it stands."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from penstock import App, Retry, Router
from penstock.errors import ConfigurationError
from penstock.model.clock import SECOND
from penstock.model.schedule import Timing

HOURLY: dict[str, Any] = {"cron": "0 * * * *"}


async def cleanup(days: int = 7) -> None: ...


def shop() -> tuple[App, Any]:
    app = App("sqlite:///shop.db", name="shop")
    return app, app.task()(cleanup)


def refused(declare: Callable[[App, Any], None]) -> str:
    """The message without its place, which is the line of the call."""
    app, task = shop()
    with pytest.raises(ConfigurationError) as caught:
        declare(app, task)
    place, _, message = str(caught.value).partition(": ")
    file, _, line = place.rpartition(":")
    lines, first = inspect.getsourcelines(declare)
    assert file == __file__
    assert first <= int(line) < first + len(lines)
    assert app.schedules() == ()
    return message


def test_a_schedule_is_kept_with_its_call() -> None:
    app, task = shop()
    call = task.using(key="k", priority=9, expires=60, headers={"a": "b"}, retry=Retry(attempts=2), timeout=5).bind(30)
    app.schedule(call, name="nightly", cron=" 0  3 * * * ", tz="Europe/Berlin", missed="all")
    (schedule,) = app.schedules()
    assert (schedule.name, schedule.timing, schedule.missed) == ("nightly", Timing(cron="0 3 * * *", tz="Europe/Berlin"), "all")
    template = schedule.template
    assert (template.task, template.queue, template.body) == ("shop.cleanup", "shop.default", b'{"days":30}')
    assert (template.key, template.priority, template.lifetime, template.headers) == ("k", 9, 60 * SECOND, b'{"a":"b"}')
    assert b'"attempts":2' in (template.options or b"")


def test_what_is_not_said() -> None:
    app, task = shop()
    app.schedule(task.bind(), name="often", every=timedelta(minutes=5))
    (schedule,) = app.schedules()
    assert (schedule.timing, schedule.missed) == (Timing(every=300 * SECOND), "once")


def test_the_shortest_time_between_two() -> None:
    app, task = shop()
    app.schedule(task.bind(), name="often", every=timedelta(seconds=1))
    assert app.schedules()[0].timing == Timing(every=SECOND)


def test_a_router_schedules_before_it_has_an_app() -> None:
    router, app = Router(), App("sqlite:///shop.db", name="shop")
    task = router.task()(cleanup)
    router.schedule(task.bind(3), name="hourly", **HOURLY)
    app.include(router, prefix="clean")
    router.schedule(task.bind(4), name="later", **HOURLY)
    assert [(each.name, each.template.task, each.template.body) for each in app.schedules()] == [
        ("hourly", "shop.clean.cleanup", b'{"days":3}'),
        ("later", "shop.clean.cleanup", b'{"days":4}'),
    ]


def test_a_call_bound_before_its_router_has_an_app_is_checked_when_it_is_used() -> None:
    router, app = Router(), App("sqlite:///shop.db", name="shop")
    wrong: Any = router.task()(cleanup)
    router.schedule(wrong.bind("three"), name="hourly", **HOURLY)
    app.include(router)
    with pytest.raises(ConfigurationError, match=r"test_schedules\.py:\d+: schedule 'hourly': .*Expected `int`"):
        app.schedules()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cron": "61 * * * *"}, "cron='61 * * * *': Bad minute; five fields"),
        ({"cron": ""}, "Wrong number of fields"),
        ({"cron": 5}, "strings"),
        ({"cron": "0 * * * *", "tz": "Mars/Olympus"}, "tz='Mars/Olympus' is not a time zone"),
        ({"cron": "0 * * * *", "tz": None}, "strings"),
        ({"every": timedelta(0)}, "a timedelta of 1 s at the least"),
        ({"every": timedelta(seconds=-1)}, "a timedelta of 1 s at the least"),
        ({"every": timedelta(microseconds=999_999)}, "every=datetime.timedelta(microseconds=999999): a timedelta of 1 s at the least"),
        ({"every": timedelta.max}, "100 years at the most"),
        ({"every": 60}, "a timedelta of 1 s at the least"),
        ({"every": timedelta(hours=1), "tz": "Europe/Berlin"}, "counts real time"),
        ({}, "give one of cron=… and every=…"),
        ({"cron": "0 * * * *", "every": timedelta(hours=1)}, "give one of cron=… and every=…"),
        ({"cron": "0 * * * *", "missed": "twice"}, "missed='twice': 'skip', 'once' or 'all'"),
    ],
)
def test_a_calendar_that_is_none(options: dict[str, Any], message: str) -> None:
    assert message in refused(lambda app, task: app.schedule(task.bind(), name="x", **options))


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"delay": 5}, "using(delay=…)"),
        ({"at": datetime(2030, 1, 1, tzinfo=UTC)}, "using(at=…)"),
        ({"id": "mine"}, "using(id=…)"),
        ({"tx": object()}, "using(tx=…)"),
        ({"expires": datetime(2030, 1, 1, tzinfo=UTC)}, "using(expires=…)"),
    ],
)
def test_a_call_with_options_of_one_moment(options: dict[str, Any], named: str) -> None:
    assert named in refused(lambda app, task: app.schedule(task.using(**options).bind(), name="x", **HOURLY))


def test_a_call_that_another_follows() -> None:
    said = refused(lambda app, task: app.schedule(task.using(then=task.bind()).bind(), name="x", **HOURLY))
    assert "using(then=…): a chain has ids of its own" in said


def test_a_name_that_is_none() -> None:
    assert "is not a name" in refused(lambda app, task: app.schedule(task.bind(), name="every night", **HOURLY))


def test_a_task_is_no_call() -> None:
    assert "pass a call, task.bind(…)" in refused(lambda app, task: app.schedule(task, name="x", **HOURLY))


def test_a_name_is_given_once_in_an_app() -> None:
    app, task = shop()
    app.schedule(task.bind(), name="x", **HOURLY)
    with pytest.raises(ConfigurationError, match=r"'x' exists already, at .*test_schedules\.py:\d+"):
        app.schedule(task.bind(), name="x", **HOURLY)
    router = Router()
    router.schedule(task.bind(), name="x", **HOURLY)
    with pytest.raises(ConfigurationError, match=r"'x' exists already"):
        app.include(router)
    assert len(app.schedules()) == 1


def test_a_task_of_another_app() -> None:
    app, _ = shop()
    _, foreign = shop()
    app.schedule(foreign.bind(), name="x", **HOURLY)
    with pytest.raises(ConfigurationError, match="its task belongs to another app"):
        app.schedules()
