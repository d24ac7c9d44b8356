"""The sums of sign-ups and e-mails notice what would be wrong. Made-up ledgers; times in seconds for reading, in µs for the ledgers."""

from typing import Any

import msgspec

from penstock.cli.demo.ledger import Accepted, Acknowledged, Refused, Tried, Unknown
from penstock.cli.demo.reconcile.signups import Buried, Death, Evidence, User, Welcomed, reconcile

SECOND = 1_000_000
ADA, GRACE, NOBODY, SILENT = "ada+1@example.com", "grace+2@example.com", "nobody+3@example.com", "tony+4@example.com"


def evidence() -> Evidence:
    """Ada was welcomed; so was Grace, twice by e-mail since a worker was killed; nobody+3 is a dead letter; tony+4 got no reply."""
    return Evidence(
        visits=[
            *(Tried(0, address) for address in (ADA, GRACE, NOBODY, SILENT)),
            *(Acknowledged(1, address, user, f"job-{user}") for user, address in (("1", ADA), ("2", GRACE), ("3", NOBODY))),
            Unknown(2, SILENT, "ReadTimeout()"),
        ],
        mail=[
            Accepted(5 * SECOND, "job-1", ADA),
            Accepted(10 * SECOND, "job-2", GRACE),
            Accepted(13 * SECOND, "job-2", GRACE),
            Refused(5 * SECOND, NOBODY, 550),
        ],
        users=[User("1", ADA), User("2", GRACE), User("3", NOBODY)],
        welcomed=[Welcomed("1", "job-1"), Welcomed("2", "job-2")],
        letters=[Buried("job-3", "3", NOBODY, "550", deaths=0)],
        deaths={"job-2": [Death(12 * SECOND, "00ff")]},
        kills={"00ff": 11 * SECOND},
    )


def test_all_adds_up() -> None:
    verdict = reconcile(evidence())
    assert not verdict.faults, verdict.faults
    assert [(one.job, one.address) for one in verdict.sent_again] == [("job-2", GRACE)]
    sums = msgspec.to_builtins(verdict.sums)
    assert sums == {
        "tried": 4,
        "acknowledged": 3,
        "unknown": 1,
        "users": 3,
        "welcomed": 2,
        "dead_letters": 1,
        "lost": 0,
        "effects_twice": 0,
        "e_mails": 3,
        "e_mails_twice_unexplained": 0,
        "welcomed_without_e_mail": 0,
    }


def test_a_call_without_a_reply_may_have_made_a_user() -> None:
    found = evidence()
    made = changed(
        found,
        users=[*found.users, User("4", SILENT)],
        welcomed=[*found.welcomed, Welcomed("4", "job-4")],
        mail=[*found.mail, Accepted(9 * SECOND, "job-4", SILENT)],
    )
    assert not reconcile(made).faults


def test_a_row_removed_from_welcomed_is_a_loss() -> None:
    assert_fault(changed(evidence(), welcomed=[Welcomed("2", "job-2")]), "lost", f"user 1 ({ADA})")


def test_a_dead_letter_removed_is_a_loss() -> None:
    assert_fault(changed(evidence(), letters=[]), "lost", f"user 3 ({NOBODY})")


def test_an_acknowledged_sign_up_without_a_user_is_a_loss() -> None:
    found = evidence()
    users = [user for user in found.users if user.id != "2"]
    assert_fault(changed(found, users=users, welcomed=[Welcomed("1", "job-1")]), "lost", f"{GRACE} was acknowledged")


def test_a_second_row_in_welcomed_is_an_effect_twice() -> None:
    found = evidence()
    assert_fault(changed(found, welcomed=[*found.welcomed, Welcomed("1", "job-1")]), "effects_twice", "user 1 has 2 rows")


def test_welcomed_and_dead_letter_at_once() -> None:
    found = evidence()
    both = changed(found, letters=[*found.letters, Buried("job-1", "1", ADA, "timeout", deaths=3)])
    assert_fault(both, None, "user 1 was welcomed and is a dead letter")


def test_an_e_mail_twice_without_a_kill_is_unexplained() -> None:
    found = evidence()
    assert_fault(changed(found, mail=[*found.mail, Accepted(6 * SECOND, "job-1", ADA)]), "e_mails_twice_unexplained", "job job-1")


def test_one_death_explains_one_copy() -> None:
    found = evidence()
    third = changed(found, mail=[*found.mail, Accepted(14 * SECOND, "job-2", GRACE)])
    assert_fault(third, "e_mails_twice_unexplained", "job job-2")


def test_a_death_at_another_time_explains_nothing() -> None:
    assert_fault(changed(evidence(), deaths={"job-2": [Death(20 * SECOND, "00ff")]}), "e_mails_twice_unexplained", "job job-2")


def test_a_death_that_was_not_our_kill_explains_nothing() -> None:
    assert_fault(changed(evidence(), kills={}), "e_mails_twice_unexplained", "job job-2")


def test_welcomed_without_an_e_mail() -> None:
    found = evidence()
    unsent = changed(found, mail=[entry for entry in found.mail if entry.address != ADA])
    assert_fault(unsent, "welcomed_without_e_mail", "user 1, job job-1")


def test_a_user_whom_nobody_signed_up() -> None:
    found = evidence()
    invented = changed(
        found,
        users=[*found.users, User("9", "eve@example.com")],
        welcomed=[*found.welcomed, Welcomed("9", "job-9")],
        mail=[*found.mail, Accepted(1, "job-9", "eve@example.com")],
    )
    assert_fault(invented, None, "user without a sign-up: eve@example.com")


def test_an_e_mail_to_somebody_who_is_no_user() -> None:
    found = evidence()
    assert_fault(changed(found, mail=[*found.mail, Accepted(1, "job-4", SILENT)]), None, f"nobody who signed up: {SILENT}")


def test_a_dead_letter_needs_a_cause() -> None:
    found = evidence()
    causeless = changed(found, mail=[entry for entry in found.mail if isinstance(entry, Accepted)])
    assert_fault(causeless, None, "dead letter without a cause: job job-3")
    poison = [Buried("job-3", "3", NOBODY, "its worker died 3 times under it", deaths=3)]
    assert_fault(changed(causeless, letters=poison), None, "dead letter without a cause: job job-3")
    deaths = {**found.deaths, "job-3": [Death(at * SECOND, f"{at}") for at in (1, 2, 3)]}
    kills = {**found.kills, "1": 1, "2": 2, "3": 3}
    assert not reconcile(changed(causeless, letters=poison, deaths=deaths, kills=kills)).faults


def changed(found: Evidence, **fields: Any) -> Evidence:
    return msgspec.structs.replace(found, **fields)


def assert_fault(found: Evidence, figure: str | None, words: str) -> None:
    verdict = reconcile(found)
    assert any(words in fault for fault in verdict.faults), verdict.faults
    if figure is not None:
        assert msgspec.to_builtins(verdict.sums)[figure] > 0
