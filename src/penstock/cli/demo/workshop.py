"""The real `penstock worker` command, in a child that ends with the demo."""

from __future__ import annotations

import os
import sys

from penstock.cli.demo.tied import tie
from penstock.cli.lazy import run

if __name__ == "__main__":
    tie()
    os.dup2(2, 1)  # whatever the command prints goes to the log
    sys.exit(run(sys.argv[1:]))
