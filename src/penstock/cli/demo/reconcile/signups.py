"""Sign-ups and e-mails: what the visitors and the mail server saw, against what the database holds.

- Every acknowledged sign-up is a user, and every user was a sign-up: acknowledged ≤ users ≤ tried.
- Every user ends exactly once: one row in `welcomed`, or one dead letter. A dead letter needs a cause: the mail server refused the
  address for ever (550), or we killed three workers under the job.
- Every row in `welcomed` has its e-mail. A second copy of an e-mail needs a cause: between the two, a worker that we killed died
  under the job, and the job's history says so.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

from msgspec import Struct

from penstock.cli.demo.ledger import Accepted, Acknowledged, Mail, Refused, Tried, Unknown, Visit
from penstock.model.delivery import FATAL_DEATHS

SLACK = 250_000
"""µs by which the clocks of the ledgers and of the store may differ; on one machine they hardly do."""


class User(Struct, frozen=True):
    """As created; what became of the account does not matter to the welcome."""

    id: str
    address: str


class Welcomed(Struct, frozen=True):
    user: str
    job: str


class Buried(Struct, frozen=True):
    """A dead letter."""

    job: str
    user: str
    address: str
    reason: str
    deaths: int


class Death(Struct, frozen=True):
    """An entry `died` in a job's history. Times in µs."""

    at: int
    worker: str


class Evidence(Struct, frozen=True):
    visits: Sequence[Visit]
    mail: Sequence[Mail]
    users: Sequence[User]
    welcomed: Sequence[Welcomed]
    letters: Sequence[Buried]
    deaths: Mapping[str, Sequence[Death]]
    """By job; at least of those whose e-mail is there twice, and of dead letters."""
    kills: Mapping[str, int]
    """Worker: when it was killed."""


class SentAgain(Struct, frozen=True):
    """The worker was killed after the mail server had the e-mail and before the job's commit."""

    job: str
    address: str
    sent: int
    killed: int
    again: int


class Sums(Struct, frozen=True):
    tried: int
    acknowledged: int
    unknown: int
    users: int
    welcomed: int
    dead_letters: int
    lost: int
    effects_twice: int
    e_mails: int
    e_mails_twice_unexplained: int
    welcomed_without_e_mail: int


class Verdict(Struct, frozen=True):
    sums: Sums
    sent_again: tuple[SentAgain, ...]
    faults: tuple[str, ...]
    """What does not add up, in words; empty: everything does."""


def reconcile(evidence: Evidence) -> Verdict:
    ends = _ends(evidence)
    again, unexplained = _copies(evidence)
    sums = _sums(evidence, len(ends.lost), ends.twice, len(unexplained))
    faults = [
        *_between(sums),
        *(f"lost: {what}" for what in ends.lost),
        *(f"effects twice: {what}" for what in _twice(evidence)),
        *(f"user without a sign-up: {what}" for what in _invented(evidence)),
        *(f"dead letter without a cause: {what}" for what in _causeless(evidence)),
        *(f"e-mail twice, unexplained: {what}" for what in unexplained),
        *(f"welcomed without an e-mail: user {row.user}, job {row.job}" for row in _unsent(evidence)),
        *(f"e-mail to nobody who signed up: {what}" for what in _stray_mail(evidence)),
    ]
    return Verdict(sums, tuple(again), tuple(faults))


class _Ends(Struct, frozen=True):
    lost: list[str]
    twice: int


def _ends(evidence: Evidence) -> _Ends:
    rows = Counter(row.user for row in evidence.welcomed)
    buried = {letter.user for letter in evidence.letters}
    known = {(user.id, user.address) for user in evidence.users}
    forgotten = [
        f"{visit.address} was acknowledged and is no user" for visit in _acknowledged(evidence) if (visit.user, visit.address) not in known
    ]
    left = [
        f"user {user.id} ({user.address}) was neither welcomed nor is a dead letter"
        for user in evidence.users
        if not rows[user.id] and user.id not in buried
    ]
    return _Ends(forgotten + left, sum(count - 1 for count in rows.values()))


def _acknowledged(evidence: Evidence) -> list[Acknowledged]:
    return [visit for visit in evidence.visits if isinstance(visit, Acknowledged)]


def _between(sums: Sums) -> Iterable[str]:
    if not sums.acknowledged <= sums.users <= sums.tried:
        yield f"users: {sums.users} is not between {sums.acknowledged} acknowledged and {sums.tried} tried"


def _twice(evidence: Evidence) -> Iterable[str]:
    rows = Counter(row.user for row in evidence.welcomed)
    letters = Counter(letter.user for letter in evidence.letters)
    known = {user.id for user in evidence.users}
    yield from (f"user {user} has {count} rows in welcomed" for user, count in rows.items() if count > 1)
    yield from (f"user {user} has {count} dead letters" for user, count in letters.items() if count > 1)
    yield from (f"user {user} was welcomed and is a dead letter" for user in sorted(rows.keys() & letters.keys()))
    yield from (f"welcomed holds user {user}, who does not exist" for user in sorted(rows.keys() - known))


def _invented(evidence: Evidence) -> Iterable[str]:
    tried = {visit.address for visit in evidence.visits if isinstance(visit, Tried)}
    addresses = Counter(user.address for user in evidence.users)
    yield from (address for address in addresses if address not in tried)
    yield from (f"{address} is {count} users" for address, count in addresses.items() if count > 1)


def _causeless(evidence: Evidence) -> Iterable[str]:
    refused = {entry.address for entry in evidence.mail if isinstance(entry, Refused) and entry.code >= 500}
    for letter in evidence.letters:
        kills = [death for death in evidence.deaths.get(letter.job, ()) if death.worker in evidence.kills]
        if letter.address not in refused and len(kills) < FATAL_DEATHS:
            yield f"job {letter.job} ({letter.address}): {letter.reason}"


def _copies(evidence: Evidence) -> tuple[list[SentAgain], list[str]]:
    """Each copy of an e-mail after its first one, with its cause or without."""
    again: list[SentAgain] = []
    unexplained: list[str] = []
    for job, copies in _by_job(evidence).items():
        deaths = list(evidence.deaths.get(job, ()))
        for first, second in pairwise(copies):
            death = next((death for death in deaths if _explains(death, first, second, evidence.kills)), None)
            if death is None:
                unexplained.append(f"job {job} ({second.address})")
            else:
                deaths.remove(death)
                again.append(SentAgain(job, second.address, first.at, evidence.kills[death.worker], second.at))
    return again, unexplained


def _by_job(evidence: Evidence) -> Mapping[str, list[Accepted]]:
    copies: defaultdict[str, list[Accepted]] = defaultdict(list)
    for entry in evidence.mail:
        if isinstance(entry, Accepted):
            copies[entry.job].append(entry)
    return {job: sorted(entries, key=lambda entry: entry.at) for job, entries in copies.items()}


def _explains(death: Death, first: Accepted, second: Accepted, kills: Mapping[str, int]) -> bool:
    """We killed its worker, which was then found dead between the two. (The mail server may take an e-mail just after its
    sender was killed, so the first copy is held against the finding, not against the kill.)"""
    killed = kills.get(death.worker)
    return killed is not None and max(first.at, killed) <= death.at + SLACK and death.at <= second.at + SLACK


def _unsent(evidence: Evidence) -> list[Welcomed]:
    sent = {entry.job for entry in evidence.mail if isinstance(entry, Accepted)}
    return [row for row in evidence.welcomed if row.job not in sent]


def _stray_mail(evidence: Evidence) -> Iterable[str]:
    known = {user.address for user in evidence.users}
    return sorted({entry.address for entry in evidence.mail if isinstance(entry, Accepted)} - known)


def _sums(evidence: Evidence, lost: int, twice: int, unexplained: int) -> Sums:
    return Sums(
        tried=sum(isinstance(visit, Tried) for visit in evidence.visits),
        acknowledged=len(_acknowledged(evidence)),
        unknown=sum(isinstance(visit, Unknown) for visit in evidence.visits),
        users=len(evidence.users),
        welcomed=len(evidence.welcomed),
        dead_letters=len(evidence.letters),
        lost=lost,
        effects_twice=twice,
        e_mails=sum(isinstance(entry, Accepted) for entry in evidence.mail),
        e_mails_twice_unexplained=unexplained,
        welcomed_without_e_mail=len(_unsent(evidence)),
    )
