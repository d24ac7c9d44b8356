"""`task.using(…)`: what it takes, what it makes of it, what it refuses."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from penstock import App, Retry, Router, Task, Unique
from penstock.api.codec import Codec
from penstock.errors import ConfigurationError, PayloadError, PayloadTooLarge
from penstock.model.chain import successor_of
from penstock.model.message import Message, Options, decode_options
from penstock.model.unique import Hold
from tests.unit.api.scripted import ScriptedStore, attach

SECOND = 1_000_000
NOON = datetime(2024, 5, 17, 12, tzinfo=UTC)
NOON_MICROS = 1_715_947_200_000_000


def a_task(app: App) -> Task[[int], None]:
    @app.task(queue="mail")
    async def send(a: int) -> None: ...

    return send


async def sent(app: App, task: Task[[int], None]) -> Message:
    store = attach(app, ScriptedStore())
    await task.enqueue(1)
    return store.messages[-1]


async def test_without_options(app: App) -> None:
    message = await sent(app, a_task(app))
    assert (message.queue, message.task, message.body, message.priority) == ("mail", "shop.send", b'{"a":1}', 4)
    assert (message.key, message.due, message.expires, message.headers, message.options, message.given) == (None,) * 5 + (False,)
    assert len(message.id) == 36


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"delay": 1.5}, {"due": None, "delay": 1_500_000}),
        ({"delay": 0}, {"due": None, "delay": 0}),
        ({"delay": timedelta(hours=1)}, {"due": None, "delay": 3600 * SECOND}),
        ({"at": NOON}, {"due": NOON_MICROS}),
        ({"expires": 60}, {"expires": None, "lifetime": 60 * SECOND}),
        ({"expires": timedelta(minutes=1)}, {"expires": None, "lifetime": 60 * SECOND}),
        ({"expires": NOON}, {"expires": NOON_MICROS}),
        ({"priority": 0}, {"priority": 0}),
        ({"priority": 9}, {"priority": 9}),
        ({"key": "user:7"}, {"key": "user:7"}),
        ({"id": "w-1"}, {"id": "w-1", "given": True}),
        ({"headers": {"tenant": "a"}}, {"headers": b'{"tenant":"a"}'}),
        ({"timeout": timedelta(seconds=5)}, {"options": b'{"timeout":5.0}'}),
        ({"retry": Retry(attempts=3)}, {"options": b'{"attempts":3,"first":1.0,"factor":2.0,"limit":3600.0}'}),
    ],
    ids=str,
)
async def test_an_option_becomes_part_of_the_message(app: App, options: dict[str, Any], expected: dict[str, Any]) -> None:
    message = msgspec.structs.asdict(await sent(app, a_task(app).using(**options)))
    assert {name: message[name] for name in expected} == expected


async def test_later_options_win_and_the_rest_stays(app: App) -> None:
    first = a_task(app).using(delay=5, key="a", priority=1, expires=60, timeout=3, headers={"x": "1"})
    message = await sent(app, first.using(at=NOON, priority=9, expires=NOON + timedelta(1), retry=Retry(attempts=2)))
    assert (message.due, message.key, message.priority) == (NOON_MICROS, "a", 9)
    assert message.expires == NOON_MICROS + 24 * 3600 * SECOND
    assert message.headers == b'{"x":"1"}'
    assert msgspec.json.decode(message.options or b"") == {"attempts": 2, "first": 1.0, "factor": 2.0, "limit": 3600.0, "timeout": 3.0}


async def test_options_do_not_leak(app: App) -> None:
    task = a_task(app)
    task.using(priority=9, key="a")
    message = await sent(app, task)
    assert (message.priority, message.key) == (4, None)


async def test_options_travel_with_a_bound_call(app: App) -> None:
    store = attach(app, ScriptedStore())
    task = a_task(app)
    jobs = await app.enqueue_many([task.using(priority=9).bind(1), task.using(id="w-1").bind(2), task.bind(3)])
    assert [message.priority for message in store.messages] == [9, 4, 4]
    assert [job.id for job in jobs] == [message.id for message in store.messages]
    assert jobs[1].id == "w-1"
    assert await app.enqueue_many([]) == []


async def test_a_bound_call_can_be_enqueued_twice(app: App) -> None:
    attach(app, ScriptedStore())
    call = a_task(app).bind(1)
    one, two = await app.enqueue_many([call, call])
    assert one.id < two.id


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"priority": 10}, "a priority is 0 to 9, 9 first"),
        ({"priority": -1}, "a priority is 0 to 9"),
        ({"priority": 1.5}, "a priority is 0 to 9"),
        ({"priority": True}, "a priority is 0 to 9"),
        ({"delay": -1}, "using(delay=…): -1 is not a length of time from 0 on"),
        ({"delay": timedelta(seconds=-1)}, "is not a length of time"),
        ({"delay": float("nan")}, "is not a length of time"),
        ({"delay": float("inf")}, "is not a length of time"),
        ({"delay": "1h"}, "neither a number of seconds nor a timedelta"),
        ({"delay": 1, "at": NOON}, "give one of the two"),
        ({"at": datetime(2024, 1, 1)}, "using(at=…): a datetime without a time zone names no instant"),
        ({"at": 5}, "5 is not a datetime"),
        ({"expires": datetime(2024, 1, 1)}, "using(expires=…): a datetime without a time zone"),
        ({"expires": -1}, "using(expires=…): -1 is not a length of time"),
        ({"expires": 0}, "it would expire before it may start"),
        ({"delay": 60, "expires": 30}, "it would expire before it may start"),
        ({"at": NOON, "expires": NOON}, "it would expire before it may start"),
        ({"key": "a b"}, "using(key=…): 'a b' is not a name: 1 to 128 of A-Z a-z 0-9 _ . : -"),
        ({"key": ""}, "is not a name"),
        ({"key": "a" * 129}, "is not a name"),
        ({"key": 7}, "7 is not a name"),
        ({"id": "a/b"}, "using(id=…): 'a/b' is not a name"),
        ({"headers": {"a": 1}}, "names and values are strings, got 'a': 1"),
        ({"headers": {1: "a"}}, "names and values are strings"),
        ({"retry": 3}, "pass a Retry"),
        ({"retry": Retry(give_up=(ValueError,))}, "exception types do not travel"),
        ({"timeout": 0}, "using(timeout=…): 0 is not a length of time above 0"),
        ({"timeout": float("inf")}, "is not a length of time above 0"),
    ],
    ids=str,
)
def test_an_option_that_cannot_be_is_refused(app: App, options: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        a_task(app).using(**options)
    assert problem in str(caught.value)


def test_headers_have_a_limit(app: App) -> None:
    with pytest.raises(PayloadTooLarge, match="the limit is 16384"):
        a_task(app).using(headers={"a": "x" * 20_000})


def test_an_unknown_option_is_a_type_error(app: App) -> None:
    with pytest.raises(TypeError, match="dealy"):
        a_task(app).using(dealy=5)  # type: ignore[call-arg]


# -- unique names and chains


async def test_a_unique_name_is_its_tasks_own(app: App) -> None:
    message = await sent(app, a_task(app).using(unique=Unique("n", until="start", window=timedelta(minutes=1)), timeout=5))
    assert message.unique == Hold("shop.send/n", "start", 60 * SECOND)
    assert decode_options(message.options) == Options(timeout=5.0, unique=message.unique)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("no name!",), "Unique.*no name!.*1 to 128"),
        ((7,), "Unique.*7"),
        (("n", "started"), "'done' or 'start'"),
        *[(("n", "done", window), "window=.*more than none") for window in (0, -1, "1h", float("nan"), float("inf"), timedelta(0))],
    ],
    ids=str,
)
def test_a_bad_unique_name_is_refused(arguments: tuple[Any, ...], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        Unique(*arguments)


async def test_what_follows_travels_with_the_first(app: App) -> None:
    task = a_task(app)
    third = task.using(id="third", delay=5, headers={"x": "y"}).bind(3)
    second = task.using(key="k", priority=9, expires=60, timeout=7, then=third).bind(2)
    message = await sent(app, task.using(then=second))
    then = successor_of(decode_options(message.options))
    assert then is not None and len(then.id) == 36 and then.id != message.id
    assert (then.task, then.queue, bytes(then.body), then.key, then.priority) == ("shop.send", "mail", b'{"a":2}', "k", 9)
    assert (then.lifetime, then.given) == (60 * SECOND, False)
    own = decode_options(bytes(then.options))
    last = successor_of(own)
    assert own.timeout == 7 and last is not None
    assert (last.id, last.given, last.delay, bytes(last.headers)) == ("third", True, 5 * SECOND, b'{"x":"y"}')
    assert successor_of(decode_options(bytes(last.options))) is None


async def test_each_call_has_a_successor_of_its_own(app: App) -> None:
    task = a_task(app)
    chained = task.using(then=task.bind(2))
    store = attach(app, ScriptedStore())
    for _ in range(2):
        await chained.enqueue(1)
    followers = [successor_of(decode_options(message.options)) for message in store.messages]
    assert len({each.id for each in followers if each is not None}) == 2


def test_what_cannot_follow_is_refused(app: App) -> None:
    task = a_task(app)
    wrong: list[tuple[Any, str]] = [
        (task, "a bound call"),
        (task.using(tx=None).bind(1), "joins the transaction that ends the first"),
        (task.using(unique=Unique("n")).bind(1), "must begin"),
    ]
    for then, said in wrong:
        with pytest.raises(ConfigurationError, match=said):
            task.using(then=then)
    with pytest.raises(ConfigurationError, match="pass a Unique"):
        task.using(unique="n")  # type: ignore[arg-type]


def test_what_follows_is_of_the_same_app(app: App) -> None:
    with pytest.raises(ConfigurationError, match="another app"):
        a_task(app).using(then=a_task(App(name="other")).bind(1)).bind(1)


def test_a_chain_ends_somewhere(app: App) -> None:
    task = a_task(app)
    call = task.bind(0)
    for _ in range(99):
        call = task.using(then=call).bind(0)
    with pytest.raises(ConfigurationError, match="at most 100 jobs"):
        task.using(then=call)


async def test_a_long_chain_of_a_router_packs_each_call_once(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    packed: list[tuple[Any, ...]] = []
    pack = Codec.pack

    def counted(codec: Codec, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bytes:
        packed.append(args)
        assert len(packed) <= 30
        return pack(codec, args, kwargs)

    monkeypatch.setattr(Codec, "pack", counted)
    router = Router()

    @router.task(queue="mail")
    async def send(a: int) -> None: ...

    call = send.bind(29)
    for number in reversed(range(1, 29)):
        call = send.using(then=call).bind(number)
    chained = send.using(then=call)
    app.include(router)
    store = attach(app, ScriptedStore())
    await chained.enqueue(0)
    assert sorted(packed) == [(number,) for number in range(30)]
    bodies, options = [store.messages[0].body], store.messages[0].options
    while (then := successor_of(decode_options(options))) is not None:
        bodies.append(bytes(then.body))
        options = bytes(then.options)
    assert bodies == [b'{"a":%d}' % number for number in range(30)]


async def test_a_call_that_could_not_be_packed_is_tried_again(app: App) -> None:
    router = Router()

    @router.task(queue="mail")
    async def send(a: list[int]) -> None: ...

    numbers: list[Any] = ["one"]
    call = send.bind(numbers)
    app.include(router)
    attach(app, ScriptedStore())
    with pytest.raises(PayloadError, match="Expected `int`"):
        await app.enqueue_many([call])
    numbers[0] = 1
    await app.enqueue_many([call])


def test_what_follows_has_a_limit_in_bytes() -> None:
    app = App(name="shop", payload_limit=1024)

    @app.task()
    async def note(text: str) -> None: ...

    with pytest.raises(PayloadTooLarge, match=r"shop\.note.*then.*limit is 1024"):
        note.using(then=note.using(then=note.bind("x" * 600)).bind("y" * 600)).bind("z")
