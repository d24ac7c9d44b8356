"""What happened, as the topics carry it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class OrderPlaced:
    order: int
    user: int
    product: str
    quantity: int
