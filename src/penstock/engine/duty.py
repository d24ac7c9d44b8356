"""All that one incarnation of a worker is given."""

from __future__ import annotations

import os
import socket

from msgspec import Struct

from penstock.engine.program import Program, WorkerOptions
from penstock.engine.ties import Ties
from penstock.model.clock import micros
from penstock.ports.leases import Enrolment
from penstock.ports.store import Store


class Duty(Struct, frozen=True):
    store: Store
    program: Program
    options: WorkerOptions
    ties: Ties
    incarnation: int
    renewed: bool = False
    """It follows a lost one: what a worker that started later says of queues holds."""

    @property
    def queues(self) -> tuple[tuple[str, int], ...]:
        """Names and weights."""
        known = sorted({route.queue for route in self.program.routes.values()})
        return self.options.queues or tuple((queue, 1) for queue in known)

    @property
    def name(self) -> str:
        return self.options.name or f"{socket.gethostname()}:{os.getpid()}"

    def enrolment(self) -> Enrolment:
        routes = self.program.routes
        served = {queue for queue, _ in self.queues}
        return Enrolment(
            incarnation=self.incarnation,
            app=self.options.app,
            name=self.name,
            pid=os.getpid(),
            host=socket.gethostname(),
            queues=tuple(queue for queue, _ in self.queues),
            tasks=tuple(sorted(routes)),
            lease=micros(self.options.lease),
            hooks=tuple(sorted(name for name, route in routes.items() if route.hook)),
            wishes=tuple((each.name, each.types) for each in self.program.subscriptions if each.name in served),
            limits=None if self.renewed else tuple(self.program.limits),
        )
