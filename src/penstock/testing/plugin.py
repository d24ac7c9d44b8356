"""The pytest plugin: one fixture, one marker, one option. It does nothing in suites that do not ask for the fixture.

# pyproject.toml
[tool.pytest.ini_options]
penstock_app = "shop:app"

# test_shop.py
async def test_a_sign_up_is_welcomed(penstock_kit: Kit) -> None: ...

def test_in_flask(penstock_kit: Kit) -> None:
    penstock_kit.sync.drain()
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from penstock import testing

if TYPE_CHECKING:
    from penstock.app import App
    from penstock.testing.kit import Kit

OPTION = "penstock_app"
MARKER = "penstock"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addini(OPTION, "module:variable of the Penstock app that `penstock_kit` runs, e.g. shop:app", default="")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", f"{MARKER}(path=, start=, inline=, concurrency=, seed=): how `penstock_kit` runs the app in this test"
    )


@pytest.fixture
def penstock_app(request: pytest.FixtureRequest) -> App:
    """The app that the option `penstock_app` names. Override it in a conftest to return another."""
    target = str(request.config.getini(OPTION))
    if not target:
        raise pytest.UsageError('penstock_kit: which app? Set  penstock_app = "module:variable"  in pytest\'s options')
    return testing.load_app(target)


@pytest.fixture
def penstock_kit(request: pytest.FixtureRequest, penstock_app: App) -> Iterator[Kit]:
    """The app on a store of this test's own, with a clock that the test moves; `penstock_kit.sync` for tests without a loop."""
    marker = request.node.get_closest_marker(MARKER)
    with testing.run(penstock_app, **(marker.kwargs if marker else {})) as kit:
        yield kit
