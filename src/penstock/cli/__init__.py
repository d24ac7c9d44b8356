"""The `penstock` command. What a sub-command needs is loaded when it is asked for."""

import sys

from penstock.cli.lazy import run


def main() -> None:
    sys.exit(run(sys.argv[1:]))
