"""One callable per route, compiled once: middleware around tx around invoke."""

from __future__ import annotations

from collections.abc import Mapping

from penstock.engine.executors.loop import on_loop
from penstock.engine.executors.thread import Threads
from penstock.engine.program import Program
from penstock.engine.stages.invoke import Invoking
from penstock.engine.stages.middleware import fold
from penstock.engine.stages.tx import Transacting
from penstock.engine.stages.verdict import Judge
from penstock.ports.handler import Handler, Route


class Chains:
    """Compiles routes. An alias shares its task's chain."""

    def __init__(self, program: Program, judge: Judge, invoking: Invoking, transacting: Transacting, threads: Threads) -> None:
        self._program = program
        self._judge = judge
        self._invoking = invoking
        self._transacting = transacting
        self._threads = threads

    def compile(self) -> Mapping[str, Handler]:
        known: dict[int, Handler] = {}
        chains: dict[str, Handler] = {}
        for name, route in self._program.routes.items():
            if id(route) not in known:
                known[id(route)] = self._chain(route)
            chains[name] = known[id(route)]
        return chains

    def _chain(self, route: Route) -> Handler:
        call = on_loop(route) if route.isolation == "loop" else self._threads.on_thread(route)
        handler = self._invoking.handler(route, call)
        if route.transactional:
            handler = self._transacting.around(handler)
        return fold(self._program.stages, handler, self._judge)
