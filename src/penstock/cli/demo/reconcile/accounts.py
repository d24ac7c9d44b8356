"""Accounts: their events, read again from the first one, are the table of users.

- Each account's versions are 1, 2, 3 … without a gap; it is created first, and nothing follows its deletion.
- The events replayed are the table that a subscription keeps, row by row; an account of which that subscription buried an event
  is excepted and counted.
- Every change that was acknowledged is the event with the version that was told, and every change was tried, by who stands there:
  acknowledged ≤ changes ≤ tried.
- The state as of a moment, asked for one account, is that of its events until then.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from penstock.cli.demo.archive import Fact, Story
from penstock.cli.demo.events import EmailUpdated, UserCreated, UserDeleted, address_after
from penstock.cli.demo.ledger import ChangeAcknowledged, ChangeCall, ChangeTried, ChangeUnknown
from penstock.cli.demo.reconcile.burial import Letter, causeless


class User(Struct, frozen=True):
    """A row of the table."""

    id: str
    address: str


class Evidence(Struct, frozen=True):
    calls: Sequence[ChangeCall]
    facts: Sequence[Fact]
    """In the order of the topic."""
    table: Sequence[User]
    buried: Sequence[Letter[str]] = ()
    """Accounts of which the table's subscription buried an event."""
    story: Story | None = None


class Sums(Struct, frozen=True):
    tried: int
    """Changes and deletions."""
    acknowledged: int
    unknown: int
    events: int
    created: int
    updated: int
    deleted: int
    replayed: int
    """Accounts that are there when all events are replayed."""
    users: int
    """Rows of the table."""
    dead_letters: int
    differences: int
    """Accounts that are not the same in both."""


class Verdict(Struct, frozen=True):
    sums: Sums
    faults: tuple[str, ...]


def reconcile(evidence: Evidence) -> Verdict:
    streams = _streams(evidence)
    differences = list(_differences(evidence, streams))
    sums = _sums(evidence, streams, len(differences))
    faults = [
        *_between(sums),
        *(f"events of {user}: {what}" for user, facts in streams.items() for what in _misshapen(facts)),
        *(f"events replayed are not the table: {what}" for what in differences),
        *(f"change lost: {what}" for what in _lost(evidence, streams)),
        *(f"change that nobody asked for: {what}" for what in _invented(evidence)),
        *causeless("the table of users", evidence.buried),
        *(f"state as of a moment: {what}" for what in _wrong_past(evidence, streams)),
    ]
    return Verdict(sums, tuple(faults))


def _streams(evidence: Evidence) -> Mapping[str, list[Fact]]:
    streams: defaultdict[str, list[Fact]] = defaultdict(list)
    for fact in evidence.facts:
        streams[fact.user].append(fact)
    return streams


def _between(sums: Sums) -> Iterable[str]:
    changes = sums.updated + sums.deleted
    if not sums.acknowledged <= changes <= sums.tried:
        yield f"changes of accounts: {changes} is not between {sums.acknowledged} acknowledged and {sums.tried} tried"


def _misshapen(facts: Sequence[Fact]) -> Iterable[str]:
    versions = [fact.version for fact in facts]
    if versions != list(range(1, len(facts) + 1)):
        yield f"versions {versions}"
    if [isinstance(fact.event, UserCreated) for fact in facts] != [True] + [False] * (len(facts) - 1):
        yield "created not once and first"
    if any(isinstance(fact.event, UserDeleted) for fact in facts[:-1]):
        yield "something follows the deletion"
    if any(fact.event.user != fact.user for fact in facts):
        yield "tells of another account"


def _differences(evidence: Evidence, streams: Mapping[str, Sequence[Fact]]) -> Iterable[str]:
    rows: defaultdict[str, list[str]] = defaultdict(list)
    for row in evidence.table:
        rows[row.id].append(row.address)
    for user in sorted({*streams, *rows} - {letter.of for letter in evidence.buried}):
        address = _replayed(streams.get(user, ()))
        if rows[user] != ([] if address is None else [address]):
            yield f"{user} is {address or 'not there'}, in the table {' and '.join(rows[user]) or 'not there'}"


def _replayed(facts: Sequence[Fact]) -> str | None:
    return address_after(fact.event for fact in facts)


def _lost(evidence: Evidence, streams: Mapping[str, Sequence[Fact]]) -> Iterable[str]:
    for call in evidence.calls:
        if isinstance(call, ChangeAcknowledged):
            kept = [fact for fact in streams.get(call.user, ()) if fact.version == call.version]
            if [_address(fact) for fact in kept] != [call.address] or isinstance(kept[0].event, UserCreated):
                yield f"{call.user} to {call.address or 'deleted'} was acknowledged as version {call.version}"


def _invented(evidence: Evidence) -> Iterable[str]:
    asked = Counter((call.user, call.address, call.by) for call in evidence.calls if isinstance(call, ChangeTried))
    changes = Counter((fact.user, _address(fact), fact.by) for fact in evidence.facts if not isinstance(fact.event, UserCreated))
    for (user, address, by), count in (changes - asked).items():
        yield f"{user} to {address or 'deleted'} by {by}, {count} more than tried"


def _address(fact: Fact) -> str | None:
    return None if isinstance(fact.event, UserDeleted) else fact.event.address


def _wrong_past(evidence: Evidence, streams: Mapping[str, Sequence[Fact]]) -> Iterable[str]:
    story = evidence.story
    if story is None:
        return
    until = [fact for fact in streams.get(story.user, ()) if fact.at <= story.moment]
    if _replayed(until) != story.address_then:
        yield f"{story.user} was read as {story.address_then}, its events until then say {_replayed(until)}"
    if [*story.trail] != streams.get(story.user):
        yield f"{story.user} read by itself has other events than the topic"


def _sums(evidence: Evidence, streams: Mapping[str, Sequence[Fact]], differences: int) -> Sums:
    calls = Counter(type(call) for call in evidence.calls)
    kinds = Counter(type(fact.event) for fact in evidence.facts)
    return Sums(
        tried=calls[ChangeTried],
        acknowledged=calls[ChangeAcknowledged],
        unknown=calls[ChangeUnknown],
        events=len(evidence.facts),
        created=kinds[UserCreated],
        updated=kinds[EmailUpdated],
        deleted=kinds[UserDeleted],
        replayed=sum(_replayed(facts) is not None for facts in streams.values()),
        users=len(evidence.table),
        dead_letters=len(evidence.buried),
        differences=differences,
    )
