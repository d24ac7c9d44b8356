"""A program that knows some tasks of an app, all of the queue `shared`:  clerk.py APP TASK…"""

from __future__ import annotations

import asyncio
import signal
import sys

from penstock import App, WorkerOptions

name, *tasks = sys.argv[1:]
app = App(name=name)


def declare(task: str) -> None:
    @app.task(name=task, queue="shared")
    async def run(n: int) -> str:
        print(f"{name} ran {task} {n}", flush=True)
        return name


async def main() -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with app.worker(WorkerOptions(lease=60)):
        print("ready", flush=True)
        await stop.wait()
    await app.close()


for each in tasks:
    declare(each)
asyncio.run(main())
