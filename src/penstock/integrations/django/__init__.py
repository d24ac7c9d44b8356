"""Django: enqueue inside `transaction.atomic()`, a worker as a management command, a backend of `django.tasks`.

    INSTALLED_APPS = [..., "penstock.integrations.django"]
    PENSTOCK_APP = "shop.tasks:app"

    with transaction.atomic():
        order = Order.objects.create(sku="mug")
        send_receipt.using(tx=connection).sync.enqueue(order.id)      # commits or rolls back with the order

Needs `pip install "penstock[django]"`, Django 5.2 or later.
"""

from penstock.integrations.django.databases import sqlite_options, store_url
from penstock.integrations.django.joining import foreign

__all__ = ["foreign", "sqlite_options", "store_url"]
