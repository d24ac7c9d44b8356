"""Messages as somebody writes them who does not know how: straight into the tables, for the tasks of `poisoned`."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from random import Random

import psycopg

from penstock_faults.poisoned import failing, good
from penstock_faults.site import Site

FINE = b'{"kind": "fine"}'
HUGE = 300 * 1024
"""Bytes of a body: over the limit."""
DEEP = b'{"n": ' + b"[" * 2_000 + b"]" * 2_000 + b"}"
ABSURD = b'{"attempts": 1, "first": 1e308, "factor": 1e308, "limit": 1e308, "timeout": 1e308}'
FEW = 20
MANY = 1 << 30

End = tuple[str, str]
"""What it has to come to: `dead` and a part of the reason, `done`, `expired`, or `aside`, where it waits for who knows its task."""
UNDECODABLE: End = ("dead", "undecodable")
FAILED: End = ("dead", "failed 3 times")
DEAD: End = ("dead", "")
DONE: End = ("done", "")
EXPIRED: End = ("expired", "")
ASIDE: End = ("aside", "")


@dataclass(frozen=True)
class Kind:
    """`facts`: columns that are not as they should be. `spoil`: what no driver would write, set afterwards. `most`: so many of them."""

    end: End
    facts: Mapping[str, object] = field(default_factory=dict)
    spoil: str = ""
    most: int = MANY


def plain(end: End, spoil: str = "", most: int = MANY, **facts: object) -> Kind:
    """For the task whose effects are counted."""
    return Kind(end, {"task": good.name, **facts}, spoil, most)


def retried(end: End, spoil: str = "", **facts: object) -> Kind:
    """For the one that is soon out of attempts."""
    return Kind(end, {"task": failing.name, "body": FINE, **facts}, spoil)


ANYWHERE: Mapping[str, Kind] = {
    "empty": plain(UNDECODABLE, body=b""),
    "no JSON": plain(UNDECODABLE, body=b"{not json"),
    "half of it": plain(UNDECODABLE, body=b'{"n": 1'),
    "no text": plain(UNDECODABLE, body=bytes(range(256))),
    "not UTF-8": retried(UNDECODABLE, body=b'{"kind": "\xff\xfe"}'),
    "a list": plain(UNDECODABLE, body=b"[1]"),
    "null": plain(UNDECODABLE, body=b"null"),
    "a number": plain(UNDECODABLE, body=b"7"),
    "text for a number": plain(UNDECODABLE, body=b'{"n": "seven"}'),
    "not finite": plain(UNDECODABLE, body=b'{"n": 1e999}'),
    "nothing in it": plain(UNDECODABLE, body=b"{}"),
    "nested": plain(UNDECODABLE, most=FEW, body=DEEP),
    "too large": plain(UNDECODABLE, most=FEW, body=b'{"n": "' + b"x" * HUGE + b'"}'),
    "an argument too many": retried(FAILED, body=b'{"kind": "fine", "colour": 1}'),
    "headers no JSON": retried(DEAD, headers=b"\x81\xa1a\x01"),
    "numbers in headers": retried(DEAD, headers=b'{"a": 1}'),
    "a list of headers": retried(DEAD, headers=b"[]"),
    "another content type": plain(DONE, headers=b'{"content-type": "application/x-protobuf"}', type="no.such/type"),
    "options no JSON": plain(DONE, options=b"\x81\xa1a\x01"),
    "options of wrong types": plain(DONE, options=b'{"attempts": "many", "timeout": -1, "first": []}'),
    "absurd options": retried(("dead", "failed 1 times"), body=b'{"kind": "raises"}', options=ABSURD),
    "a successor that is none": plain(DONE, options=b'{"then": {"id": 7}}'),
    "a unique name that is none": plain(DONE, options=b'{"unique": {"name": []}}'),
    "an unknown task": Kind(ASIDE, {"task": "nobody.knows.it"}),
    "no task": Kind(ASIDE, {"task": ""}),
    "over long ago": plain(EXPIRED, expires=-5),
    "failed too often": retried(("dead", "failed 2147483647 times"), body=b'{"kind": "raises"}', failures=2**31 - 2),
    "failed as often as can be": retried(DEAD, body=b'{"kind": "raises"}', failures=2**31 - 1),
    "a suspect": plain(DONE, most=3, deaths=1_000_000),
}
ON_A_FILE: Mapping[str, Kind] = {
    "a body of text": plain(DONE, spoil="body = cast(body as text)"),
    "a body that is a number": plain(UNDECODABLE, spoil="body = 5"),
    "headers that are a number": retried(DEAD, spoil="headers = 5"),
    "options of text": plain(DONE, spoil="options = '{}'"),
    "options that are a number": plain(DONE, spoil="options = 5"),
    "over in words": plain(EXPIRED, spoil="expires = 'soon'"),
    "failures in words": plain(DONE, spoil="failures = 'many'"),
    "deaths in words": plain(DONE, spoil="deaths = 'none'"),
    "failures without end": retried(DEAD, body=b'{"kind": "raises"}', spoil="failures = 9e999"),
    "a type that is no text": plain(DONE, spoil="type = cast(x'ff' as text)"),
    "a task that is no text": Kind(ASIDE, {}, "task = cast(x'ff' as text)"),
    "a task of bytes": Kind(ASIDE, {}, "task = x'ff00'"),
}
"""SQLite keeps whatever it is given."""
GOOD: Mapping[str, Kind] = {"good": plain(DONE)}


def kinds(site: Site) -> Mapping[str, Kind]:
    return ANYWHERE if site.server else {**ANYWHERE, **ON_A_FILE}


def slug(name: str) -> str:
    return name.replace(" ", "_")


def fill(site: Site, bad: int, good_ones: int, chance: Random) -> dict[int, tuple[str, Kind]]:
    """So many of both, in any order; by number."""
    found: list[tuple[str, Kind]] = [("good", GOOD["good"])] * good_ones
    left = bad
    some = {name: kind for name, kind in kinds(site).items() if kind.most < MANY}
    for name, kind in some.items():
        found += [(name, kind)] * min(kind.most, left // len(kinds(site)))
    rest = [(name, kind) for name, kind in kinds(site).items() if name not in some]
    found += [rest[n % len(rest)] for n in range(good_ones + bad - len(found))]
    chance.shuffle(found)
    made = dict(enumerate(found))
    insert(site, [columns(name, kind, n) for n, (name, kind) in made.items()])
    for name, kind in kinds(site).items():
        if kind.spoil:
            site.rows(f"update penstock_message set {kind.spoil} where id like '{slug(name)}-%'")
    site.rows("insert into penstock_ready (queue, rank, seq, key) select queue, rank, seq, key from penstock_message")
    site.rows(
        f"insert into {'penstock_delta' if site.server else 'penstock_counter'} (queue, waiting) values ('{good.queue}', {len(made)})"
    )
    return made


def columns(name: str, kind: Kind, n: int) -> dict[str, object]:
    """As they should be, but for what the kind says."""
    right = {
        "id": f"{slug(name)}-{n}",
        "queue": good.queue,
        "task": good.name,
        "rank": 5,
        "expires": None,
        "enqueued": 1,
        "failures": 0,
        "deaths": 0,
        "given": True,
        "headers": None,
        "options": None,
        "body": b'{"n": %d}' % n,
        "type": None,
    }
    return {**right, **kind.facts}


def insert(site: Site, rows: Sequence[Mapping[str, object]]) -> None:
    names = ", ".join(rows[0])
    values: Iterable[Sequence[object]] = (tuple(row.values()) for row in rows)
    if not site.server:
        with closing(sqlite3.connect(site.database)) as file:
            file.executemany(f"insert into penstock_message ({names}) values ({', '.join('?' * len(rows[0]))})", values)
            file.commit()
        return
    copying = f"copy penstock.message ({names}) from stdin".encode()
    with psycopg.connect(site.url) as connection, connection.cursor() as cursor, cursor.copy(copying) as copy:
        for row in values:
            copy.write_row(row)
