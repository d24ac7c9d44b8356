"""Starts services in order and stops them in the opposite one."""

from __future__ import annotations

from collections.abc import Sequence

from penstock.engine.service import Service


class Supervisor:
    def __init__(self, services: Sequence[Service]) -> None:
        self._services = tuple(services)

    def start(self) -> None:
        for service in self._services:
            service.start()

    def wake(self) -> None:
        for service in self._services:
            service.wake()

    async def stop(self) -> None:
        for service in reversed(self._services):
            await service.stop()
