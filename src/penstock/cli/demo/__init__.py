"""`penstock demo`: sign-ups, e-mails, orders and killed workers, live; ends with a reconciliation."""

from __future__ import annotations

import asyncio
import shutil
import signal
import sys
import tempfile
from contextlib import AbstractContextManager, nullcontext
from importlib.util import find_spec
from pathlib import Path
from random import SystemRandom

import click

from penstock import connect
from penstock.cli.demo import report, view
from penstock.cli.demo.child import ChildFailed
from penstock.cli.demo.plan import Plan
from penstock.cli.demo.screen import Screen, keys
from penstock.cli.demo.show import Ending, Wishes, perform
from penstock.cli.demo.tables import drop_schema, own_schema

NEEDED = ("starlette", "uvicorn", "aiosmtplib", "aiosmtpd", "httpx")
ALONE = 20.0
"""Seconds of a run that nobody watches."""
KILLS = 3
INTERRUPTED = 130


@click.command()
@click.option(
    "--for", "seconds", type=click.FloatRange(1, 86_400), metavar="SECONDS", help="Sign-ups come for so long. [until q is pressed]"
)
@click.option("--kills", type=click.IntRange(0, 1000), help="Workers to kill at random moments. [3; with the keyboard and no --for: 0]")
@click.option("--seed", type=int, help="Of everything that is random.")
@click.option("--dir", "folder", type=click.Path(path_type=Path, file_okay=False), help="Keep the data in this folder, new or empty.")
@click.option("--keep", is_flag=True, help="Keep the data in a new folder.")
@click.option("--store", metavar="URL", help="A PostgreSQL database instead of a file; a schema is made there, and dropped at the end.")
@click.option("--json", "machine", is_flag=True, help="Print nothing but the result, as JSON.")
def demo(
    seconds: float | None, kills: int | None, seed: int | None, folder: Path | None, keep: bool, store: str | None, machine: bool
) -> int:
    """Watch jobs survive: sign-ups and orders over HTTP, e-mails over SMTP, workers killed with SIGKILL.

    Real processes on this machine, loopback only. At the end the sums are held against each other; exit code 1 if they differ.
    """
    for module in NEEDED:
        if find_spec(module) is None:
            connect.require(module, "demo")
    alone = seconds is not None or kills is not None or not sys.stdin.isatty()
    plan = Plan(
        folder=_folder(folder),
        url=None if store is None else own_schema(store),
        keep=keep or folder is not None,
        seconds=seconds or (ALONE if alone else None),
        kills=kills if kills is not None else KILLS if alone else 0,
        seed=seed if seed is not None else SystemRandom().randrange(1_000_000),
    )
    return _run(plan, machine)


def _folder(given: Path | None) -> Path:
    if given is None:
        return Path(tempfile.mkdtemp(prefix="penstock-demo-")).resolve()
    given.mkdir(parents=True, exist_ok=True)
    if any(given.iterdir()):
        raise click.BadParameter(f"{given} is not empty; another run's data would mix with this one's", param_hint="--dir")
    return given.resolve()


def _run(plan: Plan, machine: bool) -> int:
    watched = sys.stdin.isatty()
    screen = Screen(sys.stderr if machine else sys.stdout, keys=watched)
    plan.logs.mkdir()
    plan.temporary.mkdir()
    screen.say(view.TITLE, "", view.STORY)
    try:
        ending = asyncio.run(_watch(plan, screen, watched))
    except asyncio.CancelledError:
        screen.say("", "Left at once: nothing was counted.")
        _clean(plan, worked=True)
        return INTERRUPTED
    except ChildFailed as error:
        raise click.ClickException(f"{error}\nThe logs are in {plan.logs}") from error
    _tell(plan, ending, screen, machine)
    _clean(plan, worked=ending.verdict.ok)
    return 0 if ending.verdict.ok else 1


async def _watch(plan: Plan, screen: Screen, watched: bool) -> Ending:
    """Ctrl-C ends the run as `q` does; a second one leaves at once, without the sums."""
    wishes = Wishes()
    performance = asyncio.ensure_future(perform(plan, screen, wishes))

    def interrupted() -> None:
        if wishes.end.is_set():
            performance.cancel()
        wishes.end.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, interrupted)
    keyboard: AbstractContextManager[None] = keys(wishes.pressed) if watched else nullcontext()
    with keyboard:
        return await performance


def _tell(plan: Plan, ending: Ending, screen: Screen, machine: bool) -> None:
    if machine:
        click.echo(report.as_json(plan, ending))
        return
    screen.print(report.lines(ending))
    screen.say(report.proof(ending))
    if plan.keep or not ending.verdict.ok:
        screen.print(["", *report.commands(plan, ending)])
    else:
        screen.say("", "`penstock demo --keep` keeps the data to look at with `penstock jobs` and `penstock dead`.")


def _clean(plan: Plan, *, worked: bool) -> None:
    if worked and not plan.keep:
        shutil.rmtree(plan.folder, ignore_errors=True)
        if plan.url is not None:
            drop_schema(plan.url)
