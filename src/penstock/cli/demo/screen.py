"""The terminal: a table that is drawn again in place, or a line a second where the output is not a terminal. And its keys."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import termios
import textwrap
import tty
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import TextIO

from penstock.cli.demo import view
from penstock.cli.demo.meter import Numbers

WIDEST = 100
"""Characters of a line of text."""


class Screen:
    def __init__(self, out: TextIO, *, keys: bool) -> None:
        self._out = out
        self._keys = keys
        self._live = out.isatty()
        self._drawn = 0
        self._next = 0.0

    def say(self, *paragraphs: str) -> None:
        """Text that stays, below what was drawn last."""
        self._drawn = 0
        for paragraph in paragraphs:
            print(textwrap.fill(paragraph, self._width(), break_long_words=False, break_on_hyphens=False), file=self._out)
        self._out.flush()

    def print(self, lines: Sequence[str]) -> None:
        """Lines that stay as they are."""
        self._drawn = 0
        print("\n".join(lines), file=self._out, flush=True)

    def show(self, numbers: Numbers, doing: str = "") -> None:
        if self._live:
            self._draw(view.table(numbers, doing, self._keys))
        elif numbers.elapsed >= self._next:
            self._next = int(numbers.elapsed) + 1
            print(view.line(numbers, doing), file=self._out, flush=True)

    def _draw(self, lines: Sequence[str]) -> None:
        columns = shutil.get_terminal_size().columns - 1
        up = f"\x1b[{self._drawn}F" if self._drawn else ""
        self._out.write(up + "".join(f"{line[:columns]}\x1b[K\n" for line in lines))
        self._out.flush()
        self._drawn = len(lines)

    def _width(self) -> int:
        return min(WIDEST, shutil.get_terminal_size().columns - 1)


@contextmanager
def keys(pressed: Callable[[str], None]) -> Generator[None, None, None]:
    """Call `pressed` for each key, on the running loop. The terminal is put back as it was."""
    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)
    loop = asyncio.get_running_loop()
    tty.setcbreak(terminal)

    def typed() -> None:
        for key in os.read(terminal, 64).decode(errors="replace"):
            pressed(key)

    loop.add_reader(terminal, typed)
    try:
        yield
    finally:
        loop.remove_reader(terminal)
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)
