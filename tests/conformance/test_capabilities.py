"""A backend is held to its file of capabilities, whichever way the two differ."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from penstock.errors import CapabilityMissing, ConfigurationError
from penstock.stores.sqlite.store import SqliteStore
from penstock.testing.conformance import Capabilities, Ground
from penstock.testing.conformance.joining import JoiningConformance
from penstock.testing.storage import fast_folder
from tests.conformance.sqlite_backend import SqliteBackend

ALL = "joins = true\nchecks_durability = true\nfollows_the_wall = true\ntells = true\n"
SUITE = JoiningConformance()


@pytest.fixture
async def store() -> AsyncIterator[Ground]:
    with fast_folder() as folder:
        async with Ground(SqliteBackend(folder)) as ground:
            yield ground


def says(store: Ground, monkeypatch: pytest.MonkeyPatch, **otherwise: bool) -> None:
    monkeypatch.setattr(store.backend, "capabilities", replace(store.backend.capabilities, **otherwise), raising=False)


def cannot_join(self: SqliteStore, connection: object) -> None:
    raise CapabilityMissing("a connection of yours cannot be joined here")


async def test_what_it_cannot_do_is_refused_and_not_tested(store: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    says(store, monkeypatch, joins=False)
    monkeypatch.setattr(SqliteStore, "join", cannot_join)
    await SUITE.test_it_joins_or_says_that_it_cannot(store)
    others = [name for name in dir(SUITE) if name.startswith("test_") and name != "test_it_joins_or_says_that_it_cannot"]
    for name in others:
        with pytest.raises(pytest.skip.Exception, match="joining a user's connection"):
            await getattr(SUITE, name)(store)
    assert len(others) > 5


async def test_a_lost_capability_fails(store: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SqliteStore, "join", cannot_join)
    with pytest.raises(CapabilityMissing):
        await SUITE.test_it_joins_or_says_that_it_cannot(store)


async def test_a_new_one_that_is_not_in_the_file_fails(store: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    says(store, monkeypatch, joins=False)
    with pytest.raises(ConfigurationError, match="object"):
        await SUITE.test_it_joins_or_says_that_it_cannot(store)


async def test_a_lost_check_fails(store: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store.backend, "connect", lambda where, connect=store.backend.connect: connect("here"))
    with pytest.raises(pytest.fail.Exception, match="DID NOT RAISE"):
        await SUITE.test_a_weaker_durability_is_refused_where_it_is_known(store)


async def test_a_check_that_is_not_in_the_file_fails(store: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    says(store, monkeypatch, checks_durability=False)
    with pytest.raises(ConfigurationError, match="power"):
        await SUITE.test_a_weaker_durability_is_refused_where_it_is_known(store)


def test_a_file_says_everything(tmp_path: Path) -> None:
    (tmp_path / "store.toml").write_text(ALL.replace("joins = true", "joins = false"))
    found = Capabilities.read(tmp_path / "store.toml")
    assert found == Capabilities(joins=False, checks_durability=True, follows_the_wall=True, tells=True)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (ALL.replace("tells = true\n", ""), "missing required field `tells`"),
        (ALL + "flies = true\n", "unknown field `flies`"),
        (ALL.replace("tells = true", 'tells = "yes"'), "Expected `bool`"),
        ("joins", "Expected"),
        (b"\xff", "decode"),
        (None, "No such file"),
    ],
)
def test_a_file_that_says_something_else_is_refused(tmp_path: Path, text: str | bytes | None, why: str) -> None:
    path = tmp_path / "store.toml"
    if text is not None:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigurationError, match=why) as refused:
        Capabilities.read(path)
    assert "store.toml" in str(refused.value)
    assert "joins, checks_durability, follows_the_wall, tells" in str(refused.value)
