"""The mail server, a process of its own: a real SMTP server on loopback that keeps a ledger and is not always in the mood.

`busy+…` gets 451 the first one or two times: come again later. `nobody+…` gets 550: there is no such mailbox, until a line in the
file `mailboxes` says that there is. It thinks a moment before it takes an e-mail and another one before it says so.
"""

from __future__ import annotations

import asyncio
import sys
from email import message_from_bytes
from functools import partial
from pathlib import Path
from random import Random

import msgspec
from aiosmtpd.smtp import SMTP, Envelope, Session
from msgspec import Struct

from penstock.cli.demo.ledger import Accepted, Ledger, Refused
from penstock.cli.demo.tied import ready, tie, told_to_stop
from penstock.model.clock import WallClock


class Orders(Struct, frozen=True):
    spool: str
    mailboxes: str
    seed: int


class Postman:
    """The handler that aiosmtpd calls."""

    def __init__(self, orders: Orders) -> None:
        self._ledger = Ledger(Path(orders.spool))
        self._mailboxes = Path(orders.mailboxes)
        self._random = Random(orders.seed)
        self._clock = WallClock()
        self._moody: dict[str, int] = {}

    async def handle_RCPT(self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]) -> str:
        if address.startswith("nobody+") and not self._exists(address):
            return self._refuse(address, 550, "5.1.1 no such mailbox")
        if address.startswith("busy+") and self._is_busy(address):
            return self._refuse(address, 451, "4.3.2 the mailbox is busy, come again later")
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        content = envelope.content
        assert isinstance(content, bytes)
        await asyncio.sleep(self._random.uniform(0.03, 0.12))
        job = message_from_bytes(content)["Message-ID"].strip("<>").partition("@")[0]
        for address in envelope.rcpt_tos:
            self._ledger.write(Accepted(self._clock.now(), job, address))
        await asyncio.sleep(self._random.uniform(0.02, 0.08))
        return "250 accepted"

    def _exists(self, address: str) -> bool:
        return self._mailboxes.exists() and address in self._mailboxes.read_text().split()

    def _is_busy(self, address: str) -> bool:
        left = self._moody.setdefault(address, self._random.randint(1, 2))
        self._moody[address] = max(0, left - 1)
        return left > 0

    def _refuse(self, address: str, code: int, why: str) -> str:
        self._ledger.write(Refused(self._clock.now(), address, code))
        return f"{code} {why}"


async def serve(orders: Orders) -> None:
    stop = told_to_stop()
    protocol = partial(SMTP, Postman(orders), hostname="localhost", ident="Penstock demo")
    server = await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", 0)
    ready(port=server.sockets[0].getsockname()[1])
    await stop.wait()
    server.close()


if __name__ == "__main__":
    tie()
    asyncio.run(serve(msgspec.json.decode(sys.argv[1], type=Orders)))
