"""Django's TestCase: everything in a transaction that is rolled back."""

from __future__ import annotations

import threading
from typing import ClassVar

from django.db import connection, transaction
from django.test import TestCase

from penstock import testing
from penstock.testing.kit import Kit
from tests.integration.django.conftest import fresh_database
from tests.integration.django.shop.models import Order
from tests.integration.django.shop.tasks import app, book, fail, pay, worked


class TestOrders(TestCase):
    kit: ClassVar[Kit]

    @classmethod
    def setUpClass(cls) -> None:
        cls.enterClassContext(fresh_database())
        cls.kit = cls.enterClassContext(testing.run(app, path=connection.settings_dict["NAME"]))
        cls.kit.sync.drain()
        super().setUpClass()  # begins the transaction

    def setUp(self) -> None:
        worked.clear()

    def test_a_job_runs_in_the_tests_transaction(self) -> None:
        self.assertEqual(Order.objects.count(), 0)
        with transaction.atomic():
            order = Order.objects.create(sku="mug")
            job = pay.using(tx=connection).sync.enqueue(order.pk)
        self.kit.sync.drain(tx=connection)
        order.refresh_from_db()
        self.assertTrue(order.paid)
        ((thread, wrapper),) = worked
        self.assertIs(thread, threading.current_thread())
        self.assertIs(wrapper.connection, connection.connection)
        self.assertIsNotNone(job.id)

    def test_the_next_test_sees_nothing_of_it(self) -> None:
        self.assertEqual(Order.objects.count(), 0)
        report = self.kit.sync.drain(tx=connection)
        self.assertEqual(report.runs, ())

    def test_a_block_that_rolls_back_takes_its_job_with_it(self) -> None:
        try:
            with transaction.atomic():
                pay.using(tx=connection).sync.enqueue(Order.objects.create(sku="mug").pk)
                raise KeyError
        except KeyError:
            self.assertEqual(Order.objects.count(), 0)
        self.assertEqual(self.kit.sync.drain(tx=connection).runs, ())

    def test_a_handler_that_fails_leaves_the_connection_as_it_is(self) -> None:
        fail.using(tx=connection).sync.enqueue(7)
        with self.assertRaisesRegex(testing.HandlerRaised, "ValueError: 7"):
            self.kit.sync.drain(tx=connection)
        self.assertIsNotNone(connection.connection)
        self.assertEqual(Order.objects.count(), 0)

    def test_a_handlers_own_transaction_is_the_tests(self) -> None:
        book.using(tx=connection).sync.enqueue("pot")
        report = self.kit.sync.drain(tx=connection)
        self.assertEqual([run.task for run in report.runs], ["shop.book", "shop.pay"])
        self.assertEqual(Order.objects.filter(sku="pot", paid=True).count(), 1)

    def test_its_hooks_can_be_called(self) -> None:
        with self.captureOnCommitCallbacks(execute=True) as callbacks:
            pay.using(tx=connection).sync.enqueue(1)
        self.assertEqual([callback.__qualname__ for callback in callbacks], ["Ring"])
