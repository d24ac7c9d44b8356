"""How one delivery ends."""

import asyncio
import math
from contextvars import ContextVar
from datetime import timedelta
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest

from penstock.engine.stages.verdict import Judge
from penstock.errors import Unwanted
from penstock.model.delivery import Delivery
from penstock.model.events import Ended, Started, Trouble
from penstock.model.message import Options
from penstock.model.outcome import Dead, Done, Failed, Outcome, Released, Snoozed
from penstock.model.retry import Reject, Retry, RetryAfter, Snooze
from penstock.ports.handler import Next
from tests.unit.engine.scripted import NOW, Bench, Task

SECOND = 1_000_000


def raising(error: BaseException) -> Any:
    async def handler() -> None:
        raise error

    return handler


def returning(value: object) -> Any:
    async def handler() -> object:
        return value

    return handler


async def run(route: Task, **facts: Any) -> Outcome:
    async with Bench(route) as bench:
        return await bench.run(**facts)


async def test_a_handler_that_returns_nothing_is_done() -> None:
    assert await run(Task(returning(None))) == Done()


async def test_a_result_is_kept() -> None:
    assert await run(Task(returning(b"42"))) == Done(b"42")


async def test_a_result_that_cannot_be_encoded_does_not_fail_its_job() -> None:
    outcome = await run(Task(returning(object())))
    assert outcome == Done(unavailable="TypeError: cannot encode object")


async def test_what_cannot_be_decoded_is_dead_with_the_error() -> None:
    outcome = await run(Task(returning(None)), body=b"undecodable")
    assert isinstance(outcome, Dead) and outcome.error and outcome.reason == "undecodable"
    assert (outcome.error.type, outcome.error.message) == ("ValueError", "not what it expects")


async def test_an_error_is_retried_later() -> None:
    outcome = await run(Task(raising(OSError("no")), retry=Retry(first=8, factor=2)))
    assert isinstance(outcome, Failed) and NOW <= outcome.due < NOW + 8 * SECOND
    assert outcome.error.type == "OSError" and "raise error" in outcome.error.traceback


@pytest.mark.parametrize(("attempt", "ceiling"), [(1, 8), (2, 16), (3, 32), (5, 100)])
async def test_waits_grow_to_their_limit(attempt: int, ceiling: float) -> None:
    async def handler() -> None:
        raise OSError

    async with Bench(Task(handler, retry=Retry(first=8, factor=2, limit=100))) as bench:
        deliveries = [bench.store.put(attempt=attempt) for _ in range(200)]
        outcomes = [await bench.outcome(delivery) for delivery in deliveries]
    waits = [(outcome.due - NOW) / SECOND for outcome in outcomes if isinstance(outcome, Failed)]
    assert len(waits) == 200 and max(waits) < ceiling
    assert math.isclose(max(waits), ceiling, rel_tol=0.1) and min(waits) < ceiling / 10


async def test_the_last_attempt_is_dead() -> None:
    assert isinstance(await run(Task(raising(OSError()), retry=Retry(attempts=3)), attempt=2), Failed)
    outcome = await run(Task(raising(OSError()), retry=Retry(attempts=3)), attempt=3)
    assert isinstance(outcome, Dead) and outcome.reason == "failed 3 times"


async def test_the_message_overrides_its_task() -> None:
    task = Task(raising(OSError()), retry=Retry(attempts=3, first=1, give_up=(KeyError,)))
    outcome = await run(task, options=Options(attempts=1))
    assert isinstance(outcome, Dead) and outcome.reason == "failed 1 times"
    outcome = await run(task, attempt=9, options=Options(attempts=10, first=0.0))
    assert isinstance(outcome, Failed) and outcome.due == NOW


async def test_options_that_cannot_be_read_are_none() -> None:
    assert isinstance(await run(Task(raising(OSError())), options=b"\xff{"), Failed)


async def test_errors_to_give_up_on_are_dead() -> None:
    outcome = await run(Task(raising(KeyError("x")), retry=Retry(give_up=(LookupError,))))
    assert isinstance(outcome, Dead) and outcome.reason == "gave up on KeyError"


async def test_a_handler_can_say_when() -> None:
    assert await run(Task(raising(Snooze(timedelta(seconds=5))))) == Snoozed(NOW + 5 * SECOND)
    outcome = await run(Task(raising(RetryAfter(7))))
    assert isinstance(outcome, Failed) and outcome.due == NOW + 7 * SECOND
    outcome = await run(Task(raising(Reject("spam"))))
    assert isinstance(outcome, Dead) and outcome.reason == "spam"


@pytest.mark.parametrize("error", [asyncio.CancelledError(), SystemExit(3)])
async def test_no_handler_takes_the_worker_with_it(error: BaseException) -> None:
    outcome = await run(Task(raising(error)))
    assert isinstance(outcome, Failed) and outcome.error.type == type(error).__name__


async def test_an_error_whose_text_cannot_be_had_or_written() -> None:
    class Broken(Exception):
        def __str__(self) -> str:
            raise ValueError

    outcome = await run(Task(raising(Broken())))
    assert isinstance(outcome, Failed) and "cannot be had" in outcome.error.message
    outcome = await run(Task(raising(OSError("\udcff\0"))))
    assert isinstance(outcome, Failed) and outcome.error.message == "\\udcff\\x00"


async def test_an_unknown_task_is_released() -> None:
    assert await run(Task(returning(None)), task="other") == Released()


async def test_an_alias_is_the_task() -> None:
    async with Bench(Task(returning(b"1"), aliases=("old",))) as bench:
        assert await bench.run("old") == Done(b"1")
        assert bench.queue.claims[0].tasks == {"task", "old"}


async def test_what_surrounds_a_handler() -> None:
    seen: list[Any] = []

    async def handler(scope: Any, injected: Any) -> None:
        seen.extend([scope.delivery, scope.state, scope.transaction, scope.cancellation.is_set(), injected])

    task = Task(handler, bare=False, injected={"db": 1})
    async with Bench(task, state="pool") as bench:
        delivery = bench.store.put()
        assert await bench.outcome(delivery) == Done()
    assert seen == [delivery, "pool", None, False, {"db": 1}]


async def test_hooks_are_told_of_failed_attempts() -> None:
    told: list[tuple[int, BaseException]] = []

    async def hook(delivery: Delivery, error: BaseException) -> None:
        told.append((delivery.seq, error))

    def broken(delivery: Delivery, error: BaseException) -> None:
        raise RuntimeError("the hook")

    error = OSError()
    tasks = Task(raising(error)), Task(raising(Snooze(1)), name="later"), Task(returning(None), name="fine")
    async with Bench(*tasks, on_error=(broken, hook)) as bench:
        failed = bench.store.put()
        for name in ("later", "fine"):
            bench.store.put(name)
        undecodable = bench.store.put("fine", body=b"undecodable")
        await bench.worker.idle()
        assert told == [(failed.seq, error), (undecodable.seq, told[1][1])] and isinstance(told[1][1], ValueError)
        assert [str(trouble.error) for trouble in bench.signals.of(Trouble)] == ["the hook"] * 2


async def test_middleware_is_folded_in_order() -> None:
    order: list[str] = []

    def stage(name: str) -> Any:
        async def around(delivery: Delivery, following: Next) -> Outcome:
            order.append(f"{name} in")
            outcome = await following(delivery)
            order.append(f"{name} out: {type(outcome).__name__}")
            return outcome

        return around

    async def handler() -> None:
        order.append("handler")
        raise OSError

    async with Bench(Task(handler), stages=[stage("outer"), stage("inner")]) as bench:
        await bench.run()
    assert order == ["outer in", "inner in", "handler", "inner out: Failed", "outer out: Failed"]


async def test_a_stage_may_answer_itself_but_must_answer() -> None:
    async def shut(delivery: Delivery, following: Next) -> Outcome:
        return Dead("shut")

    async def forgetful(delivery: Delivery, following: Next) -> Any:
        await following(delivery)

    async def broken(delivery: Delivery, following: Next) -> Outcome:
        raise OSError("the stage")

    async with Bench(Task(returning(None)), stages=[shut]) as bench:
        assert await bench.run() == Dead("shut")
    async with Bench(Task(returning(None)), stages=[forgetful]) as bench:
        outcome = await bench.run()
        assert isinstance(outcome, Failed) and "not an Outcome" in outcome.error.message
    async with Bench(Task(returning(None)), stages=[broken]) as bench:
        outcome = await bench.run()
        assert isinstance(outcome, Failed) and outcome.error.message == "the stage"


async def test_single_deliveries_are_told_only_to_those_who_ask() -> None:
    async with Bench(Task(returning(None))) as bench:
        await bench.run()
        assert not bench.signals.of(Started, Ended)
        details: list[Any] = []
        undo = bench.signals.listen(details.append, detailed=True)
        delivery = bench.store.put()
        await bench.outcome(delivery)
        undo()
        await bench.run()
    assert Started(delivery) in details
    (ended,) = [event for event in details if isinstance(event, Ended)]
    assert ended.delivery == delivery and ended.outcome == Done() and ended.seconds >= 0


async def test_what_a_handler_sets_in_its_context_is_its_own() -> None:
    seen: list[int] = []
    variable = ContextVar("variable", default=0)

    async def handler() -> None:
        seen.append(variable.get())
        variable.set(1)

    async with Bench(Task(handler), concurrency=1) as bench:
        for _ in range(4):
            bench.store.put()
        await bench.worker.idle()
    assert seen == [0] * 4


@pytest.mark.parametrize(("age", "wait"), [(-5, 0.02), (0, 0.02), (0.03, 0.02), (0.5, 0.25), (2, 1), (3600, 1)])
def test_an_event_for_another_release_is_offered_again_soon_while_it_is_new(age: float, wait: float) -> None:
    """Whoever is free takes it, so that it may need many offers."""
    clock: Any = SimpleNamespace(now=lambda: NOW)
    table: Any = None
    event = Delivery(1, "j", "q", "t", 1, b"", enqueued=NOW - round(age * SECOND))
    assert Judge(table, clock, Random(1)).undecodable(event, Unwanted("of another release")) == Snoozed(
        NOW + round(wait * SECOND), unwanted=True
    )
