"""`penstock store copy`: moving house."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import click

from penstock import connect
from penstock.cli import exits
from penstock.cli.finding import check_there
from penstock.cli.tables import Column, note, show_json, show_table
from penstock.config import Found
from penstock.stores.sql.copying import Copied, Count
from penstock.stores.sql.copying import copy as move

_BEGUN: Mapping[str, str] = {
    "new": "",
    "resumed": "going on where the last copy was",
    "anew": "the source has changed since the last copy: beginning anew",
    "finished": "it has been copied before",
}
_CHANGED = "somebody has written to the source meanwhile; stop that, and run it again"
_DIFFERENT = "not all of it is there, or more than that: somebody has written to the target; drop its schema, and run it again"

_REHEARSAL = "a copy of one moment, for a rehearsal; drop it before the move"


@click.command("copy")
@click.argument("source")
@click.argument("target")
@click.option("--force", is_flag=True, help="Although workers run on the source: a copy of this moment, for a rehearsal.")
@click.option("--json", "as_json", is_flag=True, help="For machines: JSON on stdout, nothing else there.")
def copy(source: str, target: str, force: bool, as_json: bool) -> None:
    """Copy all that SOURCE holds into TARGET, a PostgreSQL store that is new or half copied.

    Stop all workers and producers before. If it is interrupted, run it again: it goes on where it was. The target cannot be used
    before it is whole. The source is left as it is.
    """
    old, new = Found(source, "given"), Found(target, "given")
    connect.check_url(source)
    there = connect.copy_target(target)
    check_there(old)
    told = _Line(as_json)
    copied = asyncio.run(move(connect.copy_source(source), there, told.tell, forced=force))
    told.end()
    if as_json:
        show_json({**_facts(old, new, copied), "forced": force})
    else:
        _show(old, new, copied)
        if copied.open:
            click.echo(f"all of {old.masked} is in {new.masked}, " + (_REHEARSAL if force else "which may be used now"))
    if not copied.open:
        raise click.exceptions.Exit(exits.FAILED)


@dataclass
class _Line:
    """How far it is, on stderr: one line on a terminal, else one for each kind of thing."""

    silent: bool
    _label: str = ""
    _last: str = field(default="", repr=False)

    def tell(self, label: str, rows: int, all: int) -> None:
        if self.silent:
            return
        if label != self._label:
            self.end()
        self._label, self._last = label, f"{label} {rows:,} of {all:,}"
        if sys.stderr.isatty():
            click.echo(f"\r{self._last}\x1b[K", err=True, nl=False)

    def end(self) -> None:
        if self._last:
            click.echo("" if sys.stderr.isatty() else self._last, err=True)
        self._label = self._last = ""


def _show(old: Found, new: Found, copied: Copied) -> None:
    if _BEGUN[copied.begun]:
        note(_BEGUN[copied.begun])
    show_table(
        [
            Column("KIND", [count.kind for count in copied.counts]),
            Column("OF", [count.of for count in copied.counts], shrinks=True),
            Column("SOURCE", [f"{count.source:,}" for count in copied.counts], right=True),
            Column("TARGET", [f"{count.target:,}" for count in copied.counts], right=True),
            Column("", ["" if count.same else "differs" for count in copied.counts]),
        ]
    )
    for problem in _problems(copied):
        note(f"{new.masked}: {problem}")


def _facts(old: Found, new: Found, copied: Copied) -> dict[str, object]:
    return {
        "source": old.masked,
        "target": new.masked,
        "begun": copied.begun,
        "ok": copied.open,
        "problems": _problems(copied),
        "counts": [_count(count) for count in copied.counts],
    }


def _count(count: Count) -> dict[str, object]:
    return {"kind": count.kind, "of": count.of, "source": count.source, "target": count.target, "same": count.same}


def _problems(copied: Copied) -> Sequence[str]:
    different = not all(count.same for count in copied.counts)
    return [text for text, is_so in ((_CHANGED, copied.changed), (_DIFFERENT, different)) if is_so]
