"""A worker whose `on_dead` hook is killed at its first try:  mourner.py MARK"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

from penstock import App, DeadLetter, Retry, WorkerOptions

mark = Path(sys.argv[1])
app = App(name="shop")


@app.task(retry=Retry(attempts=1))
async def fail(order: int) -> None:
    raise KeyError(f"order {order}")


@fail.on_dead
def tell(letter: DeadLetter) -> None:
    if not mark.exists():
        mark.touch()
        print(f"killed before it told of {letter.job_id}", flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    print(f"told of {letter.job_id} {letter.arguments} {letter.error}", flush=True)


async def main() -> None:
    async with app.worker(WorkerOptions(lease=60)):
        await asyncio.Event().wait()


asyncio.run(main())
