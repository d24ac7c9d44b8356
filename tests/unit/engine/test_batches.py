"""Batch tasks: many rows in one call, each with an end of its own."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from penstock.errors import LeaseLost, UnknownArgument
from penstock.model.delivery import Delivery
from penstock.model.events import Ended, Started, Trouble
from penstock.model.outcome import Dead, Done, Failed, Outcome, Released, Snoozed
from penstock.model.retry import PartialFailure, Reject, Retry, RetryAfter, Snooze
from penstock.ports.handler import Batch, Next
from tests.unit.engine.scripted import NOW, Bench, Task, soon

LONG = 3_600.0


class Rows(Task):
    """A batch task. Its function is given the bodies as text, and what surrounds the call unless it is bare."""

    def __init__(self, function: Callable[..., Any], size: int = 3, wait: float = LONG, **facts: Any) -> None:
        super().__init__(function, batch=Batch(size, wait), **facts)

    def decode(self, delivery: Delivery) -> Any:
        if delivery.body == b"newer":
            raise UnknownArgument("of another release")
        return super().decode(delivery).decode()

    def call(self, arguments: Any, scope: Any, injected: Any) -> Any:
        return self._function(arguments) if self.bare else self._function(arguments, scope)


class Calls:
    """A handler that notes what it was given, and raises what it is told to: for a call, or for a call that has a certain row."""

    def __init__(self, *errors: BaseException | None, poison: str = "") -> None:
        self.made: list[list[str]] = []
        self._errors = list(errors)
        self._poison = poison

    async def __call__(self, rows: list[str], scope: Any = None) -> None:
        self.made.append(rows)
        error = self._errors.pop(0) if self._errors else None
        if error is not None:
            raise error
        if self._poison and self._poison in rows:
            raise ValueError(f"{self._poison} is poison")


def put(bench: Bench, *names: str, **facts: Any) -> list[Delivery]:
    """A row each."""
    rows = [bench.store.delivery(body=name.encode(), **facts) for name in names]
    bench.queue.ready.extend([row] for row in rows)
    bench.store.ring()
    return rows


async def ends(bench: Bench, rows: Sequence[Delivery]) -> list[Outcome]:
    return [await bench.outcome(row) for row in rows]


async def kinds(bench: Bench, rows: Sequence[Delivery]) -> list[type[Outcome]]:
    return [type(outcome) for outcome in await ends(bench, rows)]


# -- what is in a batch


async def test_as_many_as_it_takes_are_one_call() -> None:
    calls = Calls()
    async with Bench(Rows(calls)) as bench:
        assert await ends(bench, put(bench, *"abcdef")) == [Done()] * 6
    assert calls.made == [["a", "b", "c"], ["d", "e", "f"]]


@pytest.mark.parametrize("admitted", [True, False])
async def test_what_its_limits_let_start_is_next_when_the_wait_is_over(admitted: bool) -> None:
    """It has its part of the limit already."""
    begun: list[str] = []
    go = asyncio.Semaphore(0)

    async def hold() -> None:
        begun.append("task")
        await go.acquire()

    async def handle(rows: list[str]) -> None:
        begun.append("batch")

    async with Bench(Task(hold), Rows(handle, name="rows", wait=0), concurrency=2) as bench:
        bench.queue.ready.extend([bench.store.delivery()] for _ in range(3))
        row = bench.store.put("rows", body=b"a", admitted=admitted)
        await bench.watch.until(lambda: not bench.queue.ready)
        for _ in range(30):
            await asyncio.sleep(0)
        assert begun == ["task", "task"]
        for _ in range(3):
            go.release()
        assert await bench.outcome(row) == Done()
        await soon(bench.worker.idle())
        assert begun.index("batch") == (2 if admitted else 3)


async def test_what_has_come_when_the_wait_is_over_is_one_call() -> None:
    calls = Calls()
    async with Bench(Rows(calls, size=100, wait=0.01)) as bench:
        assert await ends(bench, put(bench, *"ab")) == [Done()] * 2
    assert calls.made == [["a", "b"]]


async def test_rows_of_several_claims_come_together() -> None:
    calls = Calls()
    async with Bench(Rows(calls)) as bench:
        first = put(bench, "a")
        await bench.watch.until(lambda: not bench.queue.ready)
        assert await ends(bench, [*first, *put(bench, *"bc")]) == [Done()] * 3
    assert calls.made == [["a", "b", "c"]]


async def test_rows_of_an_alias_are_in_the_same_batch() -> None:
    calls = Calls()
    async with Bench(Rows(calls, size=2, aliases=("old",))) as bench:
        rows = [*put(bench, "a"), *put(bench, "b", task="old")]
        assert await ends(bench, rows) == [Done()] * 2
    assert calls.made == [["a", "b"]]


async def test_beside_ordinary_jobs() -> None:
    calls = Calls()

    async def nothing() -> None:
        pass

    async with Bench(Rows(calls), Task(nothing, name="plain")) as bench:
        rows = put(bench, *"abc")
        assert await bench.run("plain") == Done()
        assert await ends(bench, rows) == [Done()] * 3


async def test_a_suspect_is_a_batch_of_its_own_at_once() -> None:
    calls = Calls()
    async with Bench(Rows(calls)) as bench:
        suspect = bench.store.delivery(body=b"bad", deaths=2)
        bench.queue.suspects.append(suspect)
        bench.store.ring()
        assert await bench.outcome(suspect) == Done()
    assert calls.made == [["bad"]]


async def test_a_batch_takes_one_slot() -> None:
    running = most = 0

    async def handler(rows: list[str]) -> None:
        nonlocal running, most
        running, most = running + 1, max(most, running + 1)
        await asyncio.sleep(0)
        running -= 1

    async with Bench(Rows(handler), concurrency=1) as bench:
        assert await ends(bench, put(bench, *"abcdefghi")) == [Done()] * 9
        assert {claim.batches["task"] for claim in bench.queue.claims} == {3}
    assert most == 1


async def test_on_a_thread() -> None:
    made: list[list[str]] = []
    async with Bench(Rows(made.append, isolation="thread")) as bench:
        assert await ends(bench, put(bench, *"abc")) == [Done()] * 3
    assert made == [["a", "b", "c"]]


async def test_it_keeps_no_result() -> None:
    async def handler(rows: list[str]) -> str:
        return "indexed"

    async with Bench(Rows(handler)) as bench:
        assert await ends(bench, put(bench, *"abc")) == [Done(unavailable="a batch task keeps no results")] * 3


async def test_the_scope_names_all_rows() -> None:
    seen: list[Any] = []

    async def handler(rows: list[str], scope: Any) -> None:
        seen.append((scope.delivery.job_id, [row.job_id for row in scope.delivery.rows]))

    async with Bench(Rows(handler, bare=False)) as bench:
        rows = put(bench, *"abc")
        await ends(bench, rows)
    assert seen == [(rows[0].job_id, [row.job_id for row in rows])]


async def test_who_listens_hears_of_each_row() -> None:
    async with Bench(Rows(Calls(PartialFailure({1: ValueError("no")})))) as bench:
        bench.signals.listen(lambda event: None, detailed=True)
        rows = put(bench, *"abc")
        await ends(bench, rows)
        assert [event.delivery for event in bench.signals.of(Started)] == rows
        assert [type(event.outcome) for event in bench.signals.of(Ended)] == [Done, Failed, Done]


# -- when some fail


async def test_named_rows_fail_by_themselves() -> None:
    told: list[tuple[str, str]] = []
    errors = {0: OSError("refused"), 2: Reject("unknown"), 3: Snooze(5), 4: RetryAfter(7)}
    bench = Bench(Rows(Calls(PartialFailure(errors)), size=5), on_error=[lambda row, error: told.append((row.job_id, repr(error)))])
    async with bench:
        rows = put(bench, *"abcde")
        first, second, third, fourth, fifth = await ends(bench, rows)
        assert isinstance(first, Failed) and first.error.message == "refused"
        assert second == Done() and isinstance(third, Dead) and third.reason == "unknown"
        assert fourth == Snoozed(NOW + 5_000_000)
        assert isinstance(fifth, Failed) and fifth.due == NOW + 7_000_000
        await bench.worker.idle()
    assert told == [(rows[index].job_id, repr(errors[index])) for index in (0, 2, 4)]


async def test_each_row_has_its_own_attempts() -> None:
    async with Bench(Rows(Calls(PartialFailure({0: OSError(), 1: OSError()})), size=2, retry=Retry(attempts=3))) as bench:
        rows = [*put(bench, "a", attempt=3), *put(bench, "b", attempt=1)]
        assert await kinds(bench, rows) == [Dead, Failed]


async def test_a_partial_failure_that_names_nobody_is_none() -> None:
    async with Bench(Rows(Calls(PartialFailure({})))) as bench:
        assert await ends(bench, put(bench, *"abc")) == [Done()] * 3


async def test_a_partial_failure_that_names_a_row_too_many_is_like_any_error() -> None:
    calls = Calls(PartialFailure({3: OSError()}))
    async with Bench(Rows(calls)) as bench:
        assert await ends(bench, put(bench, *"abc")) == [Done()] * 3
    assert calls.made == [["a", "b", "c"], ["a"], ["b"], ["c"]]


@pytest.mark.parametrize("errors", [{"a": OSError()}, {-1: OSError()}, {0: "refused"}])
def test_a_partial_failure_takes_errors_by_index(errors: Any) -> None:
    with pytest.raises(TypeError, match="errors by the index of their row"):
        PartialFailure(errors)


async def test_after_any_other_error_the_rows_run_one_by_one() -> None:
    """Who fails alone has failed; what the batch did is counted for nobody."""
    told: list[Any] = []
    calls = Calls(poison="b")
    async with Bench(Rows(calls), on_error=[lambda row, error: told.append((row.body, str(error)))]) as bench:
        assert await kinds(bench, put(bench, *"abc")) == [Done, Failed, Done]
        await bench.worker.idle()
        (trouble,) = bench.signals.of(Trouble)
        assert "a batch of 3 failed" in trouble.where and str(trouble.error) == "b is poison"
    assert calls.made == [["a", "b", "c"], ["a"], ["b"], ["c"]]
    assert told == [(b"b", "b is poison")]


async def test_a_row_alone_fails_at_once() -> None:
    calls = Calls(poison="a")
    async with Bench(Rows(calls, size=1, retry=Retry(give_up=(ValueError,)))) as bench:
        assert await kinds(bench, put(bench, "a")) == [Dead]
    assert calls.made == [["a"]]


@pytest.mark.parametrize(("error", "end"), [(RetryAfter(1), Failed), (Snooze(1), Snoozed), (Reject("no"), Dead)])
async def test_what_is_said_of_all_rows_holds_for_each(error: Exception, end: type[Outcome]) -> None:
    calls = Calls(error)
    async with Bench(Rows(calls)) as bench:
        assert await kinds(bench, put(bench, *"abc")) == [end] * 3
    assert len(calls.made) == 1


async def test_undecodable_rows_end_before_the_call() -> None:
    calls = Calls()
    async with Bench(Rows(calls, size=4)) as bench:
        rows = put(bench, "a", "undecodable", "c", "newer")
        first, second, third, fourth = await ends(bench, rows)
        assert (first, third) == (Done(), Done())
        assert isinstance(second, Dead) and second.reason == "undecodable"
        assert isinstance(fourth, Failed) and fourth.error.type == "UnknownArgument"
    assert calls.made == [["a", "c"]]


async def test_if_no_row_can_be_decoded_nothing_is_called() -> None:
    calls = Calls()
    async with Bench(Rows(calls, size=2)) as bench:
        assert await kinds(bench, put(bench, "undecodable", "undecodable")) == [Dead, Dead]
        await soon(bench.worker.idle())
    assert calls.made == []


# -- when it is told to stop


class Held:
    """Begins, and goes on when it is let."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.go = asyncio.Event()
        self.stopped = 0

    async def __call__(self, rows: list[str], scope: Any = None) -> None:
        self.begun.set()
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.stopped += 1
            raise


async def test_a_timeout_is_a_failed_attempt_of_each_row() -> None:
    async with Bench(Rows(Held(), timeout=0.02)) as bench:
        outcomes = await ends(bench, put(bench, *"abc"))
        assert [outcome.error.type for outcome in outcomes if isinstance(outcome, Failed)] == ["TimeoutError"] * 3


async def test_a_handler_that_is_out_of_time_may_say_which_rows_are_not_done() -> None:
    async def handle(rows: list[str]) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise PartialFailure({2: OSError("no time")}) from None

    async with Bench(Rows(handle, timeout=0.02)) as bench:
        assert await kinds(bench, put(bench, *"abc")) == [Done, Done, Failed]


async def test_the_others_go_on_when_one_is_cancelled() -> None:
    held = Held()
    async with Bench(Rows(held)) as bench:
        rows = put(bench, *"abc")
        await soon(held.begun.wait())
        bench.queue.requests = [rows[1].seq]
        bench.store.ring()
        await bench.watch.until(lambda: bench.queue.asked_for_requests)
        held.go.set()
        assert await ends(bench, rows) == [Done()] * 3  # what is done stays done
    assert held.stopped == 0


async def test_it_is_stopped_when_all_are_cancelled() -> None:
    held = Held()
    async with Bench(Rows(held)) as bench:
        rows = put(bench, *"abc")
        await soon(held.begun.wait())
        bench.queue.requests = [row.seq for row in rows]
        bench.store.ring()
        assert await ends(bench, rows) == [Released()] * 3
    assert held.stopped == 1


async def test_a_cancelled_row_that_waits_is_left_out() -> None:
    calls = Calls()
    async with Bench(Rows(calls)) as bench:
        a, b = put(bench, *"ab")
        await bench.watch.until(lambda: not bench.queue.ready)
        bench.queue.requests = [a.seq]
        bench.store.ring()
        assert await bench.outcome(a) == Released()
        bench.queue.requests = []
        assert await ends(bench, [b, *put(bench, *"cd")]) == [Done()] * 3
    assert calls.made == [["b", "c", "d"]]


async def test_of_a_batch_that_waits_for_a_slot_only_the_cancelled_row_is_left_out() -> None:
    held = Held()
    async with Bench(Rows(held), concurrency=1) as bench:
        first = put(bench, *"abc")
        await soon(held.begun.wait())
        second = put(bench, *"def")
        await bench.watch.until(lambda: not bench.queue.ready)
        bench.queue.requests = [second[1].seq]
        bench.store.ring()
        assert await bench.outcome(second[1]) == Released()
        held.go.set()
        assert await ends(bench, [*first, second[0], second[2]]) == [Done()] * 5


async def test_rows_of_a_paused_queue_go_back() -> None:
    async with Bench(Rows(Calls())) as bench:
        rows = put(bench, *"ab")
        await bench.watch.until(lambda: not bench.queue.ready)
        bench.store.settings.stopped = frozenset(["q"])
        bench.store.ring()
        assert await ends(bench, rows) == [Released()] * 2


async def test_a_shutdown_releases_each_row() -> None:
    held = Held()
    async with Bench(Rows(held)) as bench:
        running = put(bench, *"abc")
        await soon(held.begun.wait())
        waiting = put(bench, *"de")
        await bench.watch.until(lambda: not bench.queue.ready)
        await soon(bench.worker.stop(now=True))
        assert await ends(bench, [*running, *waiting]) == [Released()] * 5
    assert held.stopped == 1


async def test_between_rows_that_run_one_by_one_a_shutdown_is_heard() -> None:
    held = Held()
    errors: list[Exception] = [ValueError("which one?")]

    async def handler(rows: list[str]) -> None:
        if errors:
            raise errors.pop()
        await held(rows)

    async with Bench(Rows(handler)) as bench:
        rows = put(bench, *"abc")
        await soon(held.begun.wait())
        await soon(bench.worker.stop(now=True))
        assert await ends(bench, rows) == [Released()] * 3


async def test_one_that_does_not_end_is_given_up_with_all_its_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("penstock.engine.workshop.GRACE", 0.01)
    never, begun = asyncio.Event(), asyncio.Event()

    async def stubborn(rows: list[str]) -> None:
        begun.set()
        while not never.is_set():
            try:
                await never.wait()
            except asyncio.CancelledError:
                continue

    async with Bench(Rows(stubborn)) as bench:
        rows = put(bench, *"abc")
        await soon(begun.wait())
        await soon(bench.worker.stop(now=True))
        assert await ends(bench, rows) == [Released()] * 3
        never.set()
        await asyncio.sleep(0)
        assert len(bench.queue.settled) == 3


async def test_rows_that_expired_meanwhile_are_not_called() -> None:
    calls = Calls()
    async with Bench(Rows(calls)) as bench:
        rows = [*put(bench, "a", expires=NOW), *put(bench, *"bc", expires=NOW + 1)]
        assert await ends(bench, rows) == [Released(), Done(), Done()]
    assert calls.made == [["b", "c"]]


# -- with a transaction


def transactional(calls: Calls, **facts: Any) -> Rows:
    return Rows(calls, bare=False, transactional=True, **facts)


def committed(bench: Bench) -> list[list[bytes]]:
    """By transaction, which rows it settled."""
    return [[each.delivery.body for each in tx.committed[1]] for tx in bench.store.transactions if tx.committed is not None]


async def test_all_rows_are_settled_in_one_transaction() -> None:
    async with Bench(transactional(Calls())) as bench:
        put(bench, *"abc")
        await bench.watch.until(lambda: committed(bench))
        await soon(bench.worker.idle())
        assert committed(bench) == [[b"a", b"b", b"c"]] and not bench.queue.settled


async def test_if_some_fail_the_others_run_again_without_them() -> None:
    calls = Calls(PartialFailure({1: OSError()}))
    async with Bench(transactional(calls)) as bench:
        rows = put(bench, *"abc")
        assert isinstance(await bench.outcome(rows[1]), Failed)
        await bench.watch.until(lambda: committed(bench))
        assert [tx.rolled_back for tx in bench.store.transactions] == [True, False]
        assert committed(bench) == [[b"a", b"c"]]
    assert calls.made == [["a", "b", "c"], ["a", "c"]]


async def test_after_any_other_error_each_row_has_a_transaction() -> None:
    async with Bench(transactional(Calls(poison="b"))) as bench:
        rows = put(bench, *"abc")
        assert isinstance(await bench.outcome(rows[1]), Failed)
        await bench.watch.until(lambda: len(committed(bench)) == 2)
        assert committed(bench) == [[b"a"], [b"c"]]


async def test_a_partial_failure_that_names_nobody_commits() -> None:
    async with Bench(transactional(Calls(PartialFailure({})))) as bench:
        put(bench, *"abc")
        await bench.watch.until(lambda: committed(bench))
        assert committed(bench) == [[b"a", b"b", b"c"]]


async def test_if_one_row_is_anothers_by_now_nothing_is_kept() -> None:
    async with Bench(transactional(Calls())) as bench:
        bench.store.commit_errors.append(LeaseLost("another's"))
        assert await ends(bench, put(bench, *"abc")) == [Released()] * 3
        assert bench.store.transactions[0].rolled_back


async def test_a_commit_that_fails_for_the_data_of_one_row_is_split() -> None:
    async with Bench(transactional(Calls())) as bench:
        bench.store.commit_errors.append(ValueError("foreign key"))
        put(bench, *"abc")
        await bench.watch.until(lambda: len(committed(bench)) == 3)
        assert committed(bench) == [[b"a"], [b"b"], [b"c"]]


# -- middleware


async def test_middleware_surrounds_a_call() -> None:
    seen: list[tuple[int, Outcome]] = []

    async def stage(delivery: Delivery, following: Next) -> Outcome:
        outcome = await following(delivery)
        seen.append((len(delivery.rows), outcome))
        return outcome

    async with Bench(Rows(Calls(PartialFailure({1: Reject("no")}))), stages=[stage]) as bench:
        assert await kinds(bench, put(bench, *"abc")) == [Done, Dead, Done]
        assert [(rows, type(outcome)) for rows, outcome in seen] == [(3, Dead)]


async def test_what_middleware_returns_instead_holds_for_all_rows() -> None:
    async def stage(delivery: Delivery, following: Next) -> Outcome:
        await following(delivery)
        return Snoozed(NOW + 1)

    async with Bench(Rows(Calls(ValueError())), stages=[stage]) as bench:
        assert await ends(bench, put(bench, *"abc")) == [Snoozed(NOW + 1)] * 3


async def test_middleware_is_told_that_rows_run_again() -> None:
    seen: list[Outcome] = []

    async def stage(delivery: Delivery, following: Next) -> Outcome:
        seen.append(await following(delivery))
        return seen[-1]

    async with Bench(Rows(Calls(poison="b")), stages=[stage]) as bench:
        await ends(bench, put(bench, *"abc"))
        assert [type(outcome) for outcome in seen] == [Released, Done, Failed, Done]
