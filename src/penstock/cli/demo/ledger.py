"""What the demo believes: files outside Penstock, one line an event, appended by the process that saw it happen.

The visitors write a line before each call and one after its reply; the mail server writes one for each message that it accepts or
refuses; whoever writes a temporary file or removes it says so. A line is one `write` on an unbuffered file: what a process saw is in
the file before it goes on.
"""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

import msgspec
from msgspec import Struct


class Tried(Struct, frozen=True, tag="tried"):
    """The visitor is about to call. Times in µs."""

    at: int
    address: str


class Acknowledged(Struct, frozen=True, tag="acknowledged"):
    """The API said 201."""

    at: int
    address: str
    user: str
    job: str


class Unknown(Struct, frozen=True, tag="unknown"):
    """No reply, or none that says anything: the user may exist or not."""

    at: int
    address: str
    why: str


class Accepted(Struct, frozen=True, tag="accepted"):
    """The mail server took an e-mail. `job` comes from its Message-ID."""

    at: int
    job: str
    address: str


class Refused(Struct, frozen=True, tag="refused"):
    """The mail server answered 451 (later) or 550 (never)."""

    at: int
    address: str
    code: int


class OrderTried(Struct, frozen=True, tag="order tried"):
    """As `Tried`. The visitor made up the reference."""

    at: int
    reference: str


class OrderAcknowledged(Struct, frozen=True, tag="order acknowledged"):
    at: int
    reference: str
    order: int


class OrderUnknown(Struct, frozen=True, tag="order unknown"):
    at: int
    reference: str
    why: str


class ChangeTried(Struct, frozen=True, tag="change tried"):
    """As `Tried`: another address for an account; None: it is to be deleted."""

    at: int
    user: str
    address: str | None
    by: str


class ChangeAcknowledged(Struct, frozen=True, tag="change acknowledged"):
    at: int
    user: str
    address: str | None
    version: int


class ChangeUnknown(Struct, frozen=True, tag="change unknown"):
    at: int
    user: str
    address: str | None
    why: str


class ReportAsked(Struct, frozen=True, tag="report asked"):
    """A visitor asked for a report, and was told its job. `at`: before the call."""

    at: int
    job: str


class Written(Struct, frozen=True, tag="written"):
    """The web API wrote a temporary file. `at`: just before."""

    at: int
    name: str


class Removing(Struct, frozen=True, tag="removing"):
    """A worker is about to remove it."""

    at: int
    name: str
    pid: int


class Removed(Struct, frozen=True, tag="removed"):
    at: int
    name: str


Visit: TypeAlias = Tried | Acknowledged | Unknown
OrderCall: TypeAlias = OrderTried | OrderAcknowledged | OrderUnknown
Mail: TypeAlias = Accepted | Refused
ChangeCall: TypeAlias = ChangeTried | ChangeAcknowledged | ChangeUnknown
FileEntry: TypeAlias = Written | Removing | Removed
Entry: TypeAlias = Visit | OrderCall | ChangeCall | ReportAsked | FileEntry | Mail

_DECODER = msgspec.json.Decoder(Entry)
_ENCODER = msgspec.json.Encoder()


class Ledger:
    """The writing side."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab", buffering=0)

    def write(self, entry: Entry) -> None:
        self._file.write(_ENCODER.encode(entry) + b"\n")

    def close(self) -> None:
        self._file.close()


class Reading:
    """The reading side: each call gives what was added since the last one."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0

    def fresh(self) -> list[Entry]:
        if not self._path.exists():
            return []
        with self._path.open("rb") as file:
            file.seek(self._offset)
            whole = file.read().rpartition(b"\n")[0]
        self._offset += len(whole) + bool(whole)
        return [_DECODER.decode(line) for line in whole.splitlines()]


def read(path: Path) -> list[Entry]:
    return Reading(path).fresh()
