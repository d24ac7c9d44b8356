"""Arguments and results as JSON: what travels, what is refused, and where."""

from __future__ import annotations

import enum
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal, NewType, TypedDict

import attrs
import msgspec
import pydantic
import pytest

from penstock import App, Context, Delivery, inject
from penstock.api.codec import Codec, ResultCodec, pack_result
from penstock.api.route import HandlerRoute
from penstock.errors import ConfigurationError, PayloadError, PayloadTooLarge, UndecodablePayload, UnknownArgument

if TYPE_CHECKING:
    from nowhere import Missing  # type: ignore[import-not-found]


class Colour(enum.Enum):
    RED = "red"


class Address(TypedDict):
    city: str


UserId = NewType("UserId", int)


@dataclass
class Line:
    sku: str
    count: int = 1
    tags: list[str] = field(default_factory=list)


class Point(msgspec.Struct):
    x: int
    y: int


@attrs.define
class Box:
    width: int


class Order(pydantic.BaseModel):
    id: int
    total: Decimal = pydantic.Field(default=Decimal("0.10"), alias="sum")
    placed: datetime | None = None

    @pydantic.computed_field  # type: ignore[prop-decorator]
    @property
    def label(self) -> str:
        return f"#{self.id}"


def route(function: Callable[..., Any], **options: Any) -> HandlerRoute:
    app = App(name="shop", **options)
    app.task(name="it")(function)
    (only,) = app.routes().values()
    assert isinstance(only, HandlerRoute)
    return only


def codec(function: Callable[..., Any], **options: Any) -> Codec:
    coding = route(function, **options)._coding
    assert isinstance(coding, Codec)
    return coding


def pack(function: Callable[..., Any], *args: Any, **kwargs: Any) -> bytes:
    return codec(function).pack(args, kwargs)


def there_and_back(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """What the function returns when a worker calls it."""
    one = route(function)
    return one.call(one.decode(carrying(pack(function, *args, **kwargs))), None, {})


def carrying(body: bytes) -> Delivery:
    return Delivery(1, "job", "queue", "task", 1, body)


MOMENT = datetime(2024, 5, 17, 12, 30, 15, 123456, UTC)
VALUES: list[tuple[Any, Any]] = [
    (int, 7),
    (int, 2**63),
    (float, 0.1),
    (float, 3),
    (bool, True),
    (str, 'ü "quoted" \u2028'),
    (bytes, b"\x00\xff"),
    (None, None),
    (int | None, None),
    (datetime, MOMENT),
    (date, date(2024, 5, 17)),
    (timedelta, timedelta(minutes=5, microseconds=3)),
    (Decimal, Decimal("0.10")),
    (uuid.UUID, uuid.UUID(int=7)),
    (Colour, Colour.RED),
    (Literal["a", "b"], "b"),
    (UserId, 7),
    (Address, {"city": "Bonn"}),
    (list[int], [1, 2]),
    (tuple[int, str], (1, "a")),
    (set[int], {1, 2}),
    (dict[str, list[Line]], {"a": [Line("x", 2, ["t"])]}),
    (dict[int, str], {1: "a"}),
    (Line, Line("x")),
    (Point, Point(1, 2)),
    (Box, Box(3)),
    (list[Point | None], [Point(1, 2), None]),
    (Order, Order(id=1, sum=Decimal("1.50"), placed=MOMENT)),
    (Order | None, None),
    (list[Order], [Order(id=1), Order(id=2)]),
    (Any, {"a": [1, "x", None, 1.5]}),
    (object, [1]),
]


@pytest.mark.parametrize(("kind", "value"), VALUES, ids=str)
def test_a_value_comes_back_as_it_went(kind: Any, value: Any) -> None:
    def handler(it):  # type: ignore[no-untyped-def]
        return it

    handler.__annotations__["it"] = kind
    back = there_and_back(handler, value)
    assert back == value
    assert type(back) is type(value) or kind is float


def test_anything_may_have_a_default() -> None:
    def handler(a: object = None, b: Any = None, c: Order | None = None, d: bytes = b"x") -> tuple[object, Any, Order | None, bytes]:
        return a, b, c, d

    assert there_and_back(handler) == (None, None, None, b"x")
    assert there_and_back(handler, 1, [2], Order(id=3), b"") == (1, [2], Order(id=3), b"")


def test_without_annotations_json_values_travel() -> None:
    def handler(a, b=None):  # type: ignore[no-untyped-def]
        return a, b

    assert there_and_back(handler, {"x": 1}, b=[1]) == ({"x": 1}, [1])


def test_arguments_are_stored_by_name() -> None:
    def handler(a: int, b: str = "x", *, c: int, d: int = 4) -> tuple[int, str, int, int]:
        return a, b, c, d

    assert pack(handler, 1, c=3) == b'{"a":1,"c":3}'
    assert pack(handler, 1, "x", c=3, d=4) == b'{"a":1,"b":"x","c":3,"d":4}'
    assert there_and_back(handler, 1, c=3) == (1, "x", 3, 4)
    assert there_and_back(handler, a=1, c=3, b="y", d=5) == (1, "y", 3, 5)


def test_a_default_need_not_be_encodable_and_is_the_runners() -> None:
    nothing = object()

    def handler(a: int, b: Any = nothing) -> bool:
        return b is nothing

    assert there_and_back(handler, 1)
    assert not there_and_back(handler, 1, None)


# -- refused where it is enqueued


async def mail(user_id: int, address: str, *, copies: int = 1) -> None: ...
async def client_of(ctx: Context, a: int, client: object = inject(object), b: int = 0) -> None: ...


@pytest.mark.parametrize(
    ("function", "args", "kwargs", "message"),
    [
        (mail, (7,), {}, "shop.it: missing required argument 'address'"),
        (mail, (), {}, "shop.it: missing required argument 'user_id'"),
        (mail, (7, "a", 2), {}, "shop.it: extra positional arguments provided"),
        (mail, (7, "a"), {"adress": "b"}, "shop.it: unexpected keyword argument 'adress'"),
        (mail, (7, "a"), {"user_id": 7}, "shop.it: argument 'user_id' given by name and position"),
        (mail, (7, "a"), {"delay": 5}, "shop.it: unexpected keyword argument 'delay'"),
        (client_of, (1,), {"client": 1}, "shop.it: 'client' is injected by the worker; leave it out"),
        (client_of, (1,), {"ctx": 1}, "shop.it: 'ctx' is injected by the worker; leave it out"),
        (client_of, (1, 2), {}, "shop.it: extra positional arguments provided"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_a_call_of_the_wrong_shape_is_a_type_error(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], message: str
) -> None:
    with pytest.raises(TypeError) as caught:
        pack(function, *args, **kwargs)
    assert str(caught.value) == message


async def takes_float(it: float | None) -> None: ...
async def takes_any(it: Any) -> None: ...
async def takes_text(it: str) -> None: ...
async def takes_bytes(it: bytes) -> None: ...
async def takes_order(it: Order) -> None: ...
async def takes_line(it: Line) -> None: ...


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth - 2):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("function", "value", "message"),
    [
        (mail, "7", "Expected `int`, got `str` - at `$.user_id`"),
        (mail, None, "Expected `int`, got `null`"),
        (mail, 7.5, "Expected `int`, got `float`"),
        (mail, float("nan"), "Expected `int`, got `null`"),
        (mail, nested(3), "Expected `int`, got `array`"),
        (takes_float, float("nan"), "NaN and infinity cannot travel"),
        (takes_any, {"deep": [float("-inf"), "null"]}, "NaN and infinity cannot travel"),
        (takes_any, Line("x", float("nan")), "NaN and infinity cannot travel"),  # type: ignore[arg-type]
        (takes_any, nested(101), "nest deeper than 100"),
        (takes_any, nested(100_000), "recursion"),
        (takes_any, object(), "a object cannot travel as JSON: pass an id"),
        (takes_any, {1j: 2}, ""),
        (takes_bytes, "aGk=", "expected `bytes`, got `str`"),
        (takes_order, {"id": "x"}, "valid integer"),
        (takes_order, Order.model_construct(id=1, placed="soon"), "placed"),
        (takes_line, {"sku": 1}, "Expected `str`, got `int` - at `$.it.sku`"),
    ],
    ids=lambda value: value if isinstance(value, str) and len(value) > 1 else None,
)
def test_a_value_that_cannot_travel_is_a_payload_error(function: Callable[..., Any], value: Any, message: str) -> None:
    arguments = (value, "a") if function is mail else (value,)
    with pytest.raises(PayloadError, match=r"shop\.it: ") as caught:
        pack(function, *arguments)
    assert message in str(caught.value)


def test_what_only_looks_dangerous_travels() -> None:
    harmless: Any
    for harmless in (None, "null", ["null", None], "[" * 500, [[]] * 500, nested(100)):
        assert there_and_back(takes_any_def, harmless) == harmless


def takes_any_def(it: Any) -> Any:
    return it


def test_the_limit_counts_bytes() -> None:
    assert len(codec(takes_any, payload_limit=1024).pack(("x" * 1000,), {})) == 1009
    for function in (takes_any, takes_text):
        with pytest.raises(PayloadTooLarge, match="the arguments take 1029 bytes, the limit is 1024"):
            codec(function, payload_limit=1024).pack(("ü" * 510,), {})


async def test_arguments_given_as_json_are_checked_too() -> None:
    app = App(name="shop")
    task = app.task()(mail)
    assert task.bind_json('{"user_id": 1, "address": "a"}').packed().body == b'{"user_id":1,"address":"a"}'
    for wrong in ('{"user_id": "1", "address": "a"}', '{"user_id": 1}', "[", '{"user_id": 1, "address": "a", "x": 1}'):
        with pytest.raises(PayloadError):
            task.bind_json(wrong)


# -- refused where it is decoded


@pytest.mark.parametrize(
    "body",
    [b"", b"\xff\xfe", b"[]", b"null", b'{"user_id": 1}', b'{"user_id": "1", "address": "a"}', b'{"user_id": 1, "address"', b"[" * 9999],
)
def test_what_cannot_be_decoded_says_so(body: bytes) -> None:
    with pytest.raises(UndecodablePayload, match=r"shop\.it") as caught:
        codec(mail).unpack(body)
    assert type(caught.value) is UndecodablePayload
    assert caught.value.__cause__ is not None


def test_an_argument_of_another_release_is_not_dropped() -> None:
    with pytest.raises(UnknownArgument, match="does not know the argument 'template', 'when'"):
        codec(mail).unpack(b'{"user_id": 1, "address": "a", "when": 1, "template": "b"}')


def test_a_payload_above_the_limit_is_not_decoded() -> None:
    with pytest.raises(UndecodablePayload, match="has 2000 bytes, the limit is 1024"):
        codec(mail, payload_limit=1024).unpack(b" " * 2000)


# -- annotations


def test_annotations_may_name_what_comes_later() -> None:
    app = App(name="shop")

    @app.task()
    async def later(it: Late) -> Late:
        return it

    @dataclass
    class Late:
        a: int

    # `Late` is local and was not there yet: only names of the module can come later
    with pytest.raises(ConfigurationError, match=r"test_codec\.py:\d+: task 'later': the type of 'it' cannot be resolved"):
        app.routes()

    globals()["Late"] = Late
    try:
        assert app.routes()["shop.later"].decode(carrying(b'{"it": {"a": 1}}')).it == Late(1)
    finally:
        del globals()["Late"]


def test_annotations_may_name_what_is_local() -> None:
    @dataclass
    class Local:
        a: int

    app = App(name="shop")

    @app.task()
    def handler(it: Local) -> Local:
        return it

    assert app.routes()["shop.handler"].decode(carrying(b'{"it": {"a": 1}}')).it == Local(1)


async def missing(ctx: Context, a: int, it: Missing) -> None: ...


class Session: ...


async def two_models(it: Order | Address | Line) -> None: ...


async def test_a_type_that_cannot_be_resolved_is_named_where_it_is_needed() -> None:
    app = App(name="shop")
    task = app.task()(missing)
    with pytest.raises(ConfigurationError, match=r"task 'missing': the type of 'it' cannot be resolved: name 'Missing'"):
        app.routes()
    with pytest.raises(ConfigurationError, match="not only under TYPE_CHECKING"):
        await task.enqueue(1, None)


def test_a_type_that_cannot_be_compiled_is_named() -> None:
    with pytest.raises(ConfigurationError, match="parameter 'it' cannot travel as JSON"):
        route(two_models)


# -- results


def test_results_come_back_as_annotated() -> None:
    for kind, value in VALUES:
        assert ResultCodec("it", kind).unpack(pack_result("it", value, 1000)) == value


@pytest.mark.parametrize(
    "value", [object(), float("nan"), nested(200), "x" * 1000, [{1: object()}]], ids=lambda value: type(value).__name__
)
def test_a_result_that_cannot_be_kept_says_why(value: Any) -> None:
    with pytest.raises(PayloadError, match="it: "):
        pack_result("it", value, 1000)


def test_a_result_that_is_not_as_annotated_says_so() -> None:
    with pytest.raises(PayloadError, match="not what its annotation says"):
        ResultCodec("it", int).unpack(b'"a"')
