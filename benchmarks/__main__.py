"""`make bench`: `penstock bench` at the depth that the targets are for, without a limit of time, and its JSON kept here.

`server` as the first word: on PostgreSQL, beside its peers. `history`: a store with a long past, beside an empty one.
"""

import platform
import sys
from pathlib import Path

from benchmarks.history import history
from benchmarks.server import server
from penstock.cli.bench.command import FULL_DEPTH, bench

RESULTS = Path(__file__).with_name("results")


def main() -> None:
    if sys.argv[1:2] == ["server"]:
        server.main(sys.argv[2:], prog_name="python -m benchmarks server")
    if sys.argv[1:2] == ["history"]:
        history.main(sys.argv[2:], prog_name="python -m benchmarks history")
    RESULTS.mkdir(exist_ok=True)
    result = RESULTS / f"python{platform.python_version()}.json"
    bench.main(["--depth", str(FULL_DEPTH), "--limit", "0", "--json", str(result), *sys.argv[1:]], prog_name="python -m benchmarks")


if __name__ == "__main__":
    main()
