"""A handler in the program that was started, of an app in another module:  apart_main.py, or -m apart_main"""

from __future__ import annotations

import asyncio
import os

from apart import ONCE, app


@app.task(isolation="process", retry=ONCE)
def started() -> int:
    return os.getpid()


async def main() -> None:
    async with app.worker():
        job = await started.enqueue()
        print("in a child:", await job.result(timeout=60) != os.getpid(), flush=True)
    await app.close()


if __name__ == "__main__":
    asyncio.run(main())
