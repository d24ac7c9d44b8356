"""What every store must do: one suite, run on every backend.

A backend brings one fixture, `store`, that yields a `Ground`, and inherits the tests; and a file that says what it can do, which its
`capabilities` are read from (see `penstock.ports.capabilities`):

    class TestMyStore(StoreConformance):
        @pytest.fixture
        async def store(self, tmp_path: Path) -> AsyncIterator[Ground]:
            async with Ground(MyBackend(tmp_path)) as ground:
                yield ground

What these need is in `penstock[testing]`. The tests are coroutines: run them with pytest-asyncio. For readable failures call
`pytest.register_assert_rewrite("penstock.testing.conformance")` in a conftest before this package is imported.
"""

from penstock.ports.capabilities import Capabilities
from penstock.testing.conformance.backend import Backend, Setup, UserConnection
from penstock.testing.conformance.ground import Ground
from penstock.testing.conformance.suite import StoreConformance

__all__ = ["Backend", "Capabilities", "Ground", "Setup", "StoreConformance", "UserConnection"]
