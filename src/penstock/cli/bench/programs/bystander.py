"""Somebody else who writes to the same file: a row each 5 ms, until it is told to stop. Prints how long it waited for the write lock.

    python bystander.py DATABASE LOCK

Every second time it queues at Penstock's lock file first, as all Penstock processes do; the other times it has nothing but
SQLite's own busy handler, as a program that knows nothing of Penstock.
"""

from __future__ import annotations

import fcntl
import json
import os
import select
import sqlite3
import sys
import time

PERIOD = 0.005


def main(database: str, lock: str) -> None:
    connection = sqlite3.connect(database, timeout=30, isolation_level=None)
    connection.execute("pragma wal_autocheckpoint = 0").fetchall()
    connection.execute("pragma synchronous = normal").fetchall()
    queue = os.open(lock, os.O_RDWR)
    waits: dict[str, list[float]] = {"queued": [], "foreign": []}
    print("ready", flush=True)
    due = time.perf_counter()
    while not select.select([sys.stdin], [], [], max(0.0, due - time.perf_counter()))[0]:
        polite = len(waits["queued"]) <= len(waits["foreign"])
        began = time.perf_counter()
        if polite:
            fcntl.flock(queue, fcntl.LOCK_EX)
        connection.execute("begin immediate")
        waits["queued" if polite else "foreign"].append(time.perf_counter() - began)
        connection.execute("insert into bystander (at) values (?)", (began,))
        connection.execute("commit")
        fcntl.flock(queue, fcntl.LOCK_UN)
        due = max(due + PERIOD, time.perf_counter())
    connection.close()
    print(json.dumps(waits))


if __name__ == "__main__":
    main(*sys.argv[1:])
