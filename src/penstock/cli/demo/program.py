"""What somebody who uses Penstock would write: an app, a task that sends an e-mail, subscribers, a schedule, the tables beside them."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from datetime import timedelta
from email.message import EmailMessage
from pathlib import Path
from random import Random

import aiosmtplib

from penstock import App, Context, Reject, Retry, Transaction
from penstock.cli.demo import sales
from penstock.cli.demo.events import AccountEvent, EmailUpdated, OrderPlaced, UserCreated, UserDeleted
from penstock.cli.demo.plan import FOLDER, SMTP_PORT, Files
from penstock.cli.demo.sales import Sales
from penstock.cli.demo.shelf import Shelf
from penstock.connect import is_postgres
from penstock.model.clock import WallClock

TABLES = (
    "users (id text not null, address text not null)",
    "welcomed (user_id text not null, job text not null)",
    "orders (id {number}, reference text not null, user_id text not null, product text not null, quantity integer not null)",
    "moves (n {number}, order_id integer not null, product text not null, quantity integer not null)",
    "shipments (n {number}, order_id integer not null, user_id text not null)",
)


class MailServer:
    """Sends over SMTP, one connection an e-mail."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def send(self, message: EmailMessage) -> None:
        await aiosmtplib.send(message, hostname="127.0.0.1", port=self._port, local_hostname="localhost", start_tls=False, timeout=30)


@dataclass(frozen=True)
class Resources:
    mail: MailServer
    shelf: Shelf
    files: Files


@asynccontextmanager
async def resources() -> AsyncGenerator[Resources, None]:
    with closing(open_shelf()) as shelf:
        yield Resources(MailServer(int(os.environ[SMTP_PORT])), shelf, here())


def open_shelf() -> Shelf:
    return Shelf(here(), WallClock())


def here() -> Files:
    return Files(Path(os.environ[FOLDER]), os.environ["PENSTOCK_STORE"])


app = App(name="demo", lifespan=resources)
accounts = app.topic("accounts", UserCreated, EmailUpdated, UserDeleted, versioned=True)
orders = app.topic("orders", OrderPlaced, key=lambda event: event.product)


@app.task(queue="mail", retry=Retry(attempts=10, first=0.5, factor=2.0, limit=4.0), timeout=60)
async def send_welcome(ctx: Context[Resources], tx: Transaction, user_id: str, address: str) -> None:
    """The e-mail goes out before the first statement: from there on `tx` holds the file's write lock."""
    try:
        await ctx.state.mail.send(_welcome(ctx.job_id, address))
    except aiosmtplib.SMTPRecipientsRefused as error:
        refusal = error.recipients[0]
        if refusal.code >= 500:
            raise Reject(f"{refusal.code} {refusal.message}") from error
        raise
    await tx.execute("insert into welcomed (user_id, job) values (:user_id, :job)", user_id=user_id, job=ctx.job_id)


@app.subscribe(accounts, start="beginning")
async def directory(tx: Transaction, event: AccountEvent) -> None:
    """Keeps the table of users; the events of one account come one by one, in order."""
    match event:
        case UserCreated(user, address):
            await tx.execute("insert into users (id, address) values (:user, :address)", user=user, address=address)
        case EmailUpdated(user, address):
            await tx.execute("update users set address = :address where id = :user", user=user, address=address)
        case UserDeleted(user):
            await tx.execute("delete from users where id = :user", user=user)


@app.subscribe(orders, start="beginning")
async def inventory(tx: Transaction, event: OrderPlaced) -> None:
    await tx.execute(
        "insert into moves (order_id, product, quantity) values (:order_id, :product, :quantity)",
        order_id=event.order, product=event.product, quantity=-event.quantity,
    )  # fmt: skip


@app.subscribe(orders, start="beginning")
async def shipping(tx: Transaction, event: OrderPlaced) -> None:
    await tx.execute("insert into shipments (order_id, user_id) values (:order_id, :user_id)", order_id=event.order, user_id=event.user)


@app.task(queue="upkeep")
def sweep(ctx: Context[Resources]) -> int:
    """Removes old temporary files."""
    return ctx.state.shelf.remove_old()


app.schedule(sweep.bind(), name="sweep", every=timedelta(seconds=1))


@app.task(queue="reports", isolation="process", timeout=120)
def report_sales(ctx: Context[Resources], seed: int) -> Sales:
    """In a child process: it keeps a processor busy for some seconds."""
    found = sales.quantities(ctx.state.files.store)
    random = Random(seed)
    lines: list[sales.Line] = []
    for number, (product, ordered) in enumerate(found.items()):
        ctx.progress(number / len(found), product)
        lines.append(sales.line(product, ordered, random))
    return Sales(sum(len(ordered) for ordered in found.values()), lines)


def _welcome(job: str, address: str) -> EmailMessage:
    message = EmailMessage()
    message["Message-ID"] = f"<{job}@demo.penstock>"
    message["From"] = "hello@example.com"
    message["To"] = address
    message["Subject"] = "Welcome"
    message.set_content("It is good to have you here.\n")
    return message


async def create_tables() -> None:
    """What handlers write has no unique constraint: a second row would be seen."""
    number = "integer generated always as identity primary key" if is_postgres(here().store) else "integer primary key"
    async with app.transaction() as tx:
        for table in TABLES:
            await tx.execute(f"create table if not exists {table.format(number=number)}")
