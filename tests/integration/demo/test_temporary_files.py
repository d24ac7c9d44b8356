"""The sums of temporary files notice what would be wrong. Made-up ledgers, times in seconds for reading; and the shelf itself."""

import os
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec

from penstock.cli.demo import ledger
from penstock.cli.demo.ledger import FileEntry, Removed, Removing, Written
from penstock.cli.demo.plan import Files
from penstock.cli.demo.reconcile.files import Evidence, reconcile
from penstock.cli.demo.shelf import Shelf
from penstock.model.clock import WallClock

SECOND = 1_000_000


def evidence() -> Evidence:
    """One was removed, one by process 7 that was killed before it could say so; one is left."""
    return Evidence(
        entries=[
            *(Written(0, name) for name in ("told", "untold", "young")),
            Removing(3 * SECOND, "told", 6),
            Removed(3 * SECOND, "told"),
            Removing(4 * SECOND, "untold", 7),
        ],
        left=["young"],
        killed=[7],
        age=2 * SECOND,
    )


def test_all_adds_up() -> None:
    verdict = reconcile(evidence())
    assert verdict.faults == ()
    assert msgspec.to_builtins(verdict.sums) == {
        "written": 3,
        "removed": 1,
        "removed_untold": 1,
        "left": 1,
        "lost": 0,
        "twice": 0,
        "too_young": 0,
    }


def test_a_file_that_is_gone_is_lost() -> None:
    assert_fault(changed(left=[]), "lost", "nobody removed it: young")
    assert_fault(changed(left=[]), "lost", "files: 3 written, 1 and 1 removed, 0 left")


def test_a_remover_that_lives_explains_nothing() -> None:
    assert_fault(changed(killed=[6]), "lost", "nobody removed it: untold")


def test_a_second_removal() -> None:
    assert_fault(added(Removed(5 * SECOND, "told")), "twice", "told was removed 2 times")


def test_a_second_writing() -> None:
    assert_fault(added(Written(5 * SECOND, "young")), "twice", "young was written 2 times")


def test_removed_and_still_there() -> None:
    assert_fault(changed(left=["young", "told"]), "twice", "told was removed and is still there")


def test_removed_too_young() -> None:
    assert_fault(added(Written(2 * SECOND, "fresh"), Removed(3 * SECOND, "fresh")), "too_young", "too young: fresh")


def test_files_that_nobody_wrote() -> None:
    assert_fault(changed(left=["young", "foreign"]), None, "nobody wrote: foreign")
    assert_fault(added(Removed(5 * SECOND, "other")), None, "nobody wrote: other")


class Later(WallClock):
    """As long after the files were written as it takes them to be old."""

    def now(self) -> int:
        return super().now() + 3 * SECOND


def test_a_shelf_removes_what_is_old_and_says_so(tmp_path: Path) -> None:
    files = Files(tmp_path)
    files.temporary.mkdir()
    with closing(Shelf(files, WallClock())) as now, closing(Shelf(files, Later())) as later:
        now.write("receipt-1.txt", "1 x mug\n")
        assert now.remove_old() == 0
        assert later.remove_old() == 1
    assert list(files.temporary.iterdir()) == []
    entries = [(type(entry), entry.name) for entry in ledger.read(files.shelf) if isinstance(entry, FileEntry)]
    assert entries == [(kind, "receipt-1.txt") for kind in (Written, Removing, Removed)]
    assert [entry.pid for entry in ledger.read(files.shelf) if isinstance(entry, Removing)] == [os.getpid()]


def changed(**fields: Any) -> Evidence:
    return msgspec.structs.replace(evidence(), **fields)


def added(*entries: FileEntry) -> Evidence:
    return changed(entries=[*evidence().entries, *entries])


def assert_fault(found: Evidence, figure: str | None, words: str) -> None:
    verdict = reconcile(found)
    assert any(words in fault for fault in verdict.faults), verdict.faults
    if figure is not None:
        assert msgspec.to_builtins(verdict.sums)[figure] > 0
