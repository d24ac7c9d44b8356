"""What the programs of peers share."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from benchmarks.peers.blocking import BlockingPeer
from benchmarks.peers.program import CLIENTS, Peer, begun, moments, shares, unsynced

FOREVER = float("inf")


class Counting(Peer):
    """Counts what is put."""

    settings = ""

    def __init__(self) -> None:
        super().__init__("")
        self.puts: list[int] = []

    def version(self) -> str:
        return "1.0"

    async def make(self) -> None: ...

    async def open(self) -> None: ...

    async def put(self) -> None:
        self.puts.append(1)

    async def put_moment(self, n: int) -> None: ...

    async def close(self) -> None: ...

    async def start(self) -> Callable[[], Awaitable[None]]:
        raise NotImplementedError


class Blocking(BlockingPeer, Counting):
    def send(self) -> None:
        self.puts.append(1)

    def send_moment(self, n: int) -> None: ...


@pytest.mark.parametrize("count", [0, 1, 99, 1_000, 1_050])
def test_clients_share_all_jobs(count: int) -> None:
    assert sum(shares(count)) == count
    assert len(shares(count)) == CLIENTS
    assert max(shares(count)) - min(shares(count)) <= 1


@pytest.mark.parametrize("peer", [Counting, Blocking])
@pytest.mark.parametrize("count", [1, 250])
async def test_clients_put_all_jobs(peer: type[Counting], count: int) -> None:
    counting = peer()
    assert len(await counting.together(count, FOREVER)) == len(counting.puts) == count


@pytest.mark.parametrize("peer", [Counting, Blocking])
async def test_clients_stop_when_the_time_is_over(peer: type[Counting]) -> None:
    counting = peer()
    assert await counting.together(250, 0.0) == counting.puts == []


async def test_a_peer_without_a_verb_for_many_puts_one_by_one() -> None:
    counting = Counting()
    await counting.put_many(250)
    assert len(counting.puts) == 250


async def test_handlers_tell_when_they_began(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PEER_MOMENTS", str(tmp_path / "moments"))
    begun(-1)
    begun(7)
    found = await moments(2)
    assert list(found) == [-1, 7]
    assert found[-1] <= found[7]


@pytest.mark.parametrize(
    ("url", "unsynced_url"),
    [
        ("postgresql://me@here:5/db", "postgresql://me@here:5/db?options=-c%20synchronous_commit%3Doff"),
        ("postgresql://me@here/db?sslmode=disable", "postgresql://me@here/db?sslmode=disable&options=-c%20synchronous_commit%3Doff"),
        ("redis://127.0.0.1:5", "redis://127.0.0.1:5"),
        ("/data/queue.db", "/data/queue.db"),
    ],
)
def test_a_server_of_postgresql_can_tell_settles_from_puts(url: str, unsynced_url: str) -> None:
    assert unsynced(url) == unsynced_url
