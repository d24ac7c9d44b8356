"""S12, S13, S14: how much somebody sends is known before it is read, by the bytes that are there and not by what they claim."""

from __future__ import annotations

import gzip
import tracemalloc

import pytest

from penstock import App
from penstock.errors import JobFailed, PayloadError, PayloadTooLarge
from tests.integration.cli.console import PATIENCE
from tests.threats.site import ONCE, Site, letter_of

MANY = b'{"value": [' + b"[]," * 2_000_000 + b"0]}"
"""6 MB, that would be a list of 2,000,000 lists: 20 times as much."""
LIMIT = 4_096


def shop_of(site: Site) -> App:
    app = site.app(payload_limit=LIMIT)

    @app.task(queue="mail", retry=ONCE)
    async def keep(value: object) -> object:
        return value

    return app


@pytest.mark.parametrize("body", [MANY, MANY[: len(MANY) // 2], b"9" * len(MANY), b" " * len(MANY)])
async def test_a_body_above_the_limit_is_not_read(site: Site, body: bytes) -> None:
    """However it came into the store: it costs a few times its bytes, and the worker goes on."""
    app = shop_of(site)
    large, good = site.put("shop.keep", body), site.put("shop.keep", b'{"value": 1}')
    tracemalloc.start()
    try:
        async with app.worker():
            assert await app.job(good).result(timeout=PATIENCE) == 1
            with pytest.raises(JobFailed, match=f"the payload has {len(body)} bytes, the limit is {LIMIT}"):
                await app.job(large).result(timeout=PATIENCE)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 6 * len(body) + 8 * 2**20
    letter = await letter_of(app, large)
    assert (letter.reason, len(letter.body)) == ("undecodable", len(body))


@pytest.mark.parametrize("size", [LIMIT, LIMIT + 1])
async def test_the_limit_counts_bytes(site: Site, size: int) -> None:
    """The same for who enqueues and for what others have put: one byte more is too much."""
    app = shop_of(site)
    text = "x" * (size - len('{"value":""}'))
    job = site.put("shop.keep", f'{{"value":"{text}"}}'.encode())
    async with app.worker():
        if size == LIMIT:
            assert await (await app.find("keep").enqueue(text)).result(timeout=PATIENCE) == text
            assert await app.job(job).result(timeout=PATIENCE) == text
        else:
            with pytest.raises(PayloadTooLarge, match=f"take {size} bytes, the limit is {LIMIT}"):
                await app.find("keep").enqueue(text)
            with pytest.raises(JobFailed, match=f"has {size} bytes, the limit is {LIMIT}"):
                await app.job(job).result(timeout=PATIENCE)
    assert len(site.rows(f"select 1 from {site.table('message')}")) == (2 if size == LIMIT else 1)


@pytest.mark.parametrize("headers", [{"a": "x" * 16_384}, {str(n): "" for n in range(4_000)}])
def test_headers_have_a_limit(headers: dict[str, str]) -> None:
    app = App("sqlite:///never.db", name="shop")

    @app.task()
    async def read() -> None: ...

    with pytest.raises(PayloadTooLarge, match="the limit is 16384"):
        read.using(headers=headers)


async def test_nothing_is_unpacked(site: Site) -> None:
    """Whatever headers say: 3 MB in 3 kB stay 3 kB that are no JSON."""
    app = shop_of(site)
    packed = gzip.compress(b'{"value": "' + b"x" * 3_000_000 + b'"}', mtime=0)
    assert len(packed) < LIMIT
    job = site.put("shop.keep", packed, headers=b'{"content-encoding": "gzip", "compression": "gzip"}')
    async with app.worker():
        with pytest.raises(JobFailed, match="not JSON"):
            await app.job(job).result(timeout=PATIENCE)
    assert (await letter_of(app, job)).body == packed


@pytest.mark.parametrize("levels", [101, 500, 10_000])
async def test_who_enqueues_what_nests_too_deep_is_told(site: Site, levels: int) -> None:
    """In the caller's stack; and nothing is stored."""
    app = shop_of(site)
    deep: object = 0
    for _ in range(levels):
        deep = [deep]
    with pytest.raises(PayloadError, match=r"deeper than 100|recursion"):
        await app.find("keep").enqueue(deep)
    assert site.rows(f"select 1 from {site.table('message')}") == []
