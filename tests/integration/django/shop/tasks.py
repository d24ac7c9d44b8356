"""Handlers note on which connection they worked."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

from asgiref.sync import sync_to_async
from django.db import connection, connections

from penstock import App, Transaction
from penstock.integrations.django import store_url

from .models import Order

app = App(store_url(), name="shop")


@dataclass(frozen=True)
class Placed:
    sku: str


placed = app.topic("placed", Placed, key=lambda event: event.sku)
ledger = app.topic("ledger", Placed, versioned=True)
worked: list[tuple[threading.Thread, Any]] = []
"""The thread, and its connection."""


def note() -> None:
    worked.append((threading.current_thread(), connections["default"]))


@app.task()
def pay(order: int) -> str:
    note()
    Order.objects.filter(pk=order).update(paid=True)
    return f"order {order} is paid"


@app.task()
async def pay_later(order: int) -> str:
    await Order.objects.filter(pk=order).aupdate(paid=True)
    await sync_to_async(note)()
    return f"order {order} is paid"


@app.task()
def book(tx: Transaction, sku: str) -> int:
    tx.sync.execute("insert into shop_order (sku, paid) values (:sku, 1)", sku=sku)
    pay.sync.enqueue(0)  # joins by itself
    row = tx.sync.fetch_one("select count(*) as booked from shop_order where sku like '%' || :sku", sku=sku)
    return row["booked"] if row is not None else 0


@app.task()
async def think(order: int) -> int:
    """Without the database."""
    return threading.active_count()


@app.task()
def fail(order: int) -> None:
    note()
    connection.ensure_connection()
    raise ValueError(order)
