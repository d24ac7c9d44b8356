"""Temporary files: each one is removed once, and not before it is old, or is still there.

- Files written = files removed + files left. The remover says before and after each removal what it does; one that was killed between
  the two explains a file that is gone, and that nobody says to have removed.
- Nothing is removed twice, or while it is young.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence

from msgspec import Struct

from penstock.cli.demo.ledger import FileEntry, Removed, Removing, Written

SLACK = 50_000
"""µs by which the time that a file system gives to a file may be behind the clock."""


class Evidence(Struct, frozen=True):
    entries: Sequence[FileEntry]
    left: Collection[str]
    """What is in the folder."""
    killed: Collection[int]
    """Processes that we killed."""
    age: int
    """µs that a file is to be kept."""


class Sums(Struct, frozen=True):
    written: int
    removed: int
    removed_untold: int
    """By a worker that was killed before it could say so."""
    left: int
    lost: int
    twice: int
    too_young: int


class Verdict(Struct, frozen=True):
    sums: Sums
    faults: tuple[str, ...]


def reconcile(evidence: Evidence) -> Verdict:
    untold, lost = _gone(evidence)
    twice, young = list(_twice(evidence)), list(_too_young(evidence))
    sums = Sums(
        written=len(_names(evidence, Written)),
        removed=len(_names(evidence, Removed)),
        removed_untold=len(untold),
        left=len(evidence.left),
        lost=len(lost),
        twice=len(twice),
        too_young=len(young),
    )
    faults = [
        *_unequal(sums),
        *(f"file that is gone, and nobody removed it: {name}" for name in lost),
        *(f"file twice: {what}" for what in twice),
        *(f"file removed too young: {name}" for name in young),
        *(f"file that nobody wrote: {name}" for name in _unwritten(evidence)),
    ]
    return Verdict(sums, tuple(faults))


def _names(evidence: Evidence, kind: type[FileEntry]) -> list[str]:
    return [entry.name for entry in evidence.entries if isinstance(entry, kind)]


def _unequal(sums: Sums) -> Iterable[str]:
    if sums.written != sums.removed + sums.removed_untold + sums.left:
        yield f"files: {sums.written} written, {sums.removed} and {sums.removed_untold} removed, {sums.left} left"


def _gone(evidence: Evidence) -> tuple[list[str], list[str]]:
    """Files of whose removal nobody told: those of a killed remover, and those that nothing explains."""
    told = {*evidence.left, *_names(evidence, Removed)}
    gone = [name for name in _names(evidence, Written) if name not in told]
    begun = {entry.name for entry in evidence.entries if isinstance(entry, Removing) and entry.pid in evidence.killed}
    return [name for name in gone if name in begun], [name for name in gone if name not in begun]


def _twice(evidence: Evidence) -> Iterable[str]:
    written, removed = Counter(_names(evidence, Written)), Counter(_names(evidence, Removed))
    yield from (f"{name} was written {count} times" for name, count in written.items() if count > 1)
    yield from (f"{name} was removed {count} times" for name, count in removed.items() if count > 1)
    yield from (f"{name} was removed and is still there" for name in sorted(removed.keys() & {*evidence.left}))


def _too_young(evidence: Evidence) -> Iterable[str]:
    written = {entry.name: entry.at for entry in evidence.entries if isinstance(entry, Written)}
    for entry in evidence.entries:
        if isinstance(entry, Removed) and entry.name in written and entry.at < written[entry.name] + evidence.age - SLACK:
            yield entry.name


def _unwritten(evidence: Evidence) -> Iterable[str]:
    return sorted({*evidence.left, *_names(evidence, Removed)} - {*_names(evidence, Written)})
