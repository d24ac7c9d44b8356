"""Two releases of one program:  mailer.py old|new"""

from __future__ import annotations

import asyncio
import signal
import sys

from penstock import App, Delivery, Retry

release = sys.argv[1]
app = App(name="shop")
SOON = Retry(attempts=1000, first=0.1, factor=1.0)


@app.on_error
def report(delivery: Delivery, error: Exception) -> None:
    print(f"{release} failed {delivery.task} {type(error).__name__} attempt {delivery.attempt}", flush=True)


if release == "old":

    @app.task(retry=SOON)
    async def send(address: str) -> str:
        return f"old {address}"

    @app.task(retry=SOON)
    async def bill(order: int, currency: str = "EUR") -> str:
        return f"old {order} {currency}"

    @app.task()
    async def greet() -> str:
        return "old greets"

else:

    @app.task(name="send", retry=SOON)
    async def send_with_layout(address: str, layout: str = "plain") -> str:
        return f"new {address} {layout}"

    @app.task(name="bill", retry=SOON)
    async def bill_in(order: int, currency: str) -> str:
        return f"new {order} {currency}"

    @app.task(aliases=["greet"])
    async def welcome() -> str:
        return "new welcomes"

    @app.task()
    async def ship(order: int) -> str:
        return f"new ships {order}"


async def main() -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with app.worker():
        print("ready", flush=True)
        await stop.wait()
    await app.close()


asyncio.run(main())
