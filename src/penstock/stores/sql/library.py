"""Named SQL statements, read from the `.sql` files that lie beside a store.

A block starts with `-- name: put_messages`; comments and blank lines before the next block belong to nobody. `values :rows`
stands for as many rows as a `Statement` brings.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

from penstock.errors import ConfigurationError
from penstock.model.statement import Statement

_BLOCK = re.compile(r"^-- name: ([a-z_]+)\n(.*?)(?=^-- name: |\Z)", re.MULTILINE | re.DOTALL)
_ROWS = ":rows"
_SIZES = (256, 64, 16, 4, 1)
"""Rows in one text, so that each is prepared once and found again."""
_NONE: Sequence[Any] = ()


def blocks(folder: Traversable) -> Iterator[tuple[str, str]]:
    """Names and texts of all statements in the `.sql` files of a folder. Raises ConfigurationError for a name that is there twice."""
    names: set[str] = set()
    for path in sorted(folder.iterdir(), key=lambda each: each.name):
        for name, text in _BLOCK.findall(path.read_text("utf-8")):
            if name in names:
                raise ConfigurationError(f"{path.name}: the statement {name} is defined twice")
            names.add(name)
            yield name, text.strip().rstrip(";")


class Library:
    """SQL texts by name, and those with a rows list by name and number of rows."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        self._texts = texts
        self._filled: dict[tuple[str, int], str] = {}

    @classmethod
    def load(cls, package: str, folder: str = "sql") -> Library:
        return cls(dict(blocks(files(package).joinpath(folder))))

    def __getitem__(self, name: str) -> str:
        return self._texts[name]

    def __contains__(self, name: str) -> bool:
        return name in self._texts

    def names(self) -> list[str]:
        return sorted(self._texts)

    def calls(self, statement: Statement) -> Sequence[tuple[str, Any]]:
        """The texts to run and their parameters: one, or as many as its rows need."""
        values, width = statement.values, statement.width
        if values is None:
            return ((self._texts[statement.name], statement.params or _NONE),)
        assert statement.params is None, f"{statement.name}: named parameters and a list of rows do not mix"
        calls: list[tuple[str, Any]] = []
        left, start = len(values) // width, 0
        for size in _SIZES:
            while left >= size:
                end = start + size * width
                calls.append((self.filled(statement.name, size, width), values[start:end]))
                start, left = end, left - size
        return calls

    def filled(self, name: str, count: int, width: int) -> str:
        """The statement with `count` rows of `width` positional parameters."""
        text = self._filled.get((name, count))
        if text is None:
            row = f"({', '.join('?' * width)})"
            text = self._texts[name].replace(_ROWS, ", ".join([row] * count))
            self._filled[name, count] = text
        return text
