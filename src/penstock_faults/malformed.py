"""Messages that nobody can read, written straight into the tables among good ones (`records`).

    python -m penstock_faults.malformed --bad 100000 --good 10000 --seed 1 [--server postgresql://…]

Two workers. Each bad one has to come to its end, with its reason; each good one is done, once; no worker dies of it, and operators can
still look. Prints a JSON verdict; exit 1 if not so.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress

from penstock_faults import scratch
from penstock_faults.poison import WORKERS, Ward
from penstock_faults.records import ASIDE, DONE, Kind, fill, kinds
from penstock_faults.site import Site
from penstock_faults.waiting import conclude, kill_all, wait_for_none

LOOKS = (("dead", "ls", "--limit", "10000"), ("jobs", "ls", "--limit", "10000"), ("queues", "ls"))
"""Commands of operators."""
ENDS = """
select m.id, f.outcome, d.reason, a.seq
from penstock_message m
left join penstock_finished f on f.seq = m.seq
left join penstock_dead d on d.seq = m.seq
left join penstock_aside a on a.seq = m.seq
"""


def run(bad: int, good: int, seed: int, server: str | None, patience: float) -> dict[str, object]:
    with scratch.disk("malformed") as place, scratch.ledgers("malformed", place) as folder:
        site = Site.at(place / "malformed.db") if server is None else Site.on(server)
        ward = Ward(folder, site)
        try:
            site.rows("create table effects (n integer)")
            made = fill(site, bad, good, random.Random(seed))
            began = time.monotonic()
            for _ in range(WORKERS):
                ward.start()
            aside = sum(kind.end == ASIDE for _, kind in made.values())
            with suppress(SystemExit):  # what has not ended by then is told
                wait_for_none(lambda: ward.left(aside), "all that can be done", patience)
            seconds = time.monotonic() - began
            return report(ward, made, seconds, ward.stop())
        finally:
            kill_all(ward.workers)
            site.drop()


def report(ward: Ward, made: Mapping[int, tuple[str, Kind]], seconds: float, left: list[int]) -> dict[str, object]:
    site = ward.site
    wrong = {
        "ended_otherwise": otherwise(site, made),
        "effects": effects(site, made),
        "workers_died": ward.died,
        "stopped_badly": [code for code in left if code],
        "blind": [" ".join(look) for look in LOOKS if not can_look(site, look)],
        "soundness": [found for found in [site.soundness(counted=False)] if found != "ok"],
    }
    counts = Counter(name for name, _ in made.values())
    void = sorted(kinds(site).keys() - counts.keys())
    facts = {
        "malformed": len(made) - counts["good"],
        "good": counts["good"],
        "kinds": len(counts) - 1,
        "letters": site.value("select count(*) from penstock_dead"),
        "seconds": round(seconds, 1),
        "a_second": round(len(made) / seconds),
    }
    return {**facts, **wrong, "void": void, "ok": not void and not any(wrong.values())}


def otherwise(site: Site, made: Mapping[int, tuple[str, Kind]]) -> dict[str, dict[str, int]]:
    """By kind: how those ended that should not have ended so."""
    found: dict[str, Counter[str]] = {}
    for job, outcome, reason, aside in site.rows(ENDS):
        name, kind = made[int(job.rpartition("-")[2])]
        came = outcome or (reason is not None and "dead") or (aside is not None and "aside") or "not at all"
        if came != kind.end[0] or kind.end[1] not in (reason or ""):
            found.setdefault(name, Counter())[f"{came}: {reason or ''}"] += 1
    return {name: dict(counts) for name, counts in found.items()}


def effects(site: Site, made: Mapping[int, tuple[str, Kind]]) -> list[int]:
    """Those that are there twice, and those that are missing, or there without a reason."""
    found = Counter(row[0] for row in site.rows("select n from effects"))
    wanted = {n for n, (_, kind) in made.items() if kind.end == DONE}
    return sorted(wanted ^ found.keys() | {n for n, count in found.items() if count > 1})


def can_look(site: Site, words: tuple[str, ...]) -> bool:
    command = [sys.executable, "-m", "penstock", *words, "--json"]
    done = subprocess.run(command, env={**os.environ, "PENSTOCK_STORE": site.url}, capture_output=True, check=False)
    if done.returncode:
        print(done.stderr.decode(errors="replace")[-2000:], file=sys.stderr)
    return done.returncode == 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bad", type=int, default=100_000)
    parser.add_argument("--good", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--server", help="URL of a PostgreSQL database, instead of a file")
    parser.add_argument("--patience", type=float, default=600, help="seconds in which more has to have ended")
    options = parser.parse_args()
    conclude(run(options.bad, options.good, options.seed, options.server, options.patience))


if __name__ == "__main__":
    main()
