"""A worker of a limited queue that says when its jobs begin and end:  limited.py CONCURRENCY [RATE [hang]]"""

from __future__ import annotations

import asyncio
import signal
import sys
import time

from penstock import App

app = App(name="shop")
app.queue("mail", concurrency=int(sys.argv[1]), rate=sys.argv[2] if len(sys.argv) > 2 else None)


def say(what: str) -> None:
    print(what, time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000, flush=True)


@app.task(queue="mail")
async def send(n: int) -> None:
    say("began")
    if "hang" in sys.argv:
        await asyncio.Event().wait()
    for _ in range(3):
        await asyncio.sleep(0)
    say("ended")


async def main() -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with app.worker():
        print("ready", flush=True)
        await stop.wait()
    await app.close()


asyncio.run(main())
