"""A process of our own: a fresh interpreter in a session of its own, never a fork.

- It inherits one end of a socket pair, and no other descriptor: no lock file, nothing of the store.
- In a session of its own it does not hear what a terminal sends to its worker (Ctrl-C), and what it starts can be killed with it.
- Signals that ask a program to stop are blocked until it has handlers for them.
- What it writes to stderr is passed on, and its end is kept: there a crash says why.
- Its end is seen before it is reaped (`WNOWAIT`), so a kill never meets another process that got its number meanwhile.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress

from penstock.errors import ChildDied

LEFT_TO_THE_WORKER = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""A service manager sends them to the whole group; the worker answers, and its children go on while it waits for them."""
_TAIL = 4_096
"""Bytes of stderr that are kept."""
_READ = 65_536
_LAST_READS = 16
"""More than a pipe holds. What escaped the kill, in a session of its own, may write on for ever."""
_LINES = 30


class Spawned:
    """Made on the loop, which hears of its end."""

    def __init__(self, command: Sequence[str], end: socket.socket, ended: Callable[[int], None]) -> None:
        """`end` is inherited, and its number is the last argument. `ended` is told the status, as `Popen.returncode`.

        Raises ChildDied if there can be no such process.
        """
        self._loop = asyncio.get_running_loop()
        self._ended = ended
        self._tail = b""
        self._errors, errors = os.pipe()
        try:
            self._process = _popen([*command, str(end.fileno())], end.fileno(), errors)
        except OSError as error:
            os.close(self._errors)
            raise ChildDied(f"no child process can be started: {error}") from error
        finally:
            os.close(errors)
        os.set_blocking(self._errors, False)
        self._loop.add_reader(self._errors, self._pass_on)
        threading.Thread(target=self._wait, name=f"penstock-child-{self.pid}", daemon=True).start()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def last_lines(self) -> str:
        """The last it wrote to stderr."""
        return "\n".join(self._tail.decode("utf-8", "replace").splitlines()[-_LINES:])

    def kill(self) -> None:
        """With all that it started. It is dead when `ended` says so."""
        if self._process.returncode is None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)

    def _wait(self) -> None:
        with suppress(ChildProcessError):  # somebody else in this process reaps whatever ends
            os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
        try:
            self._loop.call_soon_threadsafe(self._reap)
        except RuntimeError:  # the loop is closed: nobody is told any more
            self._process.wait()

    def _reap(self) -> None:
        self.kill()  # what it left behind
        status = self._process.wait()
        for _ in range(_LAST_READS):
            if not self._pass_on():
                break
        self._loop.remove_reader(self._errors)
        os.close(self._errors)
        self._ended(status)

    def _pass_on(self) -> bool:
        """False: nothing is there now."""
        try:
            text = os.read(self._errors, _READ)
        except BlockingIOError:
            return False
        if not text:
            self._loop.remove_reader(self._errors)
            return False
        self._tail = (self._tail + text)[-_TAIL:]
        with suppress(OSError):  # a worker whose own stderr is closed
            os.write(2, text)
        return True


def _popen(command: Sequence[str], inherited: int, errors: int) -> subprocess.Popen[bytes]:
    """The child lets the signals through when it has its handlers: one that comes before would kill it, and blame its job."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, LEFT_TO_THE_WORKER)
    try:
        return subprocess.Popen(command, pass_fds=[inherited], stdin=subprocess.DEVNULL, stderr=errors, start_new_session=True)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def told(status: int) -> str:
    """A status in words."""
    if status >= 0:
        return f"exit code {status}"
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = f"signal {-status}"
    return f"exit code {status} ({name})" + (", not sent by its worker: out of memory?" if status == -signal.SIGKILL else "")
