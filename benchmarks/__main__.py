"""`make bench`: all that stands in docs/benchmarks.md, and that page.

As the first word: `short`, the same in about three minutes. `own`: Penstock alone, `penstock bench` at the depth that the targets are for,
without a limit of time; options without a first word are its. `file`: on SQLite, beside peers on Redis, RabbitMQ, SQLite and PostgreSQL.
`server`: on PostgreSQL, beside peers there. `history`: a store with a long past, beside an empty one. `growth`: what a job costs as there
is more of something. `figures`: what they have found, as a page.
"""

import sys

from benchmarks.figures import figures
from benchmarks.file import file
from benchmarks.growth import growth
from benchmarks.history import history
from benchmarks.kept import RESULTS, result
from benchmarks.server import server
from benchmarks.whole import short, whole
from penstock.cli.bench.command import FULL_DEPTH, bench


def main() -> None:
    first, *rest = sys.argv[1:] or ["whole"]
    for command in (whole, short, file, server, history, growth, figures):
        if first == command.name:
            command.main(rest, prog_name=f"python -m benchmarks {command.name}")
    words = rest if first == "own" else [first, *rest]
    RESULTS.mkdir(exist_ok=True)
    bench.main(["--depth", str(FULL_DEPTH), "--limit", "0", "--json", str(result("own")), *words], prog_name="python -m benchmarks")


if __name__ == "__main__":
    main()
