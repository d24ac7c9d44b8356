"""Taking back what dead workers held, from a process that is no worker: a parent that has just reaped one."""

from __future__ import annotations

import sqlite3

from penstock.stores.sql import leases
from penstock.stores.sql.executors import drive
from penstock.stores.sql.filelock import is_free
from penstock.stores.sql.library import Library
from penstock.stores.sqlite import connection as connections
from penstock.stores.sqlite.clock import StoreClock
from penstock.stores.sqlite.doorbell import Ringer
from penstock.stores.sqlite.failures import translated
from penstock.stores.sqlite.files import Folder
from penstock.stores.sqlite.opening import locked, open_file
from penstock.stores.sqlite.put import put


def reap(folder: Folder) -> int:
    """Rescue the messages of all workers whose lock files are free. Returns how many workers that were."""
    library, clock = Library.load("penstock.stores.sqlite"), StoreClock()
    open_file(folder, library, clock, migrating=False)
    connection = connections.connect(folder.database)
    ringer = Ringer(folder.bells)
    gap = folder.gap()
    try:
        run = connections.runner(connection)
        found = run(library["others"], {"incarnation": 0})
        gone = [(worker, beat) for worker, beat, _ in found if is_free(folder.worker_lock(worker))]
        for worker, beat in gone:
            with locked(folder):
                gap.close(connection, "rescue a dead worker's messages")
                connection.execute("begin immediate")
                drive(leases.rescue(worker, beat, clock.now(), put), library, run)
                connection.execute("commit")
            folder.worker_lock(worker).unlink(missing_ok=True)
        ringer.ring()
    except sqlite3.Error as error:
        raise translated(error, "rescue a dead worker's messages") from error
    finally:
        ringer.close()
        connection.close()
    return len(gone)
