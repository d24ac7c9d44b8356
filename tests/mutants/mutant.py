"""Mutants: one line of Penstock made wrong, in a copy. Whoever tests a copy of Penstock must find what is wrong with it.

`mutants.toml` says which: the file, the line's text, what it becomes, and what a user would lose by it.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec
from msgspec import Struct

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "penstock"
CATALOGUE = Path(__file__).with_name("mutants.toml")


class Mutant(Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    file: str
    """Below `src/penstock`."""
    old: str
    new: str
    loses: str
    stores: Sequence[str] = ("sqlite", "postgres")
    """Where it can be seen."""

    @property
    def mark(self) -> str:
        """Changes with what it is."""
        return hashlib.sha256("\0".join((self.file, self.old, self.new)).encode()).hexdigest()[:12]

    def applied(self, text: str) -> str:
        """Raises ValueError unless what it changes stands there once, and on one line."""
        if text.count(self.old) != 1:
            raise ValueError(f"{self.name}: {self.old!r} stands {text.count(self.old)} times in {self.file}")
        if "\n" in self.old or "\n" in self.new:
            raise ValueError(f"{self.name}: it changes more than a line")
        return text.replace(self.old, self.new)


def catalogue(store: str | None = None) -> Mapping[str, Mutant]:
    found = msgspec.convert(tomllib.loads(CATALOGUE.read_text())["mutant"], list[Mutant])
    names = [mutant.name for mutant in found]
    assert len(set(names)) == len(names), "two mutants of one name"
    return {mutant.name: mutant for mutant in found if store in (None, *mutant.stores)}


def short(nodeid: str) -> str:
    """A test of the suite, without the file and the class of one store."""
    return nodeid.split("::", 1)[1].removeprefix("TestSqlite::").removeprefix("TestPostgres::")


@contextmanager
def copy(mutant: Mutant | None) -> Iterator[Path]:
    """A folder for PYTHONPATH, with a copy of Penstock in it. None: as it is."""
    with tempfile.TemporaryDirectory(prefix="penstock-mutant-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
        package = Path(folder) / "penstock"
        shutil.copytree(SOURCE, package, ignore=shutil.ignore_patterns("__pycache__"))
        if mutant is not None:
            changed = package / mutant.file
            changed.write_text(mutant.applied(changed.read_text()))
        yield Path(folder)


class Verdict(Struct, frozen=True):
    """What tests said of a copy."""

    passed: Sequence[str]
    failed: Sequence[str]
    """Those during which pytest itself ended, too."""
    cut: bool
    """The time was over: nobody knows of the one that was under way, and of those that had not begun."""


def tried(folder: Path, tests: Sequence[str], seconds: float, environment: Mapping[str, str] | None = None) -> Verdict:
    """Raises RuntimeError if pytest could not even begin."""
    report = folder / "report.jsonl"
    command = [
        sys.executable,
        "-m",
        "pytest",
        "--quiet",
        "-p",
        "no:cacheprovider",
        "-p",
        "tests.mutants.listener",
        "--timeout",
        "20",
        *tests,
    ]
    ours = {"PYTHONPATH": str(folder), "PENSTOCK_MUTANT_REPORT": str(report)}
    process = subprocess.Popen(
        command, cwd=ROOT, env={**os.environ, **ours, **(environment or {})}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    cut = False
    try:
        said = process.communicate(timeout=seconds)[0]
    except subprocess.TimeoutExpired:
        cut = True
        process.kill()
        said = process.communicate()[0]
    lines = [json.loads(line) for line in report.read_text().splitlines()] if report.exists() else []
    if not lines:
        raise RuntimeError(f"no test ran: {said[-2000:]}")
    begun = [line["test"] for line in lines if "passed" not in line]
    ended = {line["test"] for line in lines if line.get("passed")}
    broken = {line["test"] for line in lines if line.get("passed") is False}
    passed = [test for test in begun if test in ended - broken]
    known = {*ended, *broken} if cut else {*begun}
    return Verdict(passed, [test for test in begun if test not in passed and test in known], cut)
