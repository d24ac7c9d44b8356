"""Looks, on the loop, whether the beats are written. A worker that could not beat for two thirds of its lease stops its handlers
while it still owns what they do; when beats are written again it goes on."""

from __future__ import annotations

from collections.abc import Callable

from penstock.engine.beat import Beat, Vitals
from penstock.engine.service import Service
from penstock.engine.ties import Ties


class Pulse(Service):
    def __init__(self, beat: Beat, vitals: Vitals, faint: Callable[[bool], None], ties: Ties) -> None:
        """`faint(True)`: the worker is about to be declared dead; `faint(False)`: it beats again."""
        super().__init__("pulse", ties)
        self._beat = beat
        self._vitals = vitals
        self._tell = faint
        self._faint = False

    async def tick(self) -> float:
        faint = self._vitals.monotonic() - self._beat.last > self._vitals.lease * 2 / 3
        if faint is not self._faint:
            self._faint = faint
            self._tell(faint)
        return self._vitals.lease / 12
