"""`penstock dead`: the dead letters, one by one or all that match; the count is shown before anything moves."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import click
import msgspec

from penstock.cli import exits
from penstock.cli.bundle import Decorator, bundled
from penstock.cli.facts import letter_facts
from penstock.cli.filters import hint_unknown, parse_where
from penstock.cli.finding import Place, in_store
from penstock.cli.groups import Commands
from penstock.cli.jobs import show_job
from penstock.cli.refused import held_back
from penstock.cli.tables import Column, note, show_json, show_table
from penstock.cli.words import count, relative, utc
from penstock.errors import NotFound
from penstock.model.job import DeadLetterView, JobFilter
from penstock.ports.store import Store

_BATCH = 500
_where = click.option("--where", "pairs", multiple=True, metavar="NAME=VALUE", help="queue=, task=, key= or contains=; may be repeated.")


@click.group(cls=Commands)
def dead() -> None:
    """List, show, replay and discard dead letters."""


@dead.command("ls")
@_where
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True)
@in_store
def ls(place: Place, pairs: Sequence[str], limit: int) -> None:
    """The oldest death first."""
    where = parse_where(pairs)

    async def look(store: Store) -> tuple[int, Sequence[DeadLetterView], int]:
        number = await store.inspect.count_letters(where)
        if not number:
            await hint_unknown(store, where)
        return number, await store.inspect.letters(where, limit=limit), store.clock.now()

    number, found, now = place.run(look)
    if place.as_json:
        show_json({"count": number, "letters": [letter_facts(letter) for letter in found]})
        return
    if found:
        _table(found, now)
    note(f"{count(number, 'dead letter')}" + (f", the oldest {limit} are shown" if number > len(found) else ""))


def _table(found: Sequence[DeadLetterView], now: int) -> None:
    show_table(
        [
            Column("ID", [letter.id for letter in found]),
            Column("TASK", [letter.task for letter in found], shrinks=True),
            Column("QUEUE", [letter.queue for letter in found], drop=3),
            Column("KEY", [letter.key or "" for letter in found], drop=4),
            Column("TRIES", [str(letter.attempts) for letter in found], right=True, drop=1),
            Column("DIED", [relative(letter.died, now) for letter in found], right=True),
            Column("UTC", [utc(letter.died) for letter in found], drop=5),
            Column("WHY", [_why(letter) for letter in found], drop=2),
        ]
    )


def _why(letter: DeadLetterView) -> str:
    if letter.error is None:
        return letter.reason
    return f"{letter.error.type}: {letter.error.message}".splitlines()[0][:100]


@dead.command("show")
@click.argument("id")
@in_store
def show(place: Place, id: str) -> None:
    """All that is known of one dead letter."""
    show_job(place, id)


@dataclass(frozen=True)
class _Order:
    """Which letters, and how sure the caller is."""

    ids: tuple[str, ...]
    pairs: tuple[str, ...]
    everything: bool
    yes: bool
    dry_run: bool

    def where(self) -> JobFilter:
        """Raises UsageError unless exactly one way of choosing was used."""
        if sum((bool(self.ids), bool(self.pairs), self.everything)) != 1:
            raise click.UsageError("say which: ids, --where NAME=VALUE, or --all")
        return JobFilter(ids=self.ids) if self.ids else parse_where(self.pairs)


def _ordered() -> Decorator:
    return bundled(
        "order",
        _Order,
        click.argument("ids", nargs=-1),
        _where,
        click.option("--all", "everything", is_flag=True, help="Every dead letter of the store."),
        click.option("--yes", is_flag=True, help="Do not ask."),
        click.option("--dry-run", is_flag=True, help="Only say how many."),
    )


@dead.command("replay")
@_ordered()
@in_store
def replay(place: Place, order: _Order) -> None:
    """Move dead letters back to their queues: same ids, all attempts before them, in their old order."""
    _move(place, order, _Verb("replay", "replayed", sure=bool(order.ids), apply=lambda store, ids: store.queue.replay(ids), why=held_back))


@dead.command("discard")
@_ordered()
@in_store
def discard(place: Place, order: _Order) -> None:
    """Remove dead letters for good."""
    _move(place, order, _Verb("discard", "discarded", sure=False, apply=lambda store, ids: store.queue.discard(ids)))


@dataclass(frozen=True)
class _Verb:
    name: str
    done: str
    sure: bool
    """What is named one by one and can be undone needs no confirmation."""
    apply: Callable[[Store, Sequence[str]], Awaitable[list[str]]]
    """Returns the ids that moved."""
    why: Callable[[Store, Sequence[str]], Awaitable[Sequence[tuple[str, str]]]] | None = None
    """Why some did not move; None: nothing keeps a letter from it."""


def _move(place: Place, order: _Order, verb: _Verb) -> None:
    where = order.where()

    async def work(store: Store) -> _Outcome:
        number = await store.inspect.count_letters(where)
        if not number:
            await hint_unknown(store, where)
        if order.dry_run or not number:
            return _Outcome(number, [], [])
        note(f"{count(number, 'dead letter')} to {verb.name}")
        if not (verb.sure or order.yes):
            _confirm(verb.name, number)
        moved, stayed = await _apply(store, where, number, verb)
        return _Outcome(number, moved, await verb.why(store, stayed) if verb.why is not None else [])

    _tell(place, order, verb, place.run(work))


@dataclass(frozen=True)
class _Outcome:
    number: int
    """Letters that matched."""
    moved: Sequence[str]
    held: Sequence[tuple[str, str]]
    """Those whose unique names are others', and why."""


def _confirm(verb: str, number: int) -> None:
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise click.UsageError(f"{count(number, 'dead letter')} would be concerned: add --yes to {verb} without being asked")
    click.confirm(f"{verb} {'it' if number == 1 else 'all of them'}?", abort=True, err=True)


async def _apply(store: Store, where: JobFilter, number: int, verb: _Verb) -> tuple[list[str], list[str]]:
    """Those that moved, and those that did not. Batch by batch, each letter once, and no more than were counted: what dies again
    meanwhile stays."""
    moved: list[str] = []
    stayed: list[str] = []
    tried: set[str] = set()
    while (left := number - len(tried)) > 0:
        room = min(_BATCH, left)
        letters = await store.inspect.letters(where, limit=room + len(stayed))  # those that stayed may come first again
        ids = [letter.id for letter in letters if letter.id not in tried][:room]
        if not ids:
            break
        tried.update(ids)
        done = set(await verb.apply(store, ids))
        moved += [id for id in ids if id in done]
        stayed += [id for id in ids if id not in done]
        if where.ids is not None:
            where = msgspec.structs.replace(where, ids=tuple(set(where.ids) - tried))
    return moved, stayed


def _tell(place: Place, order: _Order, verb: _Verb, outcome: _Outcome) -> None:
    number, moved, held = outcome.number, outcome.moved, dict(outcome.held)
    missing = [id for id in order.ids if id not in moved and id not in held] if not order.dry_run else []
    if place.as_json:
        show_json({"matching": number, verb.done: list(moved), "dry_run": order.dry_run, "missing": missing, "held_back": held})
    elif order.dry_run or not number:
        click.echo(f"{count(number, 'dead letter')} match" + ("es" if number == 1 else ""))
    else:
        for id in moved:
            click.echo(id)
        note(f"{verb.done} {count(len(moved), 'dead letter')}")
    for id, why in held.items():
        note(f"{id}: {why}")
    if missing:
        raise NotFound(f"not among the dead letters: {', '.join(missing)}")
    if held:
        raise click.exceptions.Exit(exits.FAILED)
