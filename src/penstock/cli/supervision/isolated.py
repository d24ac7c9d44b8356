"""The child process of a worker, in which handlers with `isolation="process"` run:  python -m penstock.cli.supervision.isolated FD

It dies with its worker: the kernel kills it at once (Linux), and the end of its socket tells it. Signals that a service manager sends to
the whole group are the worker's to answer: it lets its children go on while it may wait for them.
"""

from __future__ import annotations

import asyncio
import ctypes
import faulthandler
import os
import signal
import socket
import sys
import traceback
from contextlib import suppress

from penstock.app import App
from penstock.cli import apps, exits
from penstock.cli.supervision import logs
from penstock.engine.executors.inside import Inside
from penstock.engine.executors.spawn import LEFT_TO_THE_WORKER
from penstock.engine.executors.words import Unfit, first_order, frame
from penstock.engine.nursery import Home
from penstock.errors import PenstockError

_PR_SET_PDEATHSIG = 1


def main(fd: int) -> int:
    """The exit code."""
    end = socket.socket(fileno=fd)
    end.set_inheritable(False)
    home = first_order(end)
    if not isinstance(home, Home):
        return exits.OK
    _follow(home.parent)
    faulthandler.enable(all_threads=False)
    for number in LEFT_TO_THE_WORKER:
        signal.signal(number, _leave_it)
    signal.signal(signal.SIGUSR1, _show_stacks)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, LEFT_TO_THE_WORKER)
    try:
        app = _prepared(home)
        return asyncio.run(_serve(app, end))
    except PenstockError as error:
        _tell(end, str(error))
        return exits.code_of(error)
    except Exception as error:
        traceback.print_exc()
        _tell(end, f"{type(error).__name__}: {error}")
        return exits.FAILED


def _tell(end: socket.socket, problem: str) -> None:
    """While it was not ready; afterwards the end is closed, and what the worker sees is its exit code."""
    with suppress(OSError):
        end.setblocking(True)
        end.sendall(frame(Unfit(problem)))


def _follow(parent: int) -> None:
    """Should it have died just before it could be followed, somebody else is our parent by now."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(exits.OK)


def _leave_it(number: int, frame: object) -> None:
    """A handler, and not `SIG_IGN`: what a job starts does not inherit it."""


def _show_stacks(number: int, frame: object) -> None:
    """Between two bytecodes, where the stacks of other threads stand still: `faulthandler.register` would look at them as they move."""
    faulthandler.dump_traceback(all_threads=True)


def _prepared(home: Home) -> App:
    sys.path[:] = home.path
    sys.argv[:] = home.argv
    app = apps.load(home.target)
    for module in home.modules:
        apps.load_handlers(module)
    app.place.move(home.store)
    if home.log_format is not None:
        logs.configure(home.log_format)
    return app


async def _serve(app: App, end: socket.socket) -> int:
    async with app.resources() as state:
        told_to_leave = await Inside(app.routes(), state, await asyncio.open_unix_connection(sock=end)).serve()
        if not told_to_leave:
            os._exit(exits.OK)  # nobody waits for what runs, and its job is another's
    await app.close()
    return exits.OK


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
