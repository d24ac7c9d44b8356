"""One callable per route, compiled once: middleware around tx around invoke."""

from __future__ import annotations

from collections.abc import Mapping

from penstock.engine.executors.loop import on_loop
from penstock.engine.executors.places import Places
from penstock.engine.program import Program
from penstock.engine.stages.invoke import Invoking
from penstock.engine.stages.kit import Kit
from penstock.engine.stages.middleware import fold
from penstock.engine.stages.rows import Batching
from penstock.engine.stages.tx import Transacting
from penstock.ports.handler import Handler, Route


def compile_chains(program: Program, kit: Kit, places: Places) -> Mapping[str, Handler]:
    """By task name. An alias shares its task's chain."""
    invoking, batching, transacting = Invoking(kit), Batching(kit), Transacting(kit, alone=not program.stages)

    def surrounding(route: Route) -> Invoking | Batching:
        return invoking if route.batch is None else batching

    def innermost(route: Route) -> Handler:
        match route.isolation:
            case "loop":
                return surrounding(route).handler(route, on_loop(route))
            case "thread":
                return surrounding(route).handler(route, places.threads.on_thread(route))
            case "process":
                return invoking.isolated(route, places.processes.on_process(route))

    def chain(route: Route) -> Handler:
        handler = innermost(route)
        if route.transactional:
            handler = transacting.around(handler, blocking=route.isolation == "thread")
        return fold(program.stages, handler, kit.judge)

    routes = {id(route): route for route in program.routes.values()}
    chains = {identity: chain(route) for identity, route in routes.items()}
    return {name: chains[id(route)] for name, route in program.routes.items()}
