"""The real `penstock worker` command, in a child that ends with the demo."""

from __future__ import annotations

import sys

from penstock.cli import main
from penstock.cli.demo.tied import tie

if __name__ == "__main__":
    tie()
    sys.exit(main(sys.argv[1:]))
