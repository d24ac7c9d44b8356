"""S1, S14: whoever can write into the store cannot have anything run, rebuilt or brought down by what stands in a body."""

from __future__ import annotations

import base64
import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest

from penstock import App
from penstock.cli import words
from penstock.errors import JobFailed
from tests.integration.cli.console import PATIENCE
from tests.threats.site import ONCE, Site, as_json, letter_of, nested


class Touch:
    """Unpickled, it runs a command."""

    def __init__(self, canary: Path) -> None:
        self._canary = canary

    def __reduce__(self) -> tuple[Callable[..., int], tuple[str]]:
        return os.system, (f"touch {self._canary}",)


def pickled(canary: Path, protocol: int) -> bytes:
    return pickle.dumps(Touch(canary), protocol)


def rebuilt(canary: Path) -> dict[str, object]:
    """What other libraries take for an object of a class that is named in it."""
    command = f"touch {canary}"
    return {
        "py/object": {"py/object": "os.system", "args": [command]},
        "py/reduce": {"py/reduce": [{"py/function": "os.system"}, {"py/tuple": [command]}]},
        "class": {"__class__": "os.system", "__init__": [command]},
        "type": {"$type": "os.system", "__type__": "os.system", "value": command},
        "dotted": "os.system",
        "reduce": {"__reduce__": ["os.system", [command]], "__setstate__": command},
        "proto": {"__proto__": {"polluted": True}, "__globals__": {}},
        "template": "{0.__class__.__init__.__globals__} %(x)s ${x} {{7*7}}",
        "yaml": f"!!python/object/apply:os.system ['{command}']",
    }


def bodies(canary: Path) -> dict[str, bytes]:
    """None of them is `{"order": 1}`."""
    foreign = {
        "pickle 0": pickled(canary, 0),
        "pickle 2": pickled(canary, 2),
        "pickle 5": pickled(canary, 5),
        "yaml": f"!!python/object/apply:os.system ['touch {canary}']".encode(),
        "python": f"__import__('os').system('touch {canary}')".encode(),
        "marshal": b"\xe3" + bytes(40),
        "gzip": b"\x1f\x8b\x08" + bytes(40),
        "empty": b"",
        "nul": b"\0",
        "invalid utf-8": b'{"order": "\xff\xfe"}',
        "lone surrogate": b'{"order": "\\ud800"}',
        "half": b'{"order"',
        "two": b'{"order": 1}{"order": 2}',
        "nan": b'{"order": NaN}',
        "infinity": b'{"order": -Infinity}',
        "null": b"null",
        "text for a number": b'{"order": "1"}',
        "digits": b'{"order": ' + b"9" * 100_000 + b"}",
        "beyond a float": b'{"order": ' + b"9" * 1_000 + b".5}",
        "exponent": b'{"order": 1e999999999}',
        "deep lists": nested(10_000),
        "deep argument": b'{"order": ' + nested(10_000) + b"}",
        "deep objects": b'{"order":' * 10_000 + b"1" + b"}" * 10_000,
        "deep note": b'{"order": 1, "note": ' + nested(10_000) + b"}",
        "many": b'{"order": [' + b"0," * 100_000 + b"0]}",
        "not closed": b"[" * 200_000,
    }
    return foreign | {name: as_json({"order": value}) for name, value in rebuilt(canary).items()}


def shop_of(site: Site) -> tuple[App, list[int]]:
    """An app, and the orders that its handler was called with."""
    app, handled = site.app(), list[int]()

    @app.task(queue="mail", retry=ONCE)
    async def read(order: int, note: object = None) -> int:
        handled.append(order)
        return order

    @app.task(queue="mail", retry=ONCE)
    async def keep(value: object) -> object:
        return value

    return app, handled


async def test_a_hostile_body_is_a_dead_letter_with_its_bytes(site: Site, tmp_path: Path) -> None:
    """Between good jobs, which are all done: the worker goes on."""
    canary = tmp_path / "canary"
    app, handled = shop_of(site)
    foreign = {name: site.put("shop.read", body) for name, body in bodies(canary).items()}
    good = [await app.find("read").enqueue(order) for order in range(20)]
    async with app.worker():
        assert [await job.result(timeout=PATIENCE) for job in good] == list(range(20))
        for name, job in foreign.items():
            with pytest.raises(JobFailed, match="UndecodablePayload"):
                await app.job(job).result(timeout=PATIENCE)
            letter = await letter_of(app, job)
            assert (name, letter.reason, letter.body) == (name, "undecodable", bodies(canary)[name])
    assert sorted(handled) == list(range(20))
    assert not canary.exists()


async def test_what_looks_like_an_object_is_no_argument(site: Site, tmp_path: Path) -> None:
    """Of another release, perhaps: it is retried like any failure, and never called."""
    canary = tmp_path / "canary"
    app, handled = shop_of(site)
    looks = {name: as_json(value) for name, value in rebuilt(canary).items() if isinstance(value, dict)}
    foreign = {site.put("shop.read", body): body for body in looks.values()}
    async with app.worker():
        for job, body in foreign.items():
            with pytest.raises(JobFailed, match="UnknownArgument"):
                await app.job(job).result(timeout=PATIENCE)
            letter = await letter_of(app, job)
            assert (letter.reason, letter.body) == ("failed 1 times", body)
    assert handled == []
    assert not canary.exists()


async def test_where_anything_is_taken_it_stays_what_it_says(site: Site, tmp_path: Path) -> None:
    """Dictionaries, lists and text, on the way in and on the way back."""
    canary = tmp_path / "canary"
    app, _ = shop_of(site)
    looks = rebuilt(canary)
    foreign = {site.put("shop.keep", as_json({"value": value})): value for value in looks.values()}
    async with app.worker():
        assert {job: await app.job(job).result(timeout=PATIENCE) for job in foreign} == foreign
    assert not canary.exists()


async def test_a_name_that_stands_twice_is_read_alike_by_everyone(site: Site) -> None:
    """The last one counts, where it runs and where an operator looks."""
    app, handled = shop_of(site)
    body = b'{"order": 1, "order": 2}'
    job = site.put("shop.read", body)
    async with app.worker():
        assert await app.job(job).result(timeout=PATIENCE) == words.value(body)["order"] == 2
    assert handled == [2]


@pytest.mark.parametrize("body", [nested(500), nested(10_000), b"[" * 200_000, b"[NaN]", b"9" * 100_000, b"\xff", b'"\\ud800"'])
def test_an_operator_can_look_at_any_body(body: bytes) -> None:
    """What would break the reader of the output is shown as the bytes that it is."""
    shown = json.dumps(words.value(body), indent=2, allow_nan=False, ensure_ascii=False).encode()
    assert base64.b64decode(json.loads(shown)["undecodable"]) == body
