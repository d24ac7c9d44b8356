from django.db import connection
from django.test import TestCase

from penstock import testing
from penstock.testing import Kit

from .models import Order, Product
from .tasks import app


class OrderTests(TestCase):
    kit: Kit

    @classmethod
    def setUpClass(cls) -> None:
        cls.kit = cls.enterClassContext(testing.run(app, path=connection.settings_dict["NAME"]))
        cls.kit.sync.drain()  # opens the store, which cannot be done once the tests' transaction has begun
        super().setUpClass()

    @classmethod
    def setUpTestData(cls) -> None:
        Product.objects.create(sku="mug", left=1)

    def test_an_order_gets_its_receipt(self) -> None:
        response = self.client.post("/orders", {"sku": "mug"}, content_type="application/json")
        self.assertEqual(response.status_code, 202)
        self.kit.sync.drain(tx=connection)  # runs the job in the test's transaction
        order = Order.objects.get()
        self.assertEqual(order.receipt, f"receipt for order {order.pk}")

    def test_what_is_sold_out_leaves_nothing(self) -> None:
        response = self.client.post("/orders", {"sku": "cup"}, content_type="application/json")
        self.assertEqual(response.status_code, 409)
        self.assertEqual(self.kit.sync.drain(tx=connection).runs, ())
        self.assertFalse(Order.objects.exists())
