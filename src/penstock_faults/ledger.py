"""Reading what the victims wrote, and checking it against the store."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from penstock_faults import logbook
from penstock_faults.logbook import Anomalies, Sends
from penstock_faults.site import Site


@dataclass
class Ledger:
    """What happened, by the victims' own words. Times in µs of the wall clock."""

    tried: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    acknowledged: dict[str, int] = field(default_factory=dict)
    resolved: dict[str, bool] = field(default_factory=dict)
    """Unknown outcomes settled by a retry with the same id: was it new?"""
    begins: dict[str, list[tuple[int, int]]] = field(default_factory=lambda: defaultdict(list))
    ended: set[tuple[str, int]] = field(default_factory=set)
    sends: Sends = field(default_factory=Sends)
    """Of events."""
    committed: set[str] = field(default_factory=set)
    """Jobs whose transactions were."""
    incarnations: dict[int, list[str]] = field(default_factory=lambda: defaultdict(list))

    _read: int = 0
    """Bytes."""

    def catch_up(self, path: Path) -> Ledger:
        """With what was written since; itself."""
        lines, self._read = whole_lines(path, self._read)
        for line in lines:
            word, *facts, pid, at = line.split(" ")
            self._add(word, facts, int(pid), int(at))
        return self

    def _add(self, word: str, facts: list[str], pid: int, at: int) -> None:
        match word:
            case "TRY":
                self.tried[facts[0]].append(at)
            case "ACK":
                self.acknowledged[facts[0]] = at
            case "RESOLVED":
                self.acknowledged[facts[0]] = at
                self.resolved[facts[0]] = facts[1] == "1"
            case "BEGIN":
                self.begins[facts[0]].append((at, pid))
            case "END":
                self.ended.add((facts[0], pid))
            case "SEND":
                self.sends.tried.add(facts[0])
            case "SENT":
                self.sends.acknowledged.append(facts[0])
            case "COMMITTED":
                self.committed.add(facts[0])
            case "WORKER":
                self.incarnations[pid].append(facts[0])

    def unknown(self) -> list[str]:
        return [job for job in self.tried if job not in self.acknowledged]

    def redelivered_after(self, pid: int, killed: int) -> list[int]:
        """µs from a worker's death until each job that ran in it began again."""
        waits: list[int] = []
        for job, begins in self.begins.items():
            if (job, pid) not in self.ended and any(owner == pid for _, owner in begins):
                later = [at for at, owner in begins if owner != pid and at >= killed]
                waits += [min(later) - killed] if later else []
        return waits

    def begun_again(self, died: Mapping[int, int]) -> list[str]:
        """Jobs without effects, which nothing can fail, that began once more before who had begun them was dead (µs, by pid)."""
        return sorted(
            job
            for job, begins in self.begins.items()
            if effect_of(job) is None and any(at < died.get(before, at + 1) for (_, before), (at, _) in pairwise(sorted(begins)))
        )


def whole_lines(path: Path, begin: int) -> tuple[list[str], int]:
    """Those that are written by now, from that byte on, and where the next one begins: the last one may be half."""
    with path.open("rb") as file:
        file.seek(begin)
        new = file.read()
    whole = new[: new.rfind(b"\n") + 1]
    return whole.decode().splitlines(), begin + len(whole)


class Tail:
    """What is written to a file from now on."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read = whole_lines(path, 0)[1]
        self._lines: list[str] = []

    def lines(self, start: str) -> list[str]:
        new, self._read = whole_lines(self._path, self._read)
        self._lines += new
        return [line for line in self._lines if line.startswith(start)]

    def count(self, start: str) -> int:
        return len(self.lines(start))


@dataclass(frozen=True, kw_only=True)
class Verdict(Anomalies):
    acknowledged: int
    attempted: int
    lost: list[str]
    unrun: list[str]
    """Acknowledged jobs that no handler has come to the end of."""
    unexpected: list[str]
    """Jobs that are done, or have effects, and that nobody put."""
    twice: list[int]
    missing: list[int]
    """Effects that an acknowledged job should have had."""
    follow_ups: list[int]
    """Follow-up messages that did not run exactly once."""
    disordered: list[str]
    events: int
    dead: int
    corrupt: str

    @property
    def void(self) -> list[str]:
        """What there was none of, so that nothing is shown about it."""
        return [] if self.events else ["events"]

    @property
    def good(self) -> bool:
        found = [value for value in vars(self).values() if isinstance(value, list)]
        return not any(found) and not self.dead and self.corrupt == "ok"


def judge(ledger: Ledger, site: Site) -> Verdict:
    """Every acknowledged job is done, by its handler; nothing else is; every effect is there once; every key kept its order; the topics
    hold what was sent, and the subscription has heard it; the store is sound."""
    done = {row[0] for row in site.rows(_DONE)}
    effects = [(n, key) for n, key in site.rows("select n, key from effects order by place")]
    follows = Counter(row[0] for row in site.rows("select n || '' from follows"))
    heard = Counter(f"news-{row[0]}" for row in site.rows("select n from heard"))
    found = logbook.entries(site)
    replayed = {row[0] for row in site.rows(_REPLAYED)}
    dead = site.value("select count(*) from penstock_dead")
    corrupt = site.soundness()
    counts = Counter((key[4:] if key.startswith("free") else key[1:].split("-")[0], n) for n, key in effects)
    wanted = {effect for job in ledger.acknowledged if (effect := effect_of(job)) is not None}
    expected = Counter(str(n) for _, n in counts if n % 7 == 0)
    known = {job for job in done if _OWN.fullmatch(job)} | {f"{lane}-{n}" for lane, n in counts}
    return Verdict(
        acknowledged=len(ledger.acknowledged),
        attempted=len(ledger.tried),
        lost=sorted(set(ledger.acknowledged) - done),
        unrun=sorted(set(ledger.acknowledged) - {job for job, _ in ledger.ended}),
        unexpected=sorted(known - ledger.tried.keys()),
        twice=[n for (_, n), count in counts.items() if count > 1],
        missing=[n for lane, n in wanted if (lane, n) not in counts],
        follow_ups=[int(n) for n in expected | follows if expected[n] != follows[n]],
        disordered=disordered([(n, key) for n, key in effects if key.startswith("k") and f"{key[1]}-{n}" not in replayed]),
        events=len(found),
        **vars(logbook.anomalies(ledger.sends, found, heard, "news")),
        dead=dead,
        corrupt=corrupt,
    )


def effect_of(job: str) -> tuple[str, int] | None:
    lane, n = job.split("-")
    return (lane, int(n)) if int(n) % 20 in (0, 3) else None


def disordered(effects: list[tuple[int, str]]) -> list[str]:
    """Keys whose effects did not commit in the order in which they were put."""
    last: dict[str, int] = {}
    broken: set[str] = set()
    for n, key in effects:
        if n <= last.get(key, -1):
            broken.add(key)
        last[key] = n
    return sorted(broken)


_OWN = re.compile(r"\d+-\d+")
"""Ids that producers chose."""

_REPLAYED = """
select m.id
from penstock_message m
join penstock_attempt a on a.seq = m.seq
where a.what = 'replayed'
"""
"""They died three times by chance, and came back at the ends of their keys."""

_DONE = """
select m.id
from penstock_message m
join penstock_finished f on f.seq = m.seq
where f.outcome = 'done'
"""
