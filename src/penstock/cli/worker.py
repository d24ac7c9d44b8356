"""`penstock worker`: the parent, or (with a tether) one of its children."""

from __future__ import annotations

from typing import Any

import click

from penstock.cli import lazy
from penstock.cli.bundle import bundled
from penstock.cli.lengths import as_seconds
from penstock.cli.supervision import logs
from penstock.cli.supervision.order import Order
from penstock.cli.supervision.parent import supervise
from penstock.engine.nursery import LogFormat


def weights(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[tuple[str, int], ...]:
    """`mail:5,reports`; a queue's name may hold colons itself."""
    found: dict[str, int] = {}
    for part in value.split(",") if value is not None else ():
        name, _, weight = part.strip().rpartition(":")
        if not weight.isdecimal() or not name:
            name, weight = part.strip(), "1"
        if not name or int(weight) < 1 or name in found:
            raise click.BadParameter(f"{value!r}: write names with weights from 1, each once: mail:5,reports")
        found[name] = int(weight)
    return tuple(found.items())


def _order(
    queues: tuple[tuple[str, int], ...],
    store: str | None,
    shutdown_timeout: float,
    lease: float,
    log_format: LogFormat,
    children: int | None,
) -> dict[str, Any]:
    if lease < 1:
        raise click.BadParameter("a lease is at least 1s", param_hint="--lease")
    lengths = {"shutdown_timeout": shutdown_timeout, "lease": lease}
    return {"queues": queues, "store": store, **lengths, "log_format": log_format, "children": children}


_how = bundled(
    "how",
    _order,
    click.option("--queues", callback=weights, help="Only these, with weights: mail:5,reports. Else all where jobs of its tasks wait."),
    click.option("--store", metavar="URL", help="Instead of the app's own."),
    click.option(
        "--shutdown-timeout",
        callback=as_seconds,
        metavar="TIME",
        default="25s",
        show_default=True,
        help="For what runs when it is told to stop.",
    ),
    click.option(
        "--lease",
        callback=as_seconds,
        metavar="TIME",
        default="15s",
        show_default=True,
        help="Unseen for so long, a worker counts as dead.",
    ),
    click.option(
        "--children",
        type=click.IntRange(1, 1024),
        help='Child processes at once in each process, for isolation="process"; else one for each processor, at least 2.',
    ),
    click.option("--log-format", type=click.Choice(["auto", "json", "text"]), default="auto", help="auto: text on a terminal."),
)


@click.command()
@click.argument("app", metavar="MODULE:APP")
@click.option("--processes", type=click.IntRange(1, 1024), default=1, show_default=True)
@click.option("--concurrency", type=click.IntRange(1, 100_000), default=100, show_default=True, help="Jobs at once in each process.")
@_how
@click.option("--tether", type=int, hidden=True)
def worker(app: str, processes: int, concurrency: int, how: dict[str, Any], tether: int | None) -> int:
    """Run the jobs of an app.

    The processes are watched over: one that dies is replaced. SIGTERM or Ctrl-C lets what runs end within --shutdown-timeout
    and gives the rest back; a second one gives all back now. SIGUSR1 writes the stacks of all threads to stderr.
    """
    if tether is not None:
        return int(lazy.load("penstock.cli.supervision.child:work")(tether))
    logs.configure(how["log_format"])
    return supervise(Order(app=app, processes=processes, concurrency=concurrency, **how))
