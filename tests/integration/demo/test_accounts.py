"""The sums of accounts notice what would be wrong. Made-up ledgers."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from penstock.cli.demo.archive import Fact, Story
from penstock.cli.demo.events import AccountEvent, EmailUpdated, UserCreated, UserDeleted, address_after
from penstock.cli.demo.ledger import ChangeAcknowledged, ChangeTried, ChangeUnknown
from penstock.cli.demo.reconcile.accounts import Evidence, User, reconcile
from penstock.cli.demo.reconcile.burial import Letter


def fact(second: int, version: int, event: AccountEvent, by: str = "the owner") -> Fact:
    return Fact(event.user, version, at(second), by, event)


def at(second: float) -> datetime:
    return datetime.fromtimestamp(second, UTC)


FACTS = (
    fact(1, 1, UserCreated("ada", "ada@old.example")),
    fact(2, 1, UserCreated("ken", "ken@example.com")),
    fact(3, 2, EmailUpdated("ada", "ada@new.example"), "support"),
    fact(4, 2, UserDeleted("ken")),
    fact(5, 1, UserCreated("tony", "tony@example.com")),
)


def evidence() -> Evidence:
    """Ada moved, Ken left, Tony stayed; somebody asked to delete Tony's account and got no reply."""
    return Evidence(
        calls=[
            ChangeTried(3, "ada", "ada@new.example", "support"),
            ChangeAcknowledged(3, "ada", "ada@new.example", 2),
            ChangeTried(4, "ken", None, "the owner"),
            ChangeAcknowledged(4, "ken", None, 2),
            ChangeTried(6, "tony", None, "the owner"),
            ChangeUnknown(7, "tony", None, "ReadTimeout()"),
        ],
        facts=FACTS,
        table=[User("ada", "ada@new.example"), User("tony", "tony@example.com")],
        story=Story([FACTS[0], FACTS[2]], at(2.5), "ada@old.example"),
    )


def test_all_adds_up() -> None:
    verdict = reconcile(evidence())
    assert verdict.faults == ()
    assert msgspec.to_builtins(verdict.sums) == {
        "tried": 3,
        "acknowledged": 2,
        "unknown": 1,
        "events": 5,
        "created": 3,
        "updated": 1,
        "deleted": 1,
        "replayed": 2,
        "users": 2,
        "dead_letters": 0,
        "differences": 0,
    }


def test_a_call_without_a_reply_may_have_changed_something() -> None:
    left = [*FACTS, fact(6, 2, UserDeleted("tony"))]
    assert reconcile(changed(facts=left, table=[User("ada", "ada@new.example")])).faults == ()


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ([User("ada", "ada@new.example")], "tony is tony@example.com, in the table not there"),
        ([User("ada", "ada@old.example"), User("tony", "tony@example.com")], "ada is ada@new.example, in the table ada@old.example"),
        ([*evidence().table, User("ken", "ken@example.com")], "ken is not there, in the table ken@example.com"),
        ([*evidence().table, User("eve", "eve@example.com")], "eve is not there, in the table eve@example.com"),
        ([*evidence().table, User("tony", "tony@example.com")], "in the table tony@example.com and tony@example.com"),
    ],
    ids=["row missing", "address not changed", "not deleted", "row of nobody", "row twice"],
)
def test_a_table_that_is_not_the_replay(table: list[User], words: str) -> None:
    found = changed(table=table)
    assert_fault(found, words)
    assert reconcile(found).sums.differences == 1


def test_a_dead_letter_excepts_its_account_and_is_counted() -> None:
    verdict = reconcile(changed(table=[User("ada", "ada@new.example")], buried=[Letter("tony", deaths=3)]))
    assert verdict.faults == ()
    assert verdict.sums.dead_letters == 1


def test_a_dead_letter_needs_a_cause() -> None:
    assert_fault(
        changed(buried=[Letter("tony", deaths=0, reason="KeyError")]), "dead letter without a cause: tony in the table of users: KeyError"
    )


def test_an_acknowledged_change_without_its_event_is_lost() -> None:
    facts = [each for each in FACTS if not isinstance(each.event, UserDeleted)]
    found = changed(facts=facts, table=[*evidence().table, User("ken", "ken@example.com")])
    assert_fault(found, "change lost: ken to deleted was acknowledged as version 2")
    assert_fault(found, "1 is not between 2 acknowledged and 3 tried")


def test_an_acknowledged_change_that_says_something_else_is_lost() -> None:
    facts = [FACTS[0], FACTS[1], fact(3, 2, EmailUpdated("ada", "eve@example.com"), "support"), *FACTS[3:]]
    assert_fault(changed(facts=facts), "change lost: ada to ada@new.example")
    assert_fault(changed(facts=facts), "nobody asked for: ada to eve@example.com by support, 1 more")


def test_a_change_by_somebody_else_was_not_asked_for() -> None:
    facts = [FACTS[0], FACTS[1], fact(3, 2, EmailUpdated("ada", "ada@new.example"), "eve"), *FACTS[3:]]
    assert_fault(changed(facts=facts), "nobody asked for: ada to ada@new.example by eve")


def test_a_change_twice_was_asked_for_once() -> None:
    facts = [*FACTS, fact(6, 3, EmailUpdated("ada", "ada@new.example"), "support")]
    assert_fault(changed(facts=facts), "nobody asked for: ada to ada@new.example by support, 1 more")


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ([*FACTS, fact(6, 4, EmailUpdated("ada", "x@example.com"))], "events of ada: versions [1, 2, 4]"),
        ([*FACTS, fact(6, 2, UserCreated("tony", "tony@example.com"))], "events of tony: created not once and first"),
        ([*FACTS, fact(6, 3, EmailUpdated("ken", "x@example.com"))], "events of ken: something follows the deletion"),
        (FACTS[1:], "events of ada: versions [2]"),
        ([*FACTS, Fact("tony", 2, at(6), "eve", UserDeleted("ada"))], "events of tony: tells of another account"),
    ],
    ids=["gap", "created twice", "after its deletion", "first missing", "of another"],
)
def test_events_of_an_impossible_shape(facts: list[Fact], words: str) -> None:
    assert_fault(changed(facts=facts), words)


def test_a_wrong_state_as_of_a_moment() -> None:
    story = evidence().story
    assert story is not None
    assert_fault(changed(story=msgspec.structs.replace(story, address_then="ada@new.example")), "ada was read as ada@new.example")
    assert_fault(changed(story=msgspec.structs.replace(story, trail=story.trail[:1])), "ada read by itself has other events")


def test_the_state_after_each_event() -> None:
    events = [each.event for each in FACTS if each.user == "ken"]
    assert [address_after(events[:count]) for count in range(3)] == [None, "ken@example.com", None]


def changed(**fields: Any) -> Evidence:
    return msgspec.structs.replace(evidence(), **fields)


def assert_fault(found: Evidence, words: str) -> None:
    faults = reconcile(found).faults
    assert any(words in fault for fault in faults), faults
