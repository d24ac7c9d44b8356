"""A row of each table, written by hand: every column, with what is hardest to keep."""

from __future__ import annotations

import sqlite3
from pathlib import Path

SMALLEST, LARGEST = -(2**63), 2**63 - 1
FAR = (1 << 40) - 1
"""The last position that there can be."""
ROWS: tuple[tuple[str, tuple[object, ...]], ...] = (
    ("setting", ("queue:ü", "paused", '"é"', "somebody", LARGEST)),
    ("limit", ("ü", "rate", '"5/s"', "shop")),
    ("bucket", ("ü", "5/s", SMALLEST, 7)),
    ("hook", ("shop.ü",)),
    ("schedule", ("shop", "nightly", "d", b"\0\xff", 1, None, 0, 5, None, None, None)),
    ("definition", ("shop", "nightly", "d", 3, b"\0\xff")),
    ("declaration", (LARGEST, "shop", "nightly", "d")),
    ("worker", (LARGEST, "shop", "w", 1, "h", 1, 9, 15_000_000, "[]", "[]", "[]")),
    ("lease", ("maintenance", LARGEST, 4, 5)),
    ("wish", ("shop.ship", LARGEST, None, 6)),
    ("topic", (3, "orders", 1, None, 7, FAR + 1, 1)),
    ("event", ((3 << 40) + 1, 3, "e-1", "Placed", "k", 1, 5, 1, None, b"")),
    ("event", ((3 << 40) + FAR, 3, "e-2", "Placed", "k", 9, 5, 0, b"\0", b"\xff")),
    ("subscription", ("shop.ship", 3, "shop", '["Placed"]', 1, FAR, 2, 7)),
    ("missed", (4, "shop.ship", 3, 9, 5)),
    ("generation", ("shop.gone", 3)),
    ("message", (8, "m-1", "ü", "t", 9, None, None, None, 1, 0, 0, 0, None, None, b"", None, None)),
    ("message", (9, "m-2\0", "ü", "t", 0, "k", 2, 3, 1, 4, 2, 1, b"\0", b"\1", b"\xff", "Placed", (3 << 40) + 1)),
    ("ready", ("ü", 0, 9, "k")),
    ("later", ("ü", LARGEST, 8)),
    ("aside", (10, "ü", None, 5, "t")),
    ("suspect", (11, "ü", 5)),
    ("leased", (LARGEST, 12, 3)),
    ("cancel", (LARGEST, 12)),
    ("busy", ("ü", "k", 9, None)),
    ("finished", (13, "ü", "done", 5, 1, None, b"\0", None)),
    ("dead", (14, "ü", "t", "why", 5, 2, "E", "text\0", None)),
    ("attempt", (99, 14, 1, "dead", 5, None, "E", "text", "trace")),
    ("unique", ("t/ü", "m-1", 5, 6, 1)),
    ("progress", (8, 0.1, "note", 5)),
    ("watch", (8, "ear-1", "m-1")),
    ("counter", ("ü", 1, 2, 3, 4, 5, 6, 7, 8, LARGEST)),
)


def fill(file: Path) -> None:
    """Over the store as it was migrated; numbers were given out beyond what is there."""
    connection = sqlite3.connect(file)
    for table, row in ROWS:
        connection.execute(f"insert into penstock_{table} values ({', '.join('?' * len(row))})", row)
    connection.execute("update sqlite_sequence set seq = 5000 where name = 'penstock_message'")
    connection.commit()
    connection.close()


def write(file: Path, sql: str) -> None:
    connection = sqlite3.connect(file)
    connection.execute(sql)
    connection.commit()
    connection.close()
