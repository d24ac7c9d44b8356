"""What every store must do: one suite, run on every backend.

A backend brings one fixture, `store`, that yields a `Ground`, and inherits the tests:

    class TestMyStore(StoreConformance):
        @pytest.fixture
        async def store(self, tmp_path: Path) -> AsyncIterator[Ground]:
            async with Ground(MyBackend(tmp_path)) as ground:
                yield ground

The tests are coroutines: run them with pytest-asyncio. For readable failures call
`pytest.register_assert_rewrite("penstock.testing.conformance")` in a conftest before this package is imported.
"""

from penstock.testing.conformance.backend import Backend, Capabilities, Setup, UserConnection
from penstock.testing.conformance.ground import Ground
from penstock.testing.conformance.suite import StoreConformance

__all__ = ["Backend", "Capabilities", "Ground", "Setup", "StoreConformance", "UserConnection"]
