"""Orders: each one moves stock once and is shipped once.

- Every acknowledged order is a row, and every row was an order: acknowledged ≤ orders ≤ tried.
- Every order is an event of the topic, and every event an order: the two were one transaction.
- Both subscribers end with each order exactly once: one row in their table, or one dead letter, which
  needs a cause. Nothing forbids a second row.
- What is moved of one product is moved in the order of its events in the topic: events of one key stay in order. Two that were
  ordered at once have their numbers and their events from two transactions, which may differ.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

from msgspec import Struct

from penstock.cli.demo.ledger import OrderAcknowledged, OrderCall, OrderTried, OrderUnknown
from penstock.cli.demo.reconcile.burial import Letter, causeless


class Order(Struct, frozen=True):
    id: int
    reference: str
    product: str


class Handled(Struct, frozen=True):
    """What one subscriber did with the orders: their ids, as often as they stand there, in the order of the rows."""

    rows: Sequence[int]
    letters: Sequence[Letter[int]] = ()

    @property
    def ends(self) -> list[int]:
        """Rows and dead letters."""
        return [*self.rows, *(letter.of for letter in self.letters)]


class Evidence(Struct, frozen=True):
    calls: Sequence[OrderCall]
    orders: Sequence[Order]
    events: Sequence[int]
    """The orders that the topic tells of, in its order."""
    moves: Handled
    shipments: Handled


class Sums(Struct, frozen=True):
    tried: int
    acknowledged: int
    unknown: int
    orders: int
    events: int
    moves: int
    shipments: int
    dead_letters: int
    missing: int
    twice: int
    out_of_order: int


class Verdict(Struct, frozen=True):
    sums: Sums
    faults: tuple[str, ...]


def reconcile(evidence: Evidence) -> Verdict:
    missing = [*_unkept(evidence), *_unhandled(evidence)]
    twice = [*_ordered_twice(evidence), *_handled_twice(evidence)]
    late = list(_out_of_order(evidence))
    sums = _sums(evidence, len(missing), len(twice), len(late))
    faults = [
        *_between(sums),
        *(f"missing: {what}" for what in missing),
        *(f"twice: {what}" for what in twice),
        *(f"order that nobody placed: {what}" for what in _invented(evidence)),
        *(f"out of order: {what}" for what in late),
        *(what for place, handled in _places(evidence).items() for what in causeless(place, handled.letters)),
    ]
    return Verdict(sums, tuple(faults))


def _between(sums: Sums) -> Iterable[str]:
    if not sums.acknowledged <= sums.orders <= sums.tried:
        yield f"orders: {sums.orders} is not between {sums.acknowledged} acknowledged and {sums.tried} tried"


def _unkept(evidence: Evidence) -> Iterable[str]:
    kept = {(order.id, order.reference) for order in evidence.orders}
    for call in evidence.calls:
        if isinstance(call, OrderAcknowledged) and (call.order, call.reference) not in kept:
            yield f"{call.reference} was acknowledged and is no order"


def _unhandled(evidence: Evidence) -> Iterable[str]:
    for place, handled in _places(evidence).items():
        ended = {*handled.ends}
        yield from (f"order {order.id} is not in {place}" for order in evidence.orders if order.id not in ended)


def _ordered_twice(evidence: Evidence) -> Iterable[str]:
    references = Counter(order.reference for order in evidence.orders)
    yield from (f"{reference} is {count} orders" for reference, count in references.items() if count > 1)


def _handled_twice(evidence: Evidence) -> Iterable[str]:
    for place, handled in _places(evidence).items():
        ends = Counter(handled.ends)
        yield from (f"order {order} is in {place} {count} times, dead letters included" for order, count in ends.items() if count > 1)


def _invented(evidence: Evidence) -> Iterable[str]:
    tried = {call.reference for call in evidence.calls if isinstance(call, OrderTried)}
    known = {order.id for order in evidence.orders}
    yield from (f"{order.reference} in the orders" for order in evidence.orders if order.reference not in tried)
    for place, handled in _places(evidence).items():
        yield from (f"order {order} in {place}" for order in sorted({*handled.ends} - known))


def _out_of_order(evidence: Evidence) -> Iterable[str]:
    products = {order.id: order.product for order in evidence.orders}
    places = {order: place for place, order in enumerate(evidence.events)}
    moved: defaultdict[str, list[int]] = defaultdict(list)
    for order in evidence.moves.rows:
        moved[products.get(order, "")].append(order)
    for product, orders in moved.items():
        for first, second in pairwise(order for order in orders if order in places):
            if places[first] > places[second]:
                yield f"{product}: order {first} was moved before order {second}"


def _places(evidence: Evidence) -> Mapping[str, Handled]:
    return {"the topic": Handled(evidence.events), "moves": evidence.moves, "shipments": evidence.shipments}


def _sums(evidence: Evidence, missing: int, twice: int, late: int) -> Sums:
    calls = Counter(type(call) for call in evidence.calls)
    return Sums(
        tried=calls[OrderTried],
        acknowledged=calls[OrderAcknowledged],
        unknown=calls[OrderUnknown],
        orders=len(evidence.orders),
        events=len(evidence.events),
        moves=len(evidence.moves.rows),
        shipments=len(evidence.shipments.rows),
        dead_letters=len(evidence.moves.letters) + len(evidence.shipments.letters),
        missing=missing,
        twice=twice,
        out_of_order=late,
    )
