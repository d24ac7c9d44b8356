"""Each test of a store runs on a file and on a server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import ExitStack

import pytest

from penstock.testing.storage import fast_folder
from tests.threats.site import Site, on_file, on_server


@pytest.fixture(params=["file", "server"])
async def site(request: pytest.FixtureRequest) -> AsyncIterator[Site]:
    with ExitStack() as stack:
        if request.param == "file":
            made: Site = stack.enter_context(on_file(stack.enter_context(fast_folder()) / "shop.db"))
        else:
            made = stack.enter_context(on_server(request.getfixturevalue("postgres_url")))
        yield made
        await made.close()
