"""A context manager around a handler in a child process."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from penstock import App, WorkerOptions

app = App(name="shop")
inside: ContextVar[int | None] = ContextVar("inside", default=None)


@contextmanager
def marked() -> Iterator[None]:
    token = inside.set(os.getpid())
    try:
        yield
    finally:
        inside.reset(token)


app.around(marked)


@app.task(isolation="process")
def where() -> tuple[int | None, int]:
    return inside.get(), os.getpid()


async def main() -> None:
    async with app.worker(WorkerOptions(children=1)):
        entered, pid = await (await where.enqueue()).result()
    await app.close()
    print(f"entered in {'the child' if entered == pid != os.getpid() else entered}", flush=True)


if __name__ == "__main__":
    asyncio.run(main())
