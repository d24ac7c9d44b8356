"""The sums of reports notice what would be wrong, made-up ledgers; and what a report reckons."""

import sqlite3
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any

import msgspec

from penstock.cli.demo.ledger import OrderAcknowledged, OrderTried, ReportAsked
from penstock.cli.demo.reconcile.burial import Letter
from penstock.cli.demo.reconcile.reports import Evidence, reconcile
from penstock.cli.demo.sales import Line, Sales, line, quantities


def sales(*orders: int) -> Sales:
    return Sales(sum(orders), [Line(f"product-{number}", count, count, 1.0, 1.0) for number, count in enumerate(orders)])


def evidence() -> Evidence:
    """Two orders were acknowledged before the report was asked for; a third came while it was made, and a fourth later."""
    return Evidence(
        asked=[ReportAsked(5, "job-1")],
        calls=[OrderTried(1, "order-1"), *(OrderAcknowledged(at, f"order-{at}", at) for at in (2, 4, 6, 8))],
        orders=4,
        results={"job-1": sales(2, 1)},
    )


def test_all_adds_up() -> None:
    verdict = reconcile(evidence())
    assert verdict.faults == ()
    assert msgspec.to_builtins(verdict.sums) == {"asked": 1, "done": 1, "dead_letters": 0, "wrong": 0}


def test_a_report_that_is_not_there() -> None:
    assert_fault(changed(results={}), "report missing: job job-1")


def test_a_dead_letter_is_counted() -> None:
    verdict = reconcile(changed(results={}, buried=[Letter("job-1", deaths=3)]))
    assert verdict.faults == ()
    assert verdict.sums.dead_letters == 1


def test_a_dead_letter_needs_a_cause() -> None:
    buried = [Letter("job-1", deaths=1, reason="TimeoutError")]
    assert_fault(changed(results={}, buried=buried), "dead letter without a cause: job-1 in the reports: TimeoutError")


def test_a_report_that_does_not_know_what_was_acknowledged() -> None:
    assert_fault(changed(results={"job-1": sales(1)}), "knows 1 orders, not between 2 acknowledged and 4 at the end")


def test_a_report_of_orders_that_never_were() -> None:
    assert_fault(changed(results={"job-1": sales(3, 2)}), "knows 5 orders, not between 2 acknowledged and 4 at the end")


def test_a_report_whose_lines_are_not_its_orders() -> None:
    assert_fault(changed(results={"job-1": Sales(3, sales(2).lines)}), "its lines are not its 3 orders")


def test_the_last_report_is_the_one_asked_for_last() -> None:
    asked = [ReportAsked(5, "job-1"), ReportAsked(7, "job-2"), ReportAsked(9, "job-3")]
    assert changed(asked=asked, results={"job-2": sales(4), "job-1": sales(2, 1)}).last == sales(4)
    assert changed(results={}).last is None


def test_quantities_by_product(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "demo.db")) as connection, connection:
        connection.execute("create table orders (id integer primary key, product text, quantity integer)")
        connection.executemany("insert into orders (product, quantity) values (?, ?)", [("mug", 2), ("cup", 1), ("mug", 3)])
    assert quantities(f"sqlite:///{tmp_path / 'demo.db'}") == {"cup": [1], "mug": [2, 3]}


def test_a_line_holds_what_its_orders_say() -> None:
    reckoned = line("mug", [1, 2, 3] * 20, Random(7), draws=12_000)
    assert (reckoned.product, reckoned.orders, reckoned.pieces) == ("mug", 60, 120)
    assert 1.5 < reckoned.low < 2.0 < reckoned.high < 2.5
    assert line("pen", [2], Random(7), draws=100) == Line("pen", 1, 2, 2.0, 2.0)


def changed(**fields: Any) -> Evidence:
    return msgspec.structs.replace(evidence(), **fields)


def assert_fault(found: Evidence, words: str) -> None:
    verdict = reconcile(found)
    assert any(words in fault for fault in verdict.faults), verdict.faults
