"""A shop: an app in a module of its own, and a console in its folder."""

from pathlib import Path

import pytest

from tests.integration.cli.console import Console

SHOP = '''
import asyncio, os
from dataclasses import dataclass
from pathlib import Path
from penstock import App, Context, Reject, Retry

app = App(name="shop")

@app.task(queue="mail")
async def send(user_id: int, address: str = "nobody") -> str:
    if user_id < 0:
        raise Reject("bounced")
    print(f"sent {user_id} to {address}")
    return f"sent {user_id}"

@app.task(queue="mail", retry=Retry(attempts=1))
async def fail(text: str) -> None:
    raise ValueError(text)

@app.task(queue="mail", retry=Retry(first=3600, limit=3600))
async def try_later() -> None:
    print("tried")
    raise ConnectionError("refused")

@dataclass
class OrderPlaced:
    order: str

orders = app.topic("orders", OrderPlaced, key=lambda event: event.order)

@app.subscribe(orders, start="beginning")
async def ship(event: OrderPlaced) -> None:
    print(f"shipped {event.order}")

@app.task(queue="mail")
async def half() -> str:
    return "half"

@app.task(queue="mail")
async def render(ctx: Context) -> None:
    ctx.progress(0.5, "rendering")
    await asyncio.Event().wait()

@app.task(queue="slow")
async def hang(once: bool = False) -> None:
    """Hangs; with `once` only until its worker was killed."""
    again = Path("hung").exists()
    Path("hung").touch()
    print(f"hang {'again' if again else 'first'} pid={os.getpid()}")
    if not (once and again):
        await asyncio.Event().wait()
'''


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "shop.py").write_text(SHOP)
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "shop"\n')
    return tmp_path


@pytest.fixture
def bare(folder: Path) -> Console:
    """No store yet."""
    return Console(folder, "sqlite:///shop.db")


@pytest.fixture
def console(bare: Console) -> Console:
    bare.ok("store", "migrate")
    return bare
