"""What an app says about its queues."""

from __future__ import annotations

from typing import Any

from penstock.api.options import named
from penstock.errors import ConfigurationError
from penstock.model.limit import Limit, parse_rate


class QueueLimits:
    """Checked as they are said; later ones win."""

    def __init__(self) -> None:
        self.max_waiting: dict[str, int] = {}
        self._limits: dict[str, Limit] = {}

    @property
    def limits(self) -> tuple[Limit, ...]:
        """Over all workers."""
        return tuple(self._limits.values())

    def say(self, where: str, name: str, concurrency: int | None, rate: str | None, max_waiting: int | None) -> None:
        """Raises ConfigurationError for what cannot be."""
        name = named(where, name)
        if concurrency is None and rate is None and max_waiting is None:
            raise ConfigurationError(f"{where}({name!r}): give concurrency=, rate= or max_waiting=")
        if concurrency is not None or rate is not None:
            self._limits[name] = Limit(name, whole_number(where, "concurrency", concurrency), _rate(where, rate))
        if max_waiting is not None:
            whole_number(where, "max_waiting", max_waiting)
            self.max_waiting[name] = max_waiting


def whole_number(where: str, what: str, number: Any) -> int | None:
    """Raises ConfigurationError unless it is one from 1 on, or None."""
    if number is not None and (not isinstance(number, int) or isinstance(number, bool) or number < 1):
        raise ConfigurationError(f"{where}({what}={number!r}): a number of jobs, at least 1")
    return number


def _rate(where: str, rate: Any) -> str | None:
    if rate is not None and not isinstance(rate, str):
        raise ConfigurationError(f"{where}(rate={rate!r}): a text such as '100/s'")
    if rate is not None:
        try:
            parse_rate(rate)
        except ValueError as error:
            raise ConfigurationError(f"{where}(rate=…): {error}") from None
    return rate
