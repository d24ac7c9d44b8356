"""The feed's floor: up to which position a topic may be read, so that nothing is lost and nothing changes places.

Events get their positions from one sequence when they are inserted, and become visible when their transactions commit, in any
order. A reader that asks for `pos > cursor` passes position 7, which is not committed yet, for position 8, which is, and never
comes back.

**What appenders do.** Every statement that inserts events first reads the sequence's last value F (0: none yet), then takes a
shared advisory lock whose key says F, until its transaction ends, and only then draws positions. Shared locks never wait for
each other. In the statement, what calls `nextval` reads from a materialized CTE that takes the lock.

**What a reader does**, in this order:

1. L: the sequence's last value.
2. M: the lowest F of all such locks that are held now (none: no bound).
3. The events with `cursor < pos <= least(L, M)`, in the order of positions.

1 and 2 are one statement, since neither looks at a snapshot (the view `settled`): M is asked for below L, so L is read first.
3 is another one, with a newer snapshot (READ COMMITTED, or no transaction around them).

**Why nothing is lost.** Take a position p that an appender drew, and a reader that read up to `least(L, M) >= p`. The draw came
before L was read, because `p <= L`; the lock was taken before the draw. When M was read, the lock was held or had been released.
If it was held, then `M <= F`; F was read before the draw, so `F < p`, and the reader stopped below p. So it had been released.
A transaction's locks are released after it became visible to new snapshots (or was aborted), and the snapshot of step 3 is
newer than that: it sees p if it was ever committed. What an appender draws that takes its lock after M was read is beyond L.

**Why nothing changes places.** A reader gets positions in rising order and never returns. In one key, an append draws its
positions while it holds the key's row (see `publishing`), so a higher version has a higher position. An append that does not
overlap an earlier one has higher positions, too.

**Savepoints.** `rollback to` releases the locks that were taken since. If only a transaction's first statement took one, what
follows a rolled back savepoint would be unprotected. Every statement takes it. If the transaction has a floor already, it takes
that one again instead of a newer one, so that 10,000 statements do not fill the server's lock table; it is noted in a setting
that is local to the transaction and ends with the savepoint, as the lock does. A single append that is the first write of its
transaction, and mostly the only one, notes nothing; so a transaction may hold two. That is thrift, and the argument does not need
it: a floor that is older than the last value is right, whoever holds what, and `least` keeps it from being newer.

**Holes.** Rolled back transactions and events that were known already leave positions that nobody has. No step waits for a
position or counts them, so they need no treatment. After a crash the sequence goes on up to 32 further: a hole like others.

**`pg_sequence_last_value`, not `select last_value from`.** nextval writes a value that is up to 32 ahead into the sequence's
page, logs it, and then writes the true one. It does so under the page's lock, which the function takes; a select reads the row
without it, gets the value ahead, and an F or L that is too high loses events.

**Key.** Its upper 16 bits are made of the sequence's oid, so that tenants' schemas in one database do not hold back each other;
if two share them, or an application's own lock has them, feeds wait longer than needed and lose nothing. 48 bits are left for F.

**What is not covered.**

- A standby has no locks of its appenders: reading there is refused. (A cursor that is kept elsewhere than the events can
  be ahead of them after a failover to a standby that was behind.)
- The sequence's cache must be 1. With a larger one a session draws from what it took in an earlier transaction, below F.
  `setval`, `restart` and `cycle` must not be used on it.
- Step 3 in a REPEATABLE READ transaction sees too little: reading there is refused. Appenders may have any isolation.
- Who finds no topic makes it, in the same transaction; until that ends, whoever needs the topic next waits. So programs
  declare their topics when they start, and only one whose code was not there then meets this.
- A transaction that has appended and stays open holds all feeds of its schema back; no timeout lets them pass, because passing is
  losing. A prepared transaction holds its lock, too, until it is committed or rolled back, by whomever. `who_holds` names it.
- A server whose pg_locks does not show every lock of the whole database (some managed and distributed ones). For these there is
  the strict mode: each append also takes one exclusive lock until its transaction ends, before it draws positions. Appends
  go one after the other, positions are committed in their order, and a reader needs no floor. Readers may be strict only when
  all appenders are; readers with a floor are right beside both.
"""

from __future__ import annotations

from msgspec import Struct

from penstock.errors import ConfigurationError
from penstock.model.log import Holder, Recorded
from penstock.model.statement import Program, Statement

_NO_BOUND = (1 << 63) - 1
_ISOLATIONS = ("read committed", "read uncommitted")
"""The second is the first in PostgreSQL."""


class Look(Struct, frozen=True):
    """A row of the view `settled`."""

    last: int
    floor: int | None
    standby: bool
    isolation: str


def settled(*, strict: bool = False) -> Program[int]:
    """The position up to which all is committed that ever will be. Raises ConfigurationError on a standby, and in a transaction of
    more than READ COMMITTED."""
    ((last, floor, standby, isolation),) = yield Statement("settled")
    return bound(Look(last, floor, standby, isolation), strict=strict)


def bound(look: Look, *, strict: bool) -> int:
    """What a look comes to."""
    if look.standby:
        raise ConfigurationError("read topics: this server is a standby, which does not know who is appending; give the primary's URL")
    if look.isolation not in _ISOLATIONS:
        raise ConfigurationError(f"read topics: not in a transaction that is {look.isolation}, which does not see what was committed since")
    if strict:
        return _NO_BOUND
    return look.last if look.floor is None else min(look.last, look.floor)


def read(topic: str, after: int, limit: int, *, strict: bool = False) -> Program[list[Recorded]]:
    """Up to `limit` events behind the position `after`. Not in a transaction of more than READ COMMITTED."""
    upto = yield from settled(strict=strict)
    if upto <= after:
        return []
    rows = yield Statement("events_upto", {"topic": topic, "after": after, "upto": upto, "limit": limit})
    return [Recorded(*row) for row in rows]


def who_holds() -> Program[Holder | None]:
    """Who holds the feed back now. None: nobody."""
    rows = yield Statement("who_holds_back")
    return Holder(*rows[0]) if rows else None
