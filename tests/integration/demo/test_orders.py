"""The sums of orders notice what would be wrong. Made-up ledgers."""

from typing import Any

import msgspec

from penstock.cli.demo.ledger import OrderAcknowledged, OrderTried, OrderUnknown
from penstock.cli.demo.reconcile.burial import Letter
from penstock.cli.demo.reconcile.orders import Evidence, Handled, Order, reconcile

POISON = (Letter(2, deaths=3),)


def evidence() -> Evidence:
    """Two mugs and a pen were ordered; the pen could not be moved; a fourth order got no reply."""
    return Evidence(
        calls=[
            *(OrderTried(0, f"order-{number}") for number in (1, 2, 3, 4)),
            *(OrderAcknowledged(1, f"order-{number}", number) for number in (1, 2, 3)),
            OrderUnknown(2, "order-4", "ReadTimeout()"),
        ],
        orders=[Order(1, "order-1", "mug"), Order(2, "order-2", "pen"), Order(3, "order-3", "mug")],
        events=[1, 2, 3],
        moves=Handled([1, 3], letters=POISON),
        shipments=Handled([3, 1, 2]),
    )


def test_all_adds_up() -> None:
    verdict = reconcile(evidence())
    assert verdict.faults == ()
    assert msgspec.to_builtins(verdict.sums) == {
        "tried": 4,
        "acknowledged": 3,
        "unknown": 1,
        "orders": 3,
        "events": 3,
        "moves": 2,
        "shipments": 3,
        "dead_letters": 1,
        "missing": 0,
        "twice": 0,
        "out_of_order": 0,
    }


def test_a_call_without_a_reply_may_have_made_an_order() -> None:
    found = evidence()
    made = changed(
        orders=[*found.orders, Order(4, "order-4", "rug")],
        events=[1, 2, 3, 4],
        moves=Handled([1, 3, 4], POISON),
        shipments=Handled([3, 1, 2, 4]),
    )
    assert reconcile(made).faults == ()


def test_an_acknowledged_order_without_a_row_is_missing() -> None:
    gone = changed(orders=evidence().orders[:2], events=[1, 2], moves=Handled([1], POISON), shipments=Handled([1, 2]))
    assert_fault(gone, "missing", "order-3 was acknowledged and is no order")
    assert_fault(gone, None, "orders: 2 is not between 3 acknowledged and 4 tried")


def test_an_order_under_another_number_is_missing() -> None:
    other = [*evidence().orders[:2], Order(3, "order-4", "mug")]
    assert_fault(changed(orders=other), "missing", "order-3 was acknowledged and is no order")


def test_an_order_without_an_event_is_missing() -> None:
    assert_fault(changed(events=[1, 3]), "missing", "order 2 is not in the topic")


def test_a_stock_move_removed_is_missing() -> None:
    assert_fault(changed(moves=Handled([1], POISON)), "missing", "order 3 is not in moves")


def test_a_dead_letter_removed_is_missing() -> None:
    assert_fault(changed(moves=Handled([1, 3])), "missing", "order 2 is not in moves")


def test_a_shipment_removed_is_missing() -> None:
    assert_fault(changed(shipments=Handled([3, 1])), "missing", "order 2 is not in shipments")


def test_a_second_event_is_twice() -> None:
    assert_fault(changed(events=[1, 2, 2, 3]), "twice", "order 2 is in the topic 2 times")


def test_a_second_stock_move_is_twice() -> None:
    assert_fault(changed(moves=Handled([1, 1, 3], POISON)), "twice", "order 1 is in moves 2 times")


def test_a_second_shipment_is_twice() -> None:
    assert_fault(changed(shipments=Handled([3, 1, 2, 1])), "twice", "order 1 is in shipments 2 times")


def test_moved_and_a_dead_letter_is_twice() -> None:
    assert_fault(changed(moves=Handled([1, 2, 3], POISON)), "twice", "order 2 is in moves 2 times")


def test_one_reference_of_two_orders_is_twice() -> None:
    doubled = [*evidence().orders, Order(4, "order-1", "mug")]
    made = changed(orders=doubled, events=[1, 2, 3, 4], moves=Handled([1, 3, 4], POISON), shipments=Handled([1, 2, 3, 4]))
    assert_fault(made, "twice", "order-1 is 2 orders")


def test_orders_that_nobody_placed() -> None:
    invented = [*evidence().orders, Order(9, "order-9", "rug")]
    made = changed(orders=invented, events=[1, 2, 3, 9], moves=Handled([1, 3, 9], POISON), shipments=Handled([1, 2, 3, 9]))
    assert_fault(made, None, "nobody placed: order-9 in the orders")
    assert_fault(changed(shipments=Handled([1, 2, 3, 7])), None, "nobody placed: order 7 in shipments")
    assert_fault(changed(events=[1, 2, 3, 8]), None, "nobody placed: order 8 in the topic")


def test_moves_of_one_product_keep_their_order() -> None:
    assert_fault(changed(moves=Handled([3, 1], POISON)), "out_of_order", "mug: order 3 was moved before order 1")
    assert reconcile(changed(moves=Handled([2, 1, 3]))).faults == ()


def test_the_order_of_those_placed_at_once_is_that_of_their_events() -> None:
    """On a server the later number may commit first."""
    assert reconcile(changed(events=[3, 2, 1], moves=Handled([3, 1], POISON))).faults == ()
    assert_fault(changed(events=[3, 2, 1], moves=Handled([1, 3], POISON)), "out_of_order", "mug: order 1 was moved before order 3")


def test_a_dead_letter_needs_a_cause() -> None:
    refused = Handled([1, 3], [Letter(2, deaths=2, reason="KeyError")])
    assert_fault(changed(moves=refused), None, "dead letter without a cause: 2 in moves: KeyError")


def changed(**fields: Any) -> Evidence:
    return msgspec.structs.replace(evidence(), **fields)


def assert_fault(found: Evidence, figure: str | None, words: str) -> None:
    verdict = reconcile(found)
    assert any(words in fault for fault in verdict.faults), verdict.faults
    if figure is not None:
        assert msgspec.to_builtins(verdict.sums)[figure] > 0
