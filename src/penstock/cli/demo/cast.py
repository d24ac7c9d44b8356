"""Who takes part: the mail server, the web API, the workers and the visitors, each a process (the workers several)."""

from __future__ import annotations

import asyncio
from types import TracebackType

import msgspec

from penstock.cli.demo.child import Child
from penstock.cli.demo.plan import FOLDER, SMTP_PORT, Plan

HERE = "penstock.cli.demo"
CONCURRENCY = 8


class Cast:
    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._environ = {"PENSTOCK_STORE": plan.store, FOLDER: str(plan.folder), "PYTHONUNBUFFERED": "1"}
        self._here: list[Child] = []
        self._workers: Child | None = None
        self._visitors: Child | None = None

    async def __aenter__(self) -> Cast:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Whatever happened, nobody stays."""
        await asyncio.gather(*(child.stop() for child in reversed(self._here)))

    async def enter(self) -> None:
        """Returns when visitors come. Raises ChildFailed."""
        plan = self._plan
        orders = {"spool": str(plan.spool), "mailboxes": str(plan.mailboxes), "seed": plan.seed}
        mail, web = await asyncio.gather(self._enter("mail server", "mailserver", orders), self._enter("web API", "web", None))
        self._environ[SMTP_PORT] = str((await mail.facts())["port"])
        self._workers = await self._start_workers()
        visits = {"port": (await web.facts())["port"], "ledger": str(plan.visits), "rate": plan.rate, "together": 8, "seed": plan.seed}
        self._visitors = await self._enter("visitors", "visitors", visits)
        await self._visitors.facts()

    def check(self) -> None:
        """Raises ChildFailed if somebody left who should not have."""
        for child in self._here:
            child.check()

    async def dismiss_visitors(self) -> None:
        """Returns when their last call has ended. Raises ChildFailed."""
        await self._dismiss(self._visitors)

    async def dismiss_workers(self) -> None:
        """Returns when they have left in good order. Raises ChildFailed."""
        await self._dismiss(self._workers)

    async def _dismiss(self, child: Child | None) -> None:
        if child is not None:
            stopped = await child.stop()
            self._here.remove(child)
            if not stopped:
                raise child.failure("did not stop when told to, and had to be killed")

    async def _enter(self, name: str, module: str, orders: dict[str, object] | None) -> Child:
        arguments = [] if orders is None else [msgspec.json.encode(orders).decode()]
        return await self._start(name, module, *arguments)

    async def _start_workers(self) -> Child:
        command = ["worker", f"{HERE}.program:app", "--processes", str(self._plan.workers), "--concurrency", str(CONCURRENCY)]
        return await self._start("workers", "workshop", *command)

    async def _start(self, name: str, module: str, *arguments: str) -> Child:
        log = self._plan.logs / f"{name.replace(' ', '-')}.log"
        child = await Child.start(name, f"{HERE}.{module}", *arguments, log=log, environ=self._environ)
        self._here.append(child)
        return child
