"""Who gives a command: kept with what an operator sets."""

from __future__ import annotations

import getpass
import os
import socket


def who() -> str:
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # a container whose user has no name
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"
