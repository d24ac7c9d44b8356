"""A store that writes down what it is given: for rules that need no rows. Anything with rows uses a real store."""

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any, cast

from penstock.api.link import Link
from penstock.model.message import Message, Placed
from penstock.ports.store import Store

NOW = 1_700_000_000_000_000


class ScriptedTransaction:
    """Stands for an open transaction, and for a connection that was joined."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.started = False
        self.put_by: list[tuple[str, str]] = []
        self.ends: list[str] = []

    async def put(self, messages: Sequence[Message]) -> list[Placed]:
        return self._placed("put", messages)

    def put_now(self, messages: Sequence[Message]) -> list[Placed]:
        return self._placed("put_now", messages)

    async def savepoint(self) -> "ScriptedTransaction":
        self.ends.append("savepoint")
        return ScriptedTransaction(f"savepoint of {self.name}")

    async def commit(self) -> None:
        self.ends.append("commit")

    async def rollback(self) -> None:
        self.ends.append("rollback")

    def _placed(self, verb: str, messages: Sequence[Message]) -> list[Placed]:
        self.put_by += [(verb, message.task) for message in messages]
        return [Placed(message.id) for message in messages]


class ScriptedStore:
    """`store.messages` is what was put outside any transaction."""

    one_writer = True

    def __init__(self, url: str = "sqlite:///shop.db") -> None:
        self.url = url
        self.messages: list[Message] = []
        self.begun: list[ScriptedTransaction] = []
        self.joined: dict[int, ScriptedTransaction] = {}
        self.queue = SimpleNamespace(put=self._put)
        self.clock = SimpleNamespace(now=lambda: NOW)
        self.log: list[str] = []
        self.trouble: list[Exception] = []

    async def open(self) -> None:
        self.log.append("open")
        if self.trouble:
            raise self.trouble.pop()

    async def close(self) -> None:
        self.log.append("close")

    def transaction(self, *, shared: bool = False, blocking: bool = False) -> ScriptedTransaction:
        self.begun.append(ScriptedTransaction(f"tx {len(self.begun)}"))
        return self.begun[-1]

    def join(self, connection: object) -> ScriptedTransaction:
        return self.joined.setdefault(id(connection), ScriptedTransaction("joined"))

    async def _put(self, messages: Sequence[Message]) -> list[Placed]:
        self.messages += messages
        return [Placed(message.id) for message in messages]


def link_to(make: Callable[[], ScriptedStore]) -> Link:
    async def opener() -> Store:
        store = make()
        await store.open()
        return cast(Store, store)

    return Link(opener, lambda connection: connection)


def attach(app: Any, store: ScriptedStore) -> ScriptedStore:
    """Put `store` under `app`, before its first use."""

    async def opener() -> Store:
        await store.open()
        return cast(Store, store)

    app._link._opener = opener
    return store
