"""What the operating system refuses, in Penstock's words."""

from __future__ import annotations

import errno

from penstock.errors import StoreError, StoreFull, StoreReadOnly, StoreUnavailable


def refused(error: OSError, doing: str) -> StoreError:
    """For what it says where no database is asked."""
    match error.errno:
        case errno.ENOENT:
            return StoreUnavailable(f"{doing}: its folder does not exist")
        case errno.EACCES | errno.EPERM | errno.EROFS:
            return StoreReadOnly(f"{doing}: its folder cannot be written by this user ({error})")
        case errno.ENOSPC | errno.EDQUOT:
            return StoreFull(f"{doing}: the disk is full; free some space, then it goes on by itself ({error})")
        case _:
            return StoreUnavailable(f"{doing}: {error}")
