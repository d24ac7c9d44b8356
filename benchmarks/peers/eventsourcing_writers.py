"""eventsourcing's recorder for PostgreSQL, for appends alone. It is synchronous: its writers are threads.

python -m benchmarks.peers.eventsourcing_writers facts | make | writers COUNT SECONDS
"""

from __future__ import annotations

import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from urllib.parse import unquote, urlsplit
from uuid import uuid4

from eventsourcing.persistence import StoredEvent  # pyright: ignore[reportMissingImports]
from eventsourcing.postgres import PostgresApplicationRecorder, PostgresDatastore  # pyright: ignore[reportMissingImports]

from benchmarks.peers.program import TEXT, answer, answer_waits

WRITERS = 16
STATE = f'{{"data":"{TEXT}"}}'.encode()
SETTINGS = (
    f"{WRITERS} threads of one process, a pool of {WRITERS} connections, PostgresApplicationRecorder with POSTGRES_ENABLE_DB_FUNCTIONS, "
    "psycopg[binary]; durability: each event committed and synced"
)


def main() -> None:
    match sys.argv[1:]:
        case ["facts"]:
            answer({"version": version("eventsourcing"), "settings": SETTINGS})
        case ["make"]:
            with datastore() as store:
                recorder(store).create_table()
        case ["writers", count, seconds]:
            with datastore() as store:
                measure(recorder(store), int(count), float(seconds))
        case words:
            raise SystemExit(f"what is {words}?")


def datastore() -> PostgresDatastore:
    url = urlsplit(os.environ["PEER_QUEUE"])
    return PostgresDatastore(
        dbname=url.path.removeprefix("/"),
        host=url.hostname or "",
        port=url.port or 5432,
        user=unquote(url.username or ""),
        password=unquote(url.password or ""),
        pool_size=WRITERS,
        enable_db_functions=True,
    )


def recorder(store: PostgresDatastore) -> PostgresApplicationRecorder:
    return PostgresApplicationRecorder(store)


def measure(to: PostgresApplicationRecorder, count: int, seconds: float) -> None:
    """With a first event behind each writer, as a program that has been running for a while."""

    def writer(count: int, end: float) -> list[float]:
        originator = uuid4()
        waits: list[float] = []
        while len(waits) < count and (began := time.perf_counter()) < end:
            to.insert_events([StoredEvent(originator, len(waits) + 1, "benchmarks:Happened", STATE)])
            waits.append(time.perf_counter() - began)
        return waits

    with ThreadPoolExecutor(WRITERS) as threads:

        def all_write(count: int, end: float) -> list[float]:
            return [wait for waits in threads.map(writer, [count] * WRITERS, [end] * WRITERS) for wait in waits]

        all_write(1, float("inf"))
        began, cpu = time.perf_counter(), time.process_time()
        waits = all_write(count // WRITERS, began + seconds)
        answer_waits(waits, time.perf_counter() - began, time.process_time() - cpu)


if __name__ == "__main__":
    main()
