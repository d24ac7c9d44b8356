"""The switchboard."""

import logging

import pytest

from penstock.model.events import Claimed, Event
from penstock.observe.signals import Signals


def test_everybody_is_told_until_they_leave() -> None:
    signals, first, second = Signals(), list[Event](), list[Event]()
    leave = signals.listen(first.append)
    signals.listen(second.append)
    signals.emit(Claimed(1))
    leave()
    leave()
    signals.emit(Claimed(2))
    assert (first, second) == ([Claimed(1)], [Claimed(1), Claimed(2)])


def test_details_are_made_only_for_those_who_ask() -> None:
    signals = Signals()
    signals.listen(lambda event: None)
    found = [signals.detailed]
    leave = signals.listen(lambda event: None, detailed=True)
    found.append(signals.detailed)
    leave()
    assert [*found, signals.detailed] == [False, True, False]


def test_a_listener_that_raises_is_logged_and_disturbs_nobody(caplog: pytest.LogCaptureFixture) -> None:
    signals, told = Signals(), list[Event]()

    def broken(event: Event) -> None:
        raise OSError("the listener")

    signals.listen(broken)
    signals.listen(told.append)
    with caplog.at_level(logging.ERROR, "penstock"):
        signals.emit(Claimed(1))
    assert told == [Claimed(1)] and "a listener of Claimed failed" in caplog.text


def test_points_go_to_the_faults() -> None:
    reached: list[str] = []
    Signals(reached.append).reach("claimed")
    Signals().reach("claimed")
    assert reached == ["claimed"]
