"""Probes for an orchestrator: `live`, the store answers; `ready`, and work can be done.

Neither the app nor click is imported: a probe runs every few seconds beside every worker.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from penstock import config, connect
from penstock.cli import exits
from penstock.errors import ConfigurationError, PenstockError
from penstock.model.log import Holder


def main(arguments: Sequence[str]) -> int:
    """The exit code: 0, 69 (not so now) or 78 (no store is named)."""
    asked = _parser().parse_args(arguments)
    found: config.Found | None = None
    holder: Holder | None = None
    try:
        found = config.find_store(asked.store, Path.cwd())
        if found is None:
            raise ConfigurationError("no store is named: give --store URL, set PENSTOCK_STORE, or write it under [tool.penstock]")
        problem, code = _probe(asked.probe, found.url), exits.UNAVAILABLE
        if problem is None and asked.probe == "ready":
            holder = connect.administration(found.url).held_back()
    except PenstockError as error:
        problem, code = str(error), exits.code_of(error)
    _tell(asked, found, problem, holder)
    return exits.OK if problem is None else code


def _probe(probe: str, url: str) -> str | None:
    """None, or what is wrong."""
    administration = connect.administration(url)
    if not administration.exists:
        return f"there is no store at {config.masked(url)}"
    if probe == "ready":
        return administration.ready()
    return None if administration.live() else "the store does not answer"


def _tell(asked: argparse.Namespace, found: config.Found | None, problem: str | None, holder: Holder | None) -> None:
    if asked.as_json:
        store = None if found is None else found.masked
        warning = None if holder is None or not holder.matters else holder.words
        print(json.dumps({"probe": asked.probe, "ok": problem is None, "problem": problem, "warning": warning, "store": store}))
    elif problem is None:
        print(f"{asked.probe}: ok" + (f"; {holder.words}" if holder is not None and holder.matters else ""))
    else:
        print(f"not {asked.probe}: {problem}", file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("penstock health", description=__doc__)
    parser.add_argument("probe", choices=("live", "ready"), help="live: the store answers; ready: and a worker is alive")
    parser.add_argument("--store", metavar="URL", help="the store, e.g. sqlite:///shop.db")
    parser.add_argument("--json", dest="as_json", action="store_true", help="for machines")
    return parser
