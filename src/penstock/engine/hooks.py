"""`@app.on_error`: whoever wants to know of each failed attempt."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from penstock.engine.program import Hook, tell
from penstock.engine.stages.verdict import ends_more
from penstock.engine.ties import Ties
from penstock.model.delivery import Delivery

_PATIENCE = 10.0
"""Seconds that a hook may take: its delivery is settled by then, but its slot is not free."""


class Hooks:
    def __init__(self, hooks: Sequence[Hook], ties: Ties) -> None:
        self._hooks = hooks
        self._ties = ties

    async def report(self, delivery: Delivery, error: BaseException) -> None:
        """What a hook raises is told as trouble, and changes nothing."""
        for hook in self._hooks:
            try:
                async with asyncio.timeout(_PATIENCE):
                    await tell(hook, delivery, error)
            except BaseException as trouble:
                if ends_more(trouble):
                    raise
                self._ties.trouble("on_error", trouble)
