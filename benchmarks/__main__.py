"""`make bench`: `penstock bench` at the depth that the targets are for, without a limit of time, and its JSON kept here.

As the first word: `file`, on SQLite, beside peers on Redis, RabbitMQ and SQLite. `server`: on PostgreSQL, beside peers there. `history`:
a store with a long past, beside an empty one. `growth`: what a job costs as there is more of something. `figures`: what they have
found, as a page.
"""

import platform
import sys
from pathlib import Path

from benchmarks.figures import figures
from benchmarks.file import file
from benchmarks.growth import growth
from benchmarks.history import history
from benchmarks.server import server
from penstock.cli.bench.command import FULL_DEPTH, bench

RESULTS = Path(__file__).with_name("results")


def main() -> None:
    for command in (file, server, history, growth, figures):
        if sys.argv[1:2] == [command.name]:
            command.main(sys.argv[2:], prog_name=f"python -m benchmarks {command.name}")
    RESULTS.mkdir(exist_ok=True)
    result = RESULTS / f"python{platform.python_version()}.json"
    bench.main(["--depth", str(FULL_DEPTH), "--limit", "0", "--json", str(result), *sys.argv[1:]], prog_name="python -m benchmarks")


if __name__ == "__main__":
    main()
