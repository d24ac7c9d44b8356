"""`import penstock` loads nothing; its names load when they are asked for."""

import subprocess
import sys

import pytest

import penstock


def test_every_public_name_is_there() -> None:
    assert [name for name in penstock.__all__ if getattr(penstock, name) is None] == []
    assert set(penstock.__all__) <= set(dir(penstock))


def test_any_other_name_is_refused() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Ap'"):
        getattr(penstock, "Ap")  # noqa: B009


def test_the_import_alone_loads_no_app() -> None:
    program = "import sys, penstock; sys.exit(bool({'asyncio', 'msgspec', 'penstock.app'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
