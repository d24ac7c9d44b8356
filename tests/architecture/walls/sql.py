"""SQL is SQL: in named blocks, lower case, with :named parameters, without a clock of its own; dialects read side by side."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.architecture.walls.exemptions import SERVER_TIME, SRC

STORES = SRC + "stores"
NAME = re.compile(r"^-- name:[ ]?(.*)$")
SNAKE = re.compile(r"[a-z][a-z0-9_]*")
COMMENT = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)
STRING = re.compile(r"'(?:[^']|'')*'")
PARAMETER = re.compile(r"(?<![:\w]):([A-Za-z_]\w*)")
FOREIGN_PARAMETER = re.compile(r"\?\d*|%s|%\(\w+\)s|\$\d+|(?<![@\w])@\w+")
OWN = {"put.sql", "claim.sql", "append.sql", "feeding.sql", "trimming.sql", "own.sql"}
"""A dialect's own: what lives on one writer, or on many; its pragmas and sequences."""
CLOCK = re.compile(
    r"\b(?:now|clock_timestamp|statement_timestamp|transaction_timestamp|timeofday|unixepoch)\s*\("
    r"|\b(?:current_timestamp|current_date|current_time|localtime|localtimestamp)\b"
    r"|'now'",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Block:
    path: Path
    """Relative to the checkout."""
    name: str
    body: str
    """Without comments. Text above the first name is a block without a name."""

    @property
    def where(self) -> str:
        return f"{self.path.as_posix()}:{self.name or '(no name)'}"

    @property
    def code(self) -> str:
        return STRING.sub("''", self.body)

    @property
    def dialect(self) -> str:
        return self.path.parts[-3]


def blocks(root: Path, dialect: str = "**") -> list[Block]:
    paths = sorted((root / STORES).glob(f"{dialect}/sql/*.sql"))
    return [block for path in paths for block in split(path.relative_to(root), path.read_text(encoding="utf-8"))]


def split(path: Path, text: str) -> Iterator[Block]:
    name, lines = "", list[str]()
    for line in [*text.splitlines(), "-- name: end"]:
        if found := NAME.match(line):
            body = COMMENT.sub("", "\n".join(lines)).strip()
            if name or body:
                yield Block(path, name, body)
            name, lines = found[1].strip(), []
        else:
            lines.append(line)


def ill_named_sql(root: Path) -> list[str]:
    found = blocks(root)
    counts = Counter((block.dialect, block.name) for block in found)
    twice = [f"{dialect}: {name} stands {count} times" for (dialect, name), count in counts.items() if count > 1]
    return twice + [f"{block.where}: {fault}" for block in found for fault in naming_faults(block)]


def naming_faults(block: Block) -> Iterator[str]:
    if not SNAKE.fullmatch(block.name):
        yield "a statement stands under `-- name: snake_case`"
    if not block.body:
        yield "no statement"
    if "create trigger" not in block.code and len([part for part in block.code.split(";") if part.strip()]) > 1:
        yield "more than one statement"


def upper_case_sql(root: Path) -> list[str]:
    return [f"{block.where}: {word[0]} is not lower case" for block in blocks(root) if (word := re.search(r"\w*[A-Z]\w*", block.code))]


def sql_clocks(root: Path) -> list[str]:
    return [
        f"{block.where}: {clock[0]} is the server's time, `:now` is ours"
        for block in blocks(root)
        if (clock := CLOCK.search(block.body)) and block.where.removeprefix(SRC) not in SERVER_TIME
    ]


def foreign_parameters(root: Path) -> list[str]:
    return [
        f"{block.where}: parameters are written :name, not {other[0]}"
        for block in blocks(root)
        if (other := FOREIGN_PARAMETER.search(block.code))
    ]


def dialects_apart(root: Path) -> list[str]:
    """Parity is for shared programs: in files that both dialects have, and not for a dialect's own."""
    found = {name: blocks(root, name) for name in ("sqlite", "postgres")}
    shared = set[str].intersection(*({block.path.name for block in each} for each in found.values())) - OWN
    sqlite, postgres = (
        {block.name: set(PARAMETER.findall(block.code)) for block in each if block.path.name in shared} for each in found.values()
    )
    missing = [f"{name}: only in one dialect" for name in sorted(sqlite.keys() ^ postgres.keys())]
    return missing + [f"{name}: other parameters" for name in sorted(sqlite.keys() & postgres.keys()) if sqlite[name] != postgres[name]]
