"""`django.tasks` on Penstock."""

# Django 6.0 has it, Django 5.2 has not.
# pyright: reportMissingImports=false, reportFunctionMemberAccess=false, reportPossiblyUnboundVariable=false

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import connections, transaction
from django.tasks import TaskResultStatus, default_task_backend, task, task_backends
from django.tasks.exceptions import InvalidTask, InvalidTaskBackend, TaskResultDoesNotExist, TaskResultMismatch
from django.tasks.signals import task_enqueued, task_finished, task_started
from django.test import override_settings

from penstock import Retry
from penstock.errors import ConfigurationError
from penstock.integrations.django.apps import installed
from penstock.integrations.django.results import path_of
from penstock.integrations.django.tasks import PenstockBackend, priority_of
from penstock.model.outcome import Failure
from penstock.testing.kit import Kit
from tests.integration.django.shop.models import Order
from tests.integration.django.shop.tasks import app, worked
from tests.integration.django.shop.todo import Refused, add, fail, odd, pause, seen, ship, twice
from tests.integration.play import rows

TODO = "tests.integration.django.shop.todo"


@pytest.fixture
def signals() -> Iterator[list[tuple[str, str, str]]]:
    """Which was sent of which task, and in what state that was."""
    sent: list[tuple[str, str, str]] = []
    receivers = []
    for name, signal in (("enqueued", task_enqueued), ("started", task_started), ("finished", task_finished)):

        def receive(sender: type, task_result: Any, name: str = name, **_: object) -> None:
            assert sender is PenstockBackend
            sent.append((name, task_result.task.name, str(task_result.status)))

        signal.connect(receive)
        receivers.append((signal, receive))
    yield sent
    for signal, receive in receivers:
        signal.disconnect(receive)


def drain(kit: Kit, how_long: str = "1h") -> None:
    kit.sync.advance(how_long, raise_errors=False)


# -- running


def test_a_task_runs_in_a_worker(kit: Kit, signals: list[tuple[str, str, str]]) -> None:
    result = add.enqueue(2, b=3)
    assert (result.status, result.args, result.kwargs, result.attempts) == (TaskResultStatus.READY, [2], {"b": 3}, 0)
    kit.sync.drain()
    result.refresh()
    assert (result.status, result.return_value, result.errors, result.attempts) == (TaskResultStatus.SUCCESSFUL, 5, [], 1)
    assert result.is_finished and result.finished_at >= result.enqueued_at
    assert signals == [("enqueued", "add", "READY"), ("started", "add", "RUNNING"), ("finished", "add", "SUCCESSFUL")]


def test_a_coroutine_runs_with_its_priority_in_its_queue(kit: Kit, database: Path) -> None:
    result = ship.enqueue("mug")
    assert rows(database, "select queue, task, 9 - rank from penstock_message") == [("mail", f"shop.django.{TODO}.ship:mail", 6)]
    kit.sync.drain()
    assert ship.get_result(result.id).return_value == "mug is on its way"
    assert Order.objects.filter(sku="mug").count() == 1


async def test_from_a_coroutine(kit: Kit) -> None:
    result = await add.aenqueue(1)
    await kit.drain()
    await result.arefresh()
    assert result.return_value == 2 and (await add.aget_result(result.id)).return_value == 2
    await sync_to_async(connections.close_all)()


def test_a_call_may_go_to_another_queue_later_or_first(kit: Kit) -> None:
    moved = add.using(queue_name="mail", priority=100).enqueue(1)
    view = app.job(moved.id)
    kit.sync.drain()
    assert view.sync.result() == 2
    later = add.using(run_after=datetime.now(UTC) + timedelta(days=2)).enqueue(1)
    drain(kit, "1d")
    later.refresh()
    assert later.status == TaskResultStatus.READY
    drain(kit, "2d")
    later.refresh()
    assert later.status == TaskResultStatus.SUCCESSFUL


def test_a_task_that_takes_its_context_knows_the_attempt(kit: Kit, signals: list[tuple[str, str, str]]) -> None:
    seen.clear()
    result = twice.enqueue("mug")
    drain(kit)
    assert seen == [(2, result.id, ["mug"])]
    result.refresh()
    assert (result.return_value, result.attempts, [error.exception_class for error in result.errors]) == (["mug", "mug"], 2, [LookupError])
    assert [name for name, *_ in signals] == ["enqueued", "started", "started", "finished"]
    assert [wrapper.connection for _, wrapper in worked] == [None, None]


def test_a_task_that_always_fails_has_failed(kit: Kit, signals: list[tuple[str, str, str]]) -> None:
    result = fail.enqueue("no")
    drain(kit, "1d")
    result.refresh()
    assert result.status == TaskResultStatus.FAILED and result.attempts == 10 and len(result.errors) == 10
    assert result.errors[-1].exception_class is Refused and "Refused: no" in result.errors[-1].traceback
    with pytest.raises(ValueError, match="Task failed"):
        _ = result.return_value
    assert [signal for signal in signals if signal[0] == "finished"] == [("finished", "fail", "FAILED")]


def test_a_snoozed_task_has_not_ended(kit: Kit, signals: list[tuple[str, str, str]]) -> None:
    result = pause.enqueue()
    drain(kit, "30s")
    result.refresh()
    assert result.status == TaskResultStatus.READY and result.errors == []
    assert [name for name, *_ in signals] == ["enqueued", "started"]


def test_what_it_returns_has_to_be_json(kit: Kit) -> None:
    result = odd.enqueue()
    kit.sync.drain()
    result.refresh()
    assert result.status == TaskResultStatus.FAILED and result.attempts == 1
    assert "it returned what is not JSON" in result.errors[0].traceback


def test_what_is_cancelled_has_failed(kit: Kit) -> None:
    result = add.enqueue(1)
    app.job(result.id).sync.cancel()
    result.refresh()
    assert result.status == TaskResultStatus.FAILED and result.errors == []


# -- transactions


def test_it_commits_with_the_block_it_is_enqueued_in(kit: Kit) -> None:
    with transaction.atomic():
        Order.objects.create(sku="mug")
        result = add.enqueue(1)
        with pytest.raises(TaskResultDoesNotExist):
            add.get_result(result.id)
    assert add.get_result(result.id).status == TaskResultStatus.READY


def test_it_rolls_back_with_the_block_it_is_enqueued_in(kit: Kit) -> None:
    with transaction.atomic():
        with pytest.raises(KeyError), transaction.atomic():
            lost = add.enqueue(1)
            raise KeyError
        kept = add.enqueue(2)
    with pytest.raises(TaskResultDoesNotExist):
        add.get_result(lost.id)
    assert add.get_result(kept.id).args == [2]


async def test_a_coroutines_enqueue_joins_nothing(kit: Kit) -> None:
    result = await ship.aenqueue("mug")
    await sync_to_async(connections.close_all)()
    assert (await ship.aget_result(result.id)).status == TaskResultStatus.READY


def test_a_block_of_another_database_is_not_joined(kit: Kit) -> None:
    with transaction.atomic(using="other"):
        result = add.enqueue(1)
        assert add.get_result(result.id).status == TaskResultStatus.READY


def test_a_store_that_is_none_of_djangos_databases_is_not_joined(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installed(), "database", None)
    with pytest.raises(KeyError), transaction.atomic(using="other"):
        result = add.enqueue(1)
        raise KeyError
    assert add.get_result(result.id).status == TaskResultStatus.READY


# -- what is refused


def test_arguments_are_json(kit: Kit, database: Path) -> None:
    with pytest.raises(TypeError, match="Unsupported type"):
        add.enqueue(object())
    assert rows(database, "select count(*) from penstock_message") == [(0,)]


def test_a_result_of_another_task_or_of_no_task(kit: Kit) -> None:
    result = add.enqueue(1)
    with pytest.raises(TaskResultMismatch):
        fail.get_result(result.id)
    with pytest.raises(TaskResultDoesNotExist):
        add.get_result("no-such-id")
    own = app.find("pay").sync.enqueue(1)
    with pytest.raises(TaskResultDoesNotExist):
        default_task_backend.get_result(own.id)


def test_a_queue_that_the_settings_do_not_name(kit: Kit) -> None:
    with pytest.raises(InvalidTask, match="Queue 'nowhere' is not valid"):
        add.using(queue_name="nowhere")


def test_a_task_has_to_be_found_again() -> None:
    with pytest.raises(InvalidTask, match="module level"):

        @task
        def local() -> None: ...


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"QUEUES": []}, "QUEUES has to name the queues"),
        ({"OPTIONS": {"tries": 3}}, r"OPTIONS may have 'retry'.*not \['tries'\]"),
        ({"OPTIONS": {"retry": 3}}, r"OPTIONS may have 'retry', a penstock\.Retry; not 3"),
    ],
)
def test_settings_that_are_wrong(given: dict[str, Any], problem: str) -> None:
    with pytest.raises(InvalidTaskBackend, match=problem):
        PenstockBackend("default", given)


def test_a_check_finds_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert default_task_backend.check() == []
    monkeypatch.setattr(installed(), "application", None)
    (error,) = default_task_backend.check()
    assert error.id == "penstock.E001" and "settings lack PENSTOCK_APP" in error.msg


# -- options, names


def test_another_backend_has_its_own_policy(kit: Kit) -> None:
    quick = {"BACKEND": "penstock.integrations.django.tasks.PenstockBackend", "OPTIONS": {"retry": Retry(attempts=1)}}
    with override_settings(TASKS={"default": quick, "quick": quick}):
        result = fail.using(backend="quick").enqueue("at once")
        kit.sync.drain(raise_errors=False)
        found = task_backends["quick"].get_result(result.id)
        assert (found.status, found.attempts, found.backend) == (TaskResultStatus.FAILED, 1, "quick")
        with pytest.raises(TaskResultDoesNotExist):
            task_backends["default"].get_result(result.id)


def test_every_task_is_known_under_its_module_and_queue(kit: Kit) -> None:
    known = [name for name in app.definitions() if name.startswith(f"django.{TODO}.add")]
    assert known == [f"django.{TODO}.add", f"django.{TODO}.add:mail"]
    with pytest.raises(ConfigurationError, match="belongs to one app"):
        app.include(installed().tasks.router)


@pytest.mark.parametrize(("django", "ours"), [(-100, 0), (-1, 4), (0, 4), (11, 4), (12, 5), (50, 6), (99, 8), (100, 9)])
def test_priorities(django: int, ours: int) -> None:
    assert priority_of(django) == ours


def test_the_path_of_an_error_is_read_off_its_traceback() -> None:
    text = "Traceback …\na.b.Wrong: cause\n\nThe above …\n\nshop.errors.Outer.Wrong: x\n| note"
    assert path_of(Failure("Outer.Wrong", "x", text)) == "shop.errors.Outer.Wrong"
    assert path_of(Failure("Wrong", "x", text)) == "shop.errors.Outer.Wrong"
    assert path_of(Failure("KeyError", "x", "KeyError: 'shop.KeyError'")) == "builtins.KeyError"
