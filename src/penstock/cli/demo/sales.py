"""What was sold of each product: the kind of reckoning that takes the processor for a while, and so belongs into a child process."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from random import Random

from msgspec import Struct

from penstock.cli.demo.tables import rows

DRAWS = 1_500_000
"""For each product: some tenths of a second."""


class Line(Struct, frozen=True):
    product: str
    orders: int
    pieces: int
    low: float
    high: float
    """Pieces an order, with a confidence of 95 %: from resampling the orders."""


class Sales(Struct, frozen=True):
    orders: int
    lines: list[Line]


def quantities(store: str) -> Mapping[str, Sequence[int]]:
    """By product, as they are ordered now."""
    found: defaultdict[str, list[int]] = defaultdict(list)
    for product, quantity in rows(store, "select product, quantity from orders order by product, id"):
        found[product].append(quantity)
    return found


def line(product: str, ordered: Sequence[int], random: Random, draws: int = DRAWS) -> Line:
    count = len(ordered)
    means = sorted(sum(random.choices(ordered, k=count)) / count for _ in range(max(40, draws // count)))
    edge = len(means) // 40
    return Line(product, count, sum(ordered), means[edge], means[-edge - 1])
