"""When slots are, and which of them fire."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import pytest

from penstock.model import schedule
from penstock.model.clock import SECOND, from_datetime, to_datetime
from penstock.model.schedule import LATE, MOST, Due, Firing, Missed, Schedule, Template, Timing, decide, zone_of

BERLIN = ZoneInfo("Europe/Berlin")
HOUR = 3600 * SECOND


def at(text: str) -> int:
    """`2026-03-29 01:00`, in UTC."""
    return from_datetime(datetime.fromisoformat(text).replace(tzinfo=UTC))


def slots(timing: Timing, start: str, count: int, form: str = "%m-%d %H:%M%z") -> list[str]:
    """By the clock on the wall of its zone."""
    found: list[str] = []
    slot: int | None = at(start)
    while len(found) < count:
        assert slot is not None
        slot = timing.after(slot, 0)
        assert slot is not None
        found.append(to_datetime(slot).astimezone(zone_of(timing.tz)).strftime(form))
    return found


def berlin(cron: str) -> Timing:
    return Timing(cron=cron, tz="Europe/Berlin")


def test_cron_is_read_in_its_zone() -> None:
    assert slots(berlin("0 3 * * *"), "2026-01-01 00:00", 2) == ["01-01 03:00+0100", "01-02 03:00+0100"]
    assert slots(berlin("0 3 * * *"), "2026-07-01 00:00", 1) == ["07-01 03:00+0200"]


def test_an_hour_that_is_skipped() -> None:
    """A time in it comes at its end; what runs by the hour or oftener does not notice."""
    assert slots(berlin("30 2 * * *"), "2026-03-28 00:00", 3) == ["03-28 02:30+0100", "03-29 03:00+0200", "03-30 02:30+0200"]
    assert slots(berlin("0 * * * *"), "2026-03-28 23:30", 3) == ["03-29 01:00+0100", "03-29 03:00+0200", "03-29 04:00+0200"]


def test_an_hour_that_is_repeated() -> None:
    """A time in it comes once, the first time; what runs by the hour or oftener runs in both."""
    assert slots(berlin("30 2 * * *"), "2026-10-24 12:00", 2) == ["10-25 02:30+0200", "10-26 02:30+0100"]
    assert slots(berlin("0 * * * *"), "2026-10-24 23:30", 3) == ["10-25 02:00+0200", "10-25 02:00+0100", "10-25 03:00+0100"]


@pytest.mark.parametrize(
    ("zone", "cron", "around", "found"),
    [
        ("Europe/Berlin", "0 30 2 * * *", "2026-03-28 12:00", ["03-29 03:00:00+0200", "03-30 02:30:00+0200"]),
        ("Europe/Berlin", "15 30 2 * * *", "2026-03-28 12:00", ["03-29 03:00:00+0200", "03-30 02:30:15+0200"]),
        ("Europe/Berlin", "0 30 2 * * *", "2026-10-24 12:00", ["10-25 02:30:00+0200", "10-26 02:30:00+0100"]),
        ("Europe/Berlin", "15 30 2 * * *", "2026-10-24 12:00", ["10-25 02:30:15+0200", "10-26 02:30:15+0100"]),
        ("Europe/Berlin", "0,30 15 2 * * *", "2026-10-24 12:00", ["10-25 02:15:00+0200", "10-25 02:15:30+0200", "10-26 02:15:00+0100"]),
        ("Australia/Lord_Howe", "0 15 2 * * *", "2026-10-03 12:00", ["10-04 02:30:00+1100", "10-05 02:15:00+1100"]),
        ("Australia/Lord_Howe", "5 45 1 * * *", "2026-04-04 12:00", ["04-05 01:45:05+1100", "04-06 01:45:05+1030"]),
        ("Australia/Lord_Howe", "15 2 * * *", "2026-10-03 12:00", ["10-04 02:30:00+1100", "10-05 02:15:00+1100"]),
        ("Australia/Lord_Howe", "45 1 * * *", "2026-04-04 12:00", ["04-05 01:45:00+1100", "04-06 01:45:00+1030"]),
    ],
)
def test_with_seconds_a_time_of_the_day_comes_once_a_day_too(zone: str, cron: str, around: str, found: list[str]) -> None:
    """In hours that are skipped or repeated, and in Lord Howe's half hours."""
    assert slots(Timing(cron=cron, tz=zone), around, len(found), "%m-%d %H:%M:%S%z") == found


@pytest.mark.parametrize("cron", ["0 30 * * * *", "*/10 * 2 * * *", "0 */30 2 * * *"])
def test_with_seconds_a_star_goes_by_real_time(cron: str) -> None:
    """Twice the slots in an hour that is repeated."""
    timing = berlin(cron)
    first, second = (
        {
            (slot - begin)
            for moment in range(begin - SECOND, begin + HOUR - SECOND, SECOND * 10)
            if (slot := timing.after(moment, 0)) is not None
        }
        for begin in (at("2026-10-25 00:00"), at("2026-10-25 01:00"))
    )
    assert {slot for slot in first if slot < HOUR} == {slot for slot in second if slot < HOUR} != set()


@pytest.mark.parametrize("seen", ["2026-10-25 00:30", "2026-10-25 00:31", "2026-10-25 01:15", "2026-10-25 01:45"])
def test_a_time_in_the_repeated_hour_does_not_come_again(seen: str) -> None:
    """Wherever one looks from after it."""
    assert slots(berlin("30 2 * * *"), seen, 1) == ["10-26 02:30+0100"]


@pytest.mark.parametrize(
    "cron", ["*/20 * * * *", "30 2 * * *", "0 */2 * * *", "15 1,2,3 * * *", "0 0 1 * *", "*/30 * * * * *", "45 30 1,2 * * *"]
)
@pytest.mark.parametrize(
    ("zone", "around"),
    [
        ("Europe/Berlin", "2026-03-29 01:00"),
        ("Europe/Berlin", "2026-10-25 01:00"),
        ("Australia/Lord_Howe", "2026-10-03 15:30"),
        ("Australia/Lord_Howe", "2026-04-04 15:00"),
    ],
)
def test_slots_are_the_same_from_wherever_one_looks(cron: str, zone: str, around: str) -> None:
    timing = Timing(cron=cron, tz=zone)
    begin, end = at(around) - 3 * HOUR, at(around) + 3 * HOUR
    walked: list[int] = []
    slot = timing.after(begin, 0)
    while slot is not None and slot <= end:
        walked.append(slot)
        slot = timing.after(slot, 0)
    found = {timing.after(moment, 0) for moment in range(begin, end, 30 * SECOND)}
    assert walked == sorted(each for each in found if each is not None and each <= end)
    assert all(
        timing.latest(walked[0], moment, 0) == max(s for s in walked if s <= moment)
        for moment in range(end - HOUR, end, 97 * SECOND)
        if walked
    )


def test_every_counts_from_its_anchor() -> None:
    timing = Timing(every=10)
    assert [timing.after(instant, 3) for instant in (3, 12, 13, 14, 0)] == [13, 13, 23, 23, 13]
    assert [timing.latest(13, now, 3) for now in (13, 22, 23, 1_000_000_004)] == [13, 13, 23, 1_000_000_003]


def test_the_last_slot_is_found_however_long_nobody_looked() -> None:
    timing = Timing(cron="* * * * * *")
    assert timing.latest(at("2006-01-01 00:00"), at("2026-01-01 00:00"), 0) == at("2026-01-01 00:00")
    rare = Timing(cron="0 0 29 2 *")
    assert rare.latest(at("2004-02-29 00:00"), at("2027-01-01 00:00"), 0) == at("2024-02-29 00:00")


@pytest.mark.parametrize(
    ("timing", "message"),
    [
        (Timing(cron="61 * * * *"), "Bad minute"),
        (Timing(cron="* * *"), "Wrong number of fields"),
        (Timing(cron="0 0 30 2 *"), "Bad day-of-month"),
        (Timing(cron="nonsense"), "five fields"),
        (Timing(cron="* * * * *", tz="Mars/Olympus"), "Mars/Olympus"),
        (Timing(cron="* * * * *", tz="../etc/passwd"), "is not a time zone"),
        (Timing(cron="* * * * *", tz=""), "is not a time zone"),
    ],
)
def test_what_is_wrong_is_said(timing: Timing, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        timing.check()


def test_a_machine_without_zones_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def lacking(name: str) -> ZoneInfo:
        raise ZoneInfoNotFoundError(name)

    assert "tzdata" not in what_is_wrong("Mars/Olympus")
    monkeypatch.setattr(schedule, "ZoneInfo", lacking)
    assert "install the tzdata package" in what_is_wrong("Europe/Berlin")


def what_is_wrong(zone: str) -> str:
    with pytest.raises(ValueError, match=zone) as caught:
        zone_of(zone)
    return str(caught.value)


def test_an_unknown_zone_is_told_without_reading_the_database(monkeypatch: pytest.MonkeyPatch) -> None:
    """A leader may meet hundreds in one turn of its loop."""
    asked: list[str] = []

    def known(name: str) -> ZoneInfo:
        asked.append(name)
        return ZoneInfo(name)

    monkeypatch.setattr(schedule, "ZoneInfo", known)
    what_is_wrong("Mars/Olympus")
    assert asked == ["Mars/Olympus", "UTC"]


def test_what_only_another_release_understands_is_a_value_error() -> None:
    """As a zone that this machine does not know."""
    with pytest.raises(ValueError, match="Bad hour"):
        Timing(cron="0 H * * *").after(0, 0)


def due(missed: Missed, timing: Timing, next_: int, paused: bool = False) -> Due:
    return Due("shop", Schedule("tick", timing, missed, Template("shop.f", "q", b"{}", lifetime=5)), "digest", next_, 0, paused)


def decided(missed: Missed, now: int, *, paused: bool = False) -> Firing:
    """Every 100 s, the next slot at 100 s."""
    return decide(due(missed, Timing(every=100 * SECOND), 100 * SECOND, paused), now * SECOND)


@pytest.mark.parametrize(
    ("missed", "now", "fired", "following"),
    [
        ("all", 100, [100], 200),
        ("all", 330, [100, 200, 300], 400),
        ("once", 199, [100], 200),
        ("once", 330, [300], 400),
        ("skip", 160, [100], 200),
        ("skip", 161, [], 200),
        ("skip", 330, [300], 400),
        ("skip", 399, [], 400),
    ],
)
def test_what_fires(missed: Missed, now: int, fired: list[int], following: int) -> None:
    firing = decided(missed, now)
    assert [message.id for message in firing.messages] == [f"tick@shop:{to_datetime(slot * SECOND):%Y%m%dT%H%M%S}Z" for slot in fired]
    assert firing.next == following * SECOND
    assert firing.slot == (fired[-1] * SECOND if fired else None)
    assert all(message.given and message.expires == now * SECOND + 5 for message in firing.messages)


def test_a_job_for_many_slots_says_since_when() -> None:
    (message,) = decided("once", 330).messages
    assert message.headers == (
        b'{"penstock-schedule":"tick@shop","penstock-slot":"1970-01-01T00:05:00Z","penstock-since":"1970-01-01T00:01:40Z"}'
    )
    (alone,) = decided("once", 130).messages
    assert b"since" not in (alone.headers or b"")


def test_paused_slots_pass() -> None:
    for policy in ("all", "once", "skip"):
        firing = decided(policy, 330, paused=True)
        assert (firing.messages, firing.slot, firing.next) == ((), None, 400 * SECOND)


def test_many_slots_fire_some_at_a_time() -> None:
    firing = decide(due("all", Timing(every=SECOND), SECOND), 10 * MOST * SECOND)
    assert (len(firing.messages), firing.next) == (MOST, (MOST + 1) * SECOND)


def test_a_minute_late_is_missed() -> None:
    assert LATE == 60 * SECOND
