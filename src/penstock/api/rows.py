"""Batch tasks: a handler of many rows, whose messages carry one each."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, get_args, get_origin

from penstock.api.options import seconds_from_none
from penstock.api.signature import Names, Signature, read
from penstock.errors import ConfigurationError
from penstock.model.clock import Duration
from penstock.ports.handler import Batch

MOST_ROWS = 10_000
ROW = "row"
"""What a message calls its row, whatever the handler calls its list."""

_LISTS = (list, Sequence, Collection, Iterable)


def batch_of(where: str, size: Any, wait: Duration) -> Batch:
    """Raises ConfigurationError for what cannot be."""
    if not isinstance(size, int) or isinstance(size, bool) or not 1 <= size <= MOST_ROWS:
        raise ConfigurationError(f"{where}: batch_task(size={size!r}): rows, 1 to {MOST_ROWS:,}")
    return Batch(size, seconds_from_none(f"{where}: batch_task(wait=…)", wait))


def read_rows(function: Callable[..., Any], task: str, local: Mapping[str, Any]) -> Signature:
    """A batch handler as its messages see it. Raises ConfigurationError unless it takes a list and nothing else."""
    signature = read(function, task, local)
    taken = [p for p in signature.parameters if p.kind is not p.KEYWORD_ONLY and p.default is p.empty]
    if len(taken) != 1 or len(signature.parameters) != 1:
        raise ConfigurationError(
            f"{signature.place}: task {signature.task!r}: a batch handler takes its rows and nothing else, "
            f"ctx, tx and injected values excepted: {signature.name}(rows: list[Row])"
        )
    names = _RowNames(signature.names.module, signature.names.local)
    annotation = taken[0].annotation
    row = inspect.Parameter(ROW, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    if annotation is not inspect.Parameter.empty:
        _refuse_what_is_no_list(signature, annotation)
        row = row.replace(annotation=_EachOf(annotation))
    return replace(signature, parameters=(row,), names=names)


def _refuse_what_is_no_list(signature: Signature, annotation: object) -> None:
    try:
        found = signature.names.resolve(annotation)
    except Exception:  # it names what is defined later: a worker will say it
        return
    if not _is_list(found):
        raise ConfigurationError(
            f"{signature.place}: task {signature.task!r}: a batch handler takes a list of rows, such as list[Row], not {annotation!r}"
        )


def _is_list(hint: object) -> bool:
    return hint is Any or (get_origin(hint) or hint) in _LISTS


@dataclass(frozen=True)
class _EachOf:
    """The annotation of one row, by that of the list."""

    rows: object


class _RowNames(Names):
    def resolve(self, annotation: object) -> Any:
        if not isinstance(annotation, _EachOf):
            return super().resolve(annotation)
        rows = super().resolve(annotation.rows)
        if not _is_list(rows):
            raise TypeError(f"{rows!r} is not a list")
        return (get_args(rows) or (Any,))[0]
