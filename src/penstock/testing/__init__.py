"""For tests of programs that use Penstock, and of stores that implement its ports.

    from penstock import testing

    async def test_a_sign_up_is_welcomed() -> None:
        async with testing.run(app) as kit:
            await sign_up("Sam", "sam@example.com")
            await kit.assert_enqueued(send_welcome, address="sam@example.com")
            report = await kit.advance("1h")
            assert len(report.done) == 1

The names load when they are first asked for: pytest imports the plugin that lies here at each start, whatever it will test.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from penstock.app import load_app
    from penstock.testing.faults import Crashed
    from penstock.testing.kit import Kit, SyncKit
    from penstock.testing.report import HandlerRaised, Ran, Report
    from penstock.testing.running import run
    from penstock.testing.waiting import Enqueued
else:
    # Type checkers do not see this part, so that they refuse a name that does not exist.
    from collections.abc import Mapping
    from importlib import import_module

    _MODULES: Mapping[str, str] = {
        "app": "load_app",
        "testing.faults": "Crashed",
        "testing.kit": "Kit SyncKit",
        "testing.report": "HandlerRaised Ran Report",
        "testing.running": "run",
        "testing.waiting": "Enqueued",
    }

    def __getattr__(name):
        for module, names in _MODULES.items():
            if name in names.split():
                value = getattr(import_module(f"penstock.{module}"), name)
                globals()[name] = value
                return value
        raise AttributeError(f"module 'penstock.testing' has no attribute {name!r}")


__all__ = ["Crashed", "Enqueued", "HandlerRaised", "Kit", "Ran", "Report", "SyncKit", "load_app", "run"]
