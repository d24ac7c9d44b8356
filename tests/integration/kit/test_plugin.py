"""The pytest plugin, in suites of users': async and sync tests, the option, the marker; and a suite that does not use it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SHOP = """
from penstock import App

app = App("sqlite:////nowhere/shop.db", name="shop")
sent = []

@app.task()
async def send(n: int) -> None:
    sent.append(n)
"""
TESTS = """
import pytest
from penstock.testing import Kit
from shop import send, sent

async def test_async(penstock_kit: Kit) -> None:
    await send.using(delay=3600).enqueue(1)
    assert (await penstock_kit.drain()).runs == ()
    await penstock_kit.advance("1h")
    assert sent == [1]

def test_sync(penstock_kit: Kit) -> None:
    send.sync.enqueue(2)
    assert len(penstock_kit.sync.enqueued(send)) == 1
    penstock_kit.sync.drain()
    assert sent == [1, 2]

@pytest.mark.penstock(inline=True)
def test_inline(penstock_kit: Kit) -> None:
    send.sync.enqueue(3)
    assert sent == [1, 2, 3]

class TestAnother:
    @pytest.fixture
    def penstock_app(self):
        from penstock import App
        return App(name="another")

    async def test_its_app(self, penstock_kit: Kit) -> None:
        with pytest.raises(Exception, match="not a task of app 'another'"):
            await penstock_kit.refute_enqueued(send)
"""


def suite(folder: Path, tests: str, *options: str) -> subprocess.CompletedProcess[str]:
    (folder / "shop.py").write_text(SHOP)
    (folder / "test_shop.py").write_text(tests)
    (folder / "pytest.ini").write_text(
        "\n".join(
            (
                "[pytest]",
                "asyncio_mode = auto",
                "asyncio_default_fixture_loop_scope = function",
                "filterwarnings = error",
                "addopts = --strict-markers",
                *options,
            )
        )
    )
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"], cwd=folder, capture_output=True, text=True, check=False
    )


def test_a_users_suite(tmp_path: Path) -> None:
    run = suite(tmp_path, TESTS, "penstock_app = shop:app", "pythonpath = .")
    assert (run.returncode, run.stdout.splitlines()[-1].split(" in ")[0]) == (0, "4 passed"), run.stdout + run.stderr


def test_an_app_that_is_not_named(tmp_path: Path) -> None:
    run = suite(tmp_path, "def test_it(penstock_kit): ...", "pythonpath = .")
    assert run.returncode == 1
    assert "which app? Set  penstock_app" in run.stdout


def test_other_suites_load_nothing(tmp_path: Path) -> None:
    """Of Penstock, but the plugin itself."""
    program = """
import sys
def test_nothing_is_loaded():
    loaded = {name for name in sys.modules if name.split(".")[0] in ("penstock", "msgspec")}
    assert loaded == {"penstock", "penstock.testing", "penstock.testing.plugin"}, loaded
"""
    run = suite(tmp_path, program)
    assert run.returncode == 0, run.stdout


def test_the_public_names_of_the_kit() -> None:
    from_module = "import penstock.testing as t; print([name for name in t.__all__ if getattr(t, name) is None])"
    run = subprocess.run([sys.executable, "-c", from_module], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_a_name_that_the_kit_does_not_have() -> None:
    import_it = "from penstock.testing import Kitt"
    run = subprocess.run([sys.executable, "-c", import_it], capture_output=True, text=True, check=False)
    assert "cannot import name 'Kitt'" in run.stderr


@pytest.mark.parametrize("option", ["--markers", "--help"])
def test_pytest_explains_it(tmp_path: Path, option: str) -> None:
    shown = subprocess.run([sys.executable, "-m", "pytest", option], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert "penstock_kit" in shown
