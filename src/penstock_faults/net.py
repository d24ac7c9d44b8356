"""Machines as network namespaces: each has one cable to the server's, and a cable can be cut so that nobody hears of it.

Needs root. All addresses are inside of these namespaces.
"""

from __future__ import annotations

import ctypes
import os
import secrets
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

SERVER = "10.213.0.1"
LISTEN = f"{SERVER}/16"
SPACES = Path("/run/netns")
_NEW_NETWORK = 0x40000000
"""CLONE_NEWNET."""


@dataclass
class Net:
    ip: str
    tag: str = field(default_factory=lambda: f"penstock-{secrets.token_hex(3)}")
    machines: list[str] = field(default_factory=list)

    @property
    def server(self) -> str:
        return f"{self.tag}-server"

    def space(self, machine: str) -> str:
        return f"{self.tag}-{machine}"

    def run(self, *words: str) -> None:
        subprocess.run([self.ip, *words], check=True)

    def add(self, machine: str) -> None:
        """With a cable to the server."""
        number, space = len(self.machines) + 1, self.space(machine)
        near, far, net = f"cable{number}", "cable", f"10.213.{number}"
        self.run("netns", "add", space)
        self.machines.append(machine)
        self.run("-n", self.server, "link", "add", near, "type", "veth", "peer", "name", far, "netns", space)
        for where, link, address in ((self.server, near, f"{net}.1/30"), (space, far, f"{net}.2/30")):
            self.run("-n", where, "address", "add", address, "dev", link)
            self.run("-n", where, "link", "set", link, "up")
        self.run("-n", space, "link", "set", "lo", "up")
        self.run("-n", space, "route", "add", "default", "via", f"{net}.1")

    def cut(self, machine: str) -> None:
        """At the server's end: what is sent goes nowhere, and nobody is told."""
        self._set(machine, "down")

    def mend(self, machine: str) -> None:
        self._set(machine, "up")

    def inside(self, machine: str) -> Sequence[str]:
        """Before a command that is to run there. Not `ip netns exec`: that makes a mount namespace, too, which keeps every file system of
        this machine busy for as long as the command runs, so that no other test could take its own away."""
        return ("nsenter", f"--net={SPACES / self.space(machine)}")

    def _set(self, machine: str, how: str) -> None:
        self.run("-n", self.server, "link", "set", f"cable{self.machines.index(machine) + 1}", how)


@contextmanager
def network(ip: str, *machines: str) -> Iterator[Net]:
    """This thread, and what it starts, is at the server's from now on."""
    net = Net(ip)
    net.run("netns", "add", net.server)
    try:
        net.run("-n", net.server, "link", "set", "lo", "up")
        net.run("-n", net.server, "address", "add", f"{SERVER}/32", "dev", "lo")
        for machine in machines:
            net.add(machine)
        enter(SPACES / net.server)
        yield net
    finally:
        for machine in net.machines:
            net.run("netns", "delete", net.space(machine))
        net.run("netns", "delete", net.server)


def enter(space: Path) -> None:
    descriptor = os.open(space, os.O_RDONLY)
    if ctypes.CDLL(None, use_errno=True).setns(descriptor, _NEW_NETWORK):
        raise OSError(ctypes.get_errno(), f"enter {space}")
    os.close(descriptor)
