"""One callable per route, compiled once: middleware around tx around invoke."""

from __future__ import annotations

from collections.abc import Mapping

from penstock.engine.executors.loop import on_loop
from penstock.engine.executors.thread import Threads
from penstock.engine.program import Program
from penstock.engine.stages.invoke import Invoking
from penstock.engine.stages.kit import Kit
from penstock.engine.stages.middleware import fold
from penstock.engine.stages.tx import Transacting
from penstock.ports.handler import Handler, Route


def compile_chains(program: Program, kit: Kit, threads: Threads) -> Mapping[str, Handler]:
    """By task name. An alias shares its task's chain."""
    invoking, transacting = Invoking(kit), Transacting(kit)

    def chain(route: Route) -> Handler:
        call = on_loop(route) if route.isolation == "loop" else threads.on_thread(route)
        handler = invoking.handler(route, call)
        if route.transactional:
            handler = transacting.around(handler)
        return fold(program.stages, handler, kit.judge)

    routes = {id(route): route for route in program.routes.values()}
    chains = {identity: chain(route) for identity, route in routes.items()}
    return {name: chains[id(route)] for name, route in program.routes.items()}
