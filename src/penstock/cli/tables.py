"""Aligned plain text, and JSON."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import click

_GAP = 2
_NARROWEST = 12


@dataclass(frozen=True)
class Column:
    """`drop`: left out where the terminal is too narrow, the highest first. `shrinks`: cut in its middle after that."""

    title: str
    cells: Sequence[str]
    right: bool = False
    drop: int = 0
    shrinks: bool = False

    @property
    def width(self) -> int:
        return max(len(cell) for cell in (self.title, *self.cells))


def show_table(columns: Sequence[Column]) -> None:
    """Without columns that say nothing. Never cut when it goes to a file or a pipe."""
    columns = [column for column in columns if any(column.cells)]
    terminal = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    for line in lines(columns, terminal):
        click.echo(line)


def lines(columns: Sequence[Column], terminal: int | None) -> list[str]:
    if terminal is not None:
        columns = _fitted(list(columns), terminal)
    rows = zip(*((column.title, *column.cells) for column in columns), strict=True)
    head, *rest = [_line(row, columns) for row in rows] or [""]
    return [click.style(head, bold=True), *rest]


def _line(row: Sequence[str], columns: Sequence[Column]) -> str:
    cells = [cell.rjust(column.width) if column.right else cell.ljust(column.width) for cell, column in zip(row, columns, strict=True)]
    return (" " * _GAP).join(cells).rstrip()


def _fitted(columns: list[Column], terminal: int) -> list[Column]:
    while _total(columns) > terminal and any(column.drop for column in columns):
        columns.remove(max(columns, key=lambda column: column.drop))
    return [_shrunk(column, _total(columns) - terminal) if column.shrinks else column for column in columns]


def _total(columns: Sequence[Column]) -> int:
    return sum(column.width for column in columns) + _GAP * (len(columns) - 1)


def _shrunk(column: Column, excess: int) -> Column:
    width = max(_NARROWEST, column.width - max(0, excess))
    return Column(column.title, [_cut(cell, width) for cell in column.cells])


def _cut(text: str, width: int) -> str:
    if len(text) <= width:
        return text
    head = (width - 1) // 3
    return f"{text[:head]}…{text[len(text) - (width - 1 - head) :]}"


def show_json(value: object) -> None:
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def note(text: str) -> None:
    """For humans: on stderr, so that stdout stays the answer."""
    click.echo(text, err=True)
