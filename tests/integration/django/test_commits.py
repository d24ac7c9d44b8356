"""Workers are woken when Django's transaction has committed."""

from __future__ import annotations

import pytest
from django.db import connection, transaction
from django.test import TestCase

from penstock.integrations.django import foreign
from penstock.testing.kit import Kit
from tests.integration.django.shop.tasks import pay


class Bell:
    def __init__(self) -> None:
        self.rang = 0

    def __call__(self) -> None:
        self.rang += 1


def waiting() -> int:
    """What is to be called after the commit."""
    return len(connection.run_on_commit)


# -- once a transaction, as often as one enqueues


def test_a_transaction_rings_once(kit: Kit) -> None:
    bell = Bell()
    with transaction.atomic():
        for _ in range(3):
            foreign(connection).after_commit(bell)
            with transaction.atomic():
                foreign(connection).after_commit(bell)
        assert (waiting(), bell.rang) == (1, 0)
    assert bell.rang == 1


def test_a_rollback_rings_nobody(kit: Kit) -> None:
    bell = Bell()
    with pytest.raises(KeyError), transaction.atomic():
        foreign(connection).after_commit(bell)
        raise KeyError
    with transaction.atomic():
        pass
    assert bell.rang == 0


def test_an_inner_block_that_rolls_back_takes_its_bell_with_it_and_no_other(kit: Kit) -> None:
    bell = Bell()
    with transaction.atomic():
        with pytest.raises(KeyError), transaction.atomic():
            foreign(connection).after_commit(bell)
            raise KeyError
        assert waiting() == 0
        with transaction.atomic():
            foreign(connection).after_commit(bell)
        with transaction.atomic():
            foreign(connection).after_commit(bell)
        assert waiting() == 2  # either may be gone while the other stays
    assert bell.rang == 2


def test_a_bell_that_fails_does_not_fail_the_request(kit: Kit, caplog: pytest.LogCaptureFixture) -> None:
    def broken() -> None:
        raise OSError("no such socket")

    with transaction.atomic():
        foreign(connection).after_commit(broken)
    assert "Error calling Ring in on_commit() during transaction (no such socket)" in caplog.text


def test_an_enqueue_asks_to_be_told_of_the_commit(kit: Kit) -> None:
    with transaction.atomic(), TestCase.captureOnCommitCallbacks() as callbacks:
        pay.using(tx=connection).sync.enqueue(1)
    assert [str(callback.__qualname__) for callback in callbacks] == ["Ring"]


def test_a_transaction_by_hand_has_no_hook(kit: Kit) -> None:
    bell = Bell()
    transaction.set_autocommit(False)
    foreign(connection).after_commit(bell)
    transaction.commit()
    transaction.set_autocommit(True)
    assert (waiting(), bell.rang) == (0, 0)
