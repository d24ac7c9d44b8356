"""The tree of commands, and what becomes of the errors they raise."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence

import click

from penstock._version import __version__
from penstock.cli import exits, lazy
from penstock.cli.groups import Commands
from penstock.errors import PenstockError

_COMMANDS: Mapping[str, tuple[str, str]] = {
    "demo": ("penstock.cli.demo:demo", "Signups, orders, e-mails and killed workers, live; ends with a reconciliation."),
    "worker": ("penstock.cli.worker:worker", "Run the jobs of an app, in processes that are watched over."),
    "enqueue": ("penstock.cli.enqueue:enqueue", "Enqueue a job, or one for each line of a file."),
    "jobs": ("penstock.cli.jobs:jobs", "List, show, retry and cancel jobs."),
    "dead": ("penstock.cli.dead:dead", "List, show, replay and discard dead letters."),
    "queues": ("penstock.cli.queues:queues", "List, pause, resume and set queues."),
    "topics": ("penstock.cli.topics:topics", "List topics and show their events."),
    "subscriptions": ("penstock.cli.subscriptions:subscriptions", "List and seek subscriptions."),
    "schedules": ("penstock.cli.schedules:schedules", "List, show, run, pause and resume schedules."),
    "store": ("penstock.cli.store:store", "Migrate the store; see how it is; move it."),
    "health": ("penstock.cli.health:main", "Probes: does the store answer, can work be done?"),
    "bench": ("penstock.cli.bench:bench", "Measure this machine."),
}


class Root(Commands):
    """Knows names and summaries without importing the commands."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [name for name, (target, _) in _COMMANDS.items() if lazy.exists(target)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.list_commands(ctx):
            return None
        loaded = lazy.load(_COMMANDS[cmd_name][0])
        return loaded if isinstance(loaded, click.Command) else _plain(cmd_name, loaded)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, _COMMANDS[name][1]) for name in self.list_commands(ctx)])


def _plain(name: str, main: Callable[[Sequence[str]], int]) -> click.Command:
    """A command that is served without click, in the tree only to be found there."""
    passed_on = click.Argument(["arguments"], nargs=-1, type=click.UNPROCESSED)
    settings = {"ignore_unknown_options": True, "help_option_names": []}
    return click.Command(name, callback=lambda arguments: main(arguments), params=[passed_on], context_settings=settings)


@click.group(cls=Root, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="penstock", message="%(prog)s %(version)s")
def root() -> None:
    """Durable asynchronous processing on one SQLite file.

    The store is found by --store, PENSTOCK_STORE, or `store` under [tool.penstock] in the nearest pyproject.toml; else --app
    module:app says which app's it is. Looking never creates one.

    Exit codes: 0 ok, 1 failed, 2 usage, 69 store unavailable, 70 internal error, 75 try again, 78 configuration.
    """


def run(arguments: Sequence[str]) -> int:
    """The exit code. Errors of ours are one or two sentences on stderr; only a bug shows a traceback."""
    try:
        answer: object = root.main(list(arguments), prog_name="penstock", standalone_mode=False, color=_color())
        sys.stdout.flush()
        return answer if isinstance(answer, int) else exits.OK
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.Abort:
        click.echo("aborted", err=True)
        return exits.FAILED
    except PenstockError as error:
        click.echo(f"penstock: {error}", err=True)
        return exits.code_of(error)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # who read has enough; nothing to complain about at exit
        return exits.OK
    except Exception:
        traceback.print_exc()
        click.echo("penstock: this is a bug in Penstock or in the app it was given; the traceback above says where", err=True)
        return exits.INTERNAL


def _color() -> bool | None:
    """None: on a terminal."""
    return False if os.environ.get("NO_COLOR") else None
