"""What a worker and its child processes say, and how what happened is told. Real children: tests/integration/test_isolation.py."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Callable
from datetime import timedelta

import pytest
from msgspec import structs

from penstock.engine.executors import memory
from penstock.engine.executors.child import Child, Died, start_child
from penstock.engine.executors.inside import Inside
from penstock.engine.executors.meaning import error_of, raised
from penstock.engine.executors.memory import MemoryWatch, resident
from penstock.engine.executors.spawn import Spawned, told
from penstock.engine.executors.words import (
    Leave,
    Order,
    Progress,
    Raised,
    Ready,
    Reply,
    Returned,
    Stop,
    Work,
    decode_order,
    decode_reply,
    first_order,
    frame,
    next_frame,
)
from penstock.engine.nursery import Home
from penstock.engine.program import WorkerOptions
from penstock.errors import ChildDied, ChildRaised, ConfigurationError
from penstock.model.delivery import Delivery
from penstock.model.outcome import Dead, Failed, Failure, Snoozed
from penstock.model.retry import Reject, Retry, RetryAfter, Snooze, after_error, describe
from tests.unit.engine.scripted import NOW, Bench, Task, soon

HOME = Home("shop:app", "sqlite:///shop.db", ("/srv",), ("shop.py",), 1)
DELIVERY = Delivery(7, "job-7", "q", "task", 2, b'{"a":"\xc3\xa4"}', "k", b'{"h":"1"}', None, NOW)


# -- words


@pytest.mark.parametrize("word", [HOME, Work(DELIVERY), Stop(), Leave()], ids=lambda word: type(word).__name__)
async def test_an_order_arrives_as_it_was_said(word: Order) -> None:
    assert decode_order(await sent(frame(word))) == word


@pytest.mark.parametrize(
    "word",
    [
        Ready(),
        Progress(7, 0.5, "half"),
        Returned(b'"\xff"', None),
        Returned(None, "too large"),
        Raised(Failure("E", "m", "t"), "snooze", 1.5),
    ],
    ids=lambda word: type(word).__name__,
)
async def test_a_reply_arrives_as_it_was_said(word: Reply) -> None:
    assert decode_reply(await sent(frame(word))) == word


async def sent(data: bytes) -> bytes:
    stream = asyncio.StreamReader()
    stream.feed_data(data)
    body = await next_frame(stream)
    assert body is not None
    return body


@pytest.mark.parametrize("part", [b"", frame(Stop())[:2], frame(Stop())[:-1]], ids=["nothing", "half a length", "half a word"])
async def test_the_end_of_the_stream(part: bytes) -> None:
    stream = asyncio.StreamReader()
    stream.feed_data(part)
    stream.feed_eof()
    assert await next_frame(stream) is None
    ours, theirs = socket.socketpair()
    with theirs, ours:
        ours.sendall(part)
        ours.shutdown(socket.SHUT_WR)
        assert first_order(theirs) is None


def test_the_first_order_comes_in_pieces() -> None:
    ours, theirs = socket.socketpair()
    with theirs, ours:
        ours.sendall(frame(HOME) + frame(Leave()))
        assert first_order(theirs) == HOME
        assert first_order(theirs) == Leave()


# -- errors


def carried(error: BaseException, policy: Retry) -> Exception:
    word = decode_reply(frame(raised(error, policy))[4:])
    assert isinstance(word, Raised)
    return error_of(word)


def caught(error: Exception) -> Exception:
    try:
        raise error
    except Exception as again:
        return again


@pytest.mark.parametrize(
    ("error", "ends"),
    [
        (ValueError("no"), Failed),
        (KeyError("k"), Dead),
        (RetryAfter(timedelta(seconds=5)), Failed),
        (Snooze(5), Snoozed),
        (Reject("why"), Dead),
    ],
    ids=lambda value: getattr(value, "__name__", type(value).__name__),
)
def test_an_error_means_the_same_on_both_sides(error: Exception, ends: type) -> None:
    policy = Retry(give_up=(KeyError,))
    error = caught(error)
    here = after_error(error, policy, 1, NOW, 0.5)
    there = after_error(carried(error, policy), policy, 1, NOW, 0.5)
    assert isinstance(here, ends)
    assert there == here, "with the traceback of where it was raised"


def test_the_last_attempt_of_a_child() -> None:
    policy = Retry(attempts=2)
    outcome = after_error(carried(caught(ValueError("no")), policy), policy, 2, NOW, 0.5)
    assert isinstance(outcome, Dead) and outcome.reason == "failed 2 times"


def test_what_a_child_raised_can_be_logged() -> None:
    error = carried(caught(ValueError("no")), Retry())
    assert isinstance(error, ChildRaised)
    assert (str(error), error.type, error.message, error.gives_up) == ("ValueError: no", "ValueError", "no", False)
    assert describe(error) == Failure("ValueError", "no", error.traceback)
    assert error.__notes__ == [error.traceback] and "in caught\n" in error.traceback


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (0, "exit code 0"),
        (3, "exit code 3"),
        (-signal.SIGSEGV, "exit code -11 (SIGSEGV)"),
        (-signal.SIGKILL, "exit code -9 (SIGKILL), not sent by its worker: out of memory?"),
        (-63, "exit code -63 (signal 63)"),
    ],
)
def test_how_a_child_died(status: int, words: str) -> None:
    assert told(status) == words


# -- memory


async def test_who_uses_too_much_is_killed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "LOOK", 0.001)
    used = {1: 50_000_000, 2: 612_300_000}
    killed: asyncio.Queue[tuple[int, str]] = asyncio.Queue()
    watch = MemoryWatch(asyncio.get_running_loop(), lambda pid: used[pid])
    for pid, limit in ((1, 100_000_000), (2, 512_000_000)):
        watch.watch(pid, limit, lambda why, pid=pid: killed.put_nowait((pid, why)))
    assert await asyncio.wait_for(killed.get(), 10) == (2, "used 612 MB, its limit is 512 MB")
    used[1] = 100_000_001
    assert await asyncio.wait_for(killed.get(), 10) == (1, "used 100 MB, its limit is 100 MB")
    assert killed.empty()


async def test_who_ended_is_not_looked_at() -> None:
    loop = asyncio.get_running_loop()
    watch = MemoryWatch(loop, lambda pid: 0)
    watch.watch(1, 1, lambda why: None)
    timer = watch._timer
    assert timer is not None
    watch.forget(1)
    assert timer.cancelled() and watch._timer is None
    watch.forget(1)


def test_resident_memory() -> None:
    assert resident(0) == 0
    assert 5_000_000 < resident(os.getpid()) < 10_000_000_000


# -- a child that is a script


def speaker(script: str) -> tuple[str, ...]:
    """A child that says what it is told to."""
    return (sys.executable, "-c", f"import os, socket, sys\nend = socket.socket(fileno=int(sys.argv[1]))\n{script}")


def says(*words: Reply) -> str:
    """Once it was told something."""
    return f"end.recv(100_000)\nend.sendall({b''.join(map(frame, words))!r})\n"


async def ended(child: Child) -> None:
    child.kill()
    await soon(child.gone.wait())


async def test_progress_is_handed_on() -> None:
    heard: list[tuple[int, float, str]] = []
    script = says(Ready()) + says(Progress(7, 0.4, "rendering"), Returned(b"1"))
    child = await start_child(speaker(script), lambda *progress: heard.append(progress))
    await child.ready(HOME)
    assert await asyncio.wait_for(child.give(DELIVERY), 10) == Returned(b"1")
    assert heard == [(7, 0.4, "rendering")]
    await ended(child)


async def test_what_it_said_before_it_died_counts() -> None:
    child = await start_child(speaker(says(Ready()) + says(Returned(b"1")) + "os._exit(9)"), lambda *_: None)
    await child.ready(HOME)
    answer = child.give(DELIVERY)
    await soon(child.gone.wait())
    assert answer.result() == Returned(b"1")
    assert child.over


@pytest.mark.parametrize(
    ("script", "problem"),
    [
        ("sys.exit(4)", r"its child process died: exit code 4"),
        ("end.sendall(b'\\0\\0\\0\\2{]')\nend.recv(9)\nend.recv(9)", r"was killed: said what cannot be understood"),
        ("end.sendall(b'\\0\\0\\0\\4{\"a')\nend.close()", r"its child process died: exit code 0"),
    ],
    ids=["exit", "nonsense", "half a word"],
)
async def test_a_child_that_is_none(script: str, problem: str) -> None:
    child = await start_child(speaker(script), lambda *_: None)
    with pytest.raises(ChildDied, match=problem):
        await asyncio.wait_for(child.ready(HOME), 10)
    await soon(child.gone.wait())
    assert isinstance(await child.give(DELIVERY), Died), "one that is gone takes no work, and says so"


async def test_what_it_left_behind_may_write_on() -> None:
    class Endless(Spawned):
        reads: int | None = None

        def _reap(self) -> None:
            self.reads = 0
            super()._reap()

        def _pass_on(self) -> bool:
            if self.reads is None:
                return super()._pass_on()
            self.reads += 1
            assert self.reads < 1000
            return True

    over = asyncio.get_running_loop().create_future()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        Endless((sys.executable, "-c", ""), theirs, over.set_result)
        assert await asyncio.wait_for(over, 10) == 0


async def test_a_command_that_is_not_there() -> None:
    with pytest.raises(ChildDied, match=r"no child process can be started: .*nowhere"):
        await start_child(("/nowhere/python",), lambda *_: None)


# -- the inside


class Outside:
    """The worker's end of an `Inside`."""

    def __init__(self, *tasks: Task) -> None:
        self.routes = {task.name: task for task in tasks}

    async def __aenter__(self) -> Outside:
        ours, theirs = socket.socketpair()
        self.reader, self.writer = await asyncio.open_unix_connection(sock=ours)
        self.streams = await asyncio.open_unix_connection(sock=theirs)
        self.inside = Inside(self.routes, "state", self.streams)  # type: ignore[arg-type]
        self.serving = asyncio.create_task(self.inside.serve())
        assert await self.reply() == Ready()
        return self

    async def __aexit__(self, *error: object) -> None:
        self.writer.close()
        assert not await asyncio.wait_for(self.serving, 10) or self.left
        self.streams[1].close()

    left = False

    def say(self, word: Order) -> None:
        self.writer.write(frame(word))

    async def reply(self) -> Reply:
        body = await asyncio.wait_for(next_frame(self.reader), 10)
        assert body is not None
        return decode_reply(body)


async def test_jobs_follow_each_other() -> None:
    async with Outside(Task(lambda: b"here", asynchronous=False, isolation="process")) as outside:
        for _ in range(2):
            outside.say(Work(DELIVERY))
            assert await outside.reply() == Returned(b"here")
        outside.left = True
        outside.say(Leave())
        assert await asyncio.wait_for(outside.serving, 10)


async def test_progress_from_the_handlers_thread() -> None:
    tell: list[Callable[[int, float, str], None]] = []
    async with Outside(Task(lambda: tell[0](7, 0.5, "half"), asynchronous=False, isolation="process")) as outside:
        tell.append(outside.inside.progress)
        outside.say(Work(DELIVERY))
        assert [await outside.reply(), await outside.reply()] == [Progress(7, 0.5, "half"), Returned()]


async def test_a_stop_that_comes_with_its_job() -> None:
    """What the job before it was does not matter, and it answers."""
    never = Task(asyncio.Event().wait, isolation="process")
    thread = Task(lambda: b"here", asynchronous=False, isolation="process")
    thread.name = "thread"
    async with Outside(never, thread) as outside:
        for _ in range(2):
            outside.writer.write(frame(Work(DELIVERY)) + frame(Stop()))
            reply = await outside.reply()
            assert isinstance(reply, Raised) and reply.failure.type == "CancelledError"
            outside.writer.write(frame(Work(structs.replace(DELIVERY, task="thread"))) + frame(Stop()))
            assert await outside.reply() == Returned(b"here")


async def test_a_task_that_the_child_does_not_know() -> None:
    async with Outside() as outside:
        outside.say(Work(DELIVERY))
        reply = await outside.reply()
        assert isinstance(reply, Raised) and reply.failure.type == "ConfigurationError"
        assert "the child process does not know 'task'" in reply.failure.message


# -- where they are refused


@pytest.mark.parametrize("facts", [{"isolation": "process"}, {"isolation": "process", "memory": 10**9}])
async def test_without_an_app_there_are_no_children(facts: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError, match="needs an app that a fresh interpreter finds"):
        await Bench(Task(lambda: None, **facts)).worker.start()


@pytest.mark.parametrize("options", [{"children": 0}, {"child_jobs": 0}, {"child_idle": 0}, {"stuck_after": -1}], ids=str)
def test_options_that_cannot_be(options: dict[str, int]) -> None:
    with pytest.raises(ConfigurationError, match=rf"WorkerOptions\({next(iter(options))}="):
        WorkerOptions(**options)  # type: ignore[arg-type]


@pytest.mark.parametrize(("concurrency", "children", "most"), [(1, None, 1), (100, 7, 7), (2, None, 2)])
def test_how_many_children(concurrency: int, children: int | None, most: int) -> None:
    assert WorkerOptions(concurrency=concurrency, children=children).most_children == most
    assert WorkerOptions(concurrency=1000).most_children >= 2
