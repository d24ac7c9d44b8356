"""The verdict of the whole: one fault anywhere, and it is not ok."""

from typing import Any

import msgspec

from penstock.cli.demo.ledger import ReportAsked, Tried
from penstock.cli.demo.reconcile import Evidence, accounts, files, orders, reconcile, reports, signups


def nothing() -> Evidence:
    return Evidence(
        sign_ups=signups.Evidence(visits=[], mail=[], users=[], welcomed=[], letters=[], deaths={}, kills={}),
        orders=orders.Evidence(calls=[], orders=[], events=[], moves=orders.Handled([]), shipments=orders.Handled([])),
        accounts=accounts.Evidence(calls=[], facts=[], table=[]),
        files=files.Evidence(entries=[], left=[], killed=[], age=1),
        reports=reports.Evidence(asked=[], calls=[], orders=0, results={}),
        unfinished=0,
    )


def test_nothing_adds_up() -> None:
    verdict = reconcile(nothing())
    assert verdict.ok
    assert verdict.faults == ()


def test_work_that_is_left() -> None:
    assert_fault("2 jobs still wait or run", unfinished=2)


def test_a_fault_of_a_sign_up() -> None:
    users = [signups.User("1", "ada+1@example.com")]
    sign_ups = msgspec.structs.replace(nothing().sign_ups, visits=[Tried(0, "ada+1@example.com")], users=users)
    assert_fault("was neither welcomed nor is a dead letter", sign_ups=sign_ups)


def test_a_fault_of_an_order() -> None:
    assert_fault("nobody placed: order 1 in the topic", orders=msgspec.structs.replace(nothing().orders, events=[1]))


def test_a_fault_of_an_account() -> None:
    table = [accounts.User("1", "ada+1@example.com")]
    assert_fault("events replayed are not the table: 1", accounts=msgspec.structs.replace(nothing().accounts, table=table))


def test_a_fault_of_a_file() -> None:
    assert_fault("file that nobody wrote: receipt-1.txt", files=msgspec.structs.replace(nothing().files, left=["receipt-1.txt"]))


def test_a_fault_of_a_report() -> None:
    assert_fault("report missing: job job-9", reports=msgspec.structs.replace(nothing().reports, asked=[ReportAsked(0, "job-9")]))


def assert_fault(words: str, **fields: Any) -> None:
    verdict = reconcile(msgspec.structs.replace(nothing(), **fields))
    assert not verdict.ok
    assert any(words in fault for fault in verdict.faults), verdict.faults
