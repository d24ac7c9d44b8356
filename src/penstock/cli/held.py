"""Who holds all feeds back: said below the lists of topics and of subscriptions."""

from __future__ import annotations

from penstock.cli.tables import note
from penstock.model.log import Holder


def tell(holder: Holder | None) -> None:
    if holder is not None and holder.matters:
        note(holder.words)


def facts(holder: Holder | None) -> dict[str, object] | None:
    if holder is None:
        return None
    return {
        "position": holder.floor,
        "seconds": holder.seconds,
        "pid": holder.pid,
        "application": holder.application,
        "state": holder.state,
        "prepared": holder.prepared,
    }
