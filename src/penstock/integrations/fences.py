"""A transaction of SQLAlchemy's that only Penstock ends."""

from __future__ import annotations

from sqlalchemy import Connection, event

from penstock.errors import ConfigurationError


class Fence:
    """Begins it. From then on a `commit()`, `rollback()` or `close()` of the user's on the connection is refused, before anything
    reaches the driver; those of nested transactions are theirs. What SQL ends as text, it does not see."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._begun = connection.begin()
        self._stands = True
        event.listen(connection, "commit", self._refuse)
        event.listen(connection, "rollback", self._refuse)

    @property
    def whole(self) -> bool:
        """Nobody has tried to end it."""
        return self._connection.get_transaction() is self._begun and self._begun.is_active

    def fall(self) -> None:
        """Penstock ends it now."""
        self._stands = False

    def _refuse(self, _: Connection) -> None:
        if self._stands:
            raise ConfigurationError(
                "tx.connection: this transaction is Penstock's: it commits when its handler or block returns, and rolls back when that "
                "raises; for a part of it use tx.connection.begin_nested(), or `async with app.transaction()` inside"
            )
