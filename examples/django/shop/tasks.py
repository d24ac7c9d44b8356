import django

from penstock import App
from penstock.integrations.django import store_url

from .models import Order

app = App(store_url(), name="shop")  # jobs are kept where the models are


@app.task()
def send_receipt(order_id: int) -> str:
    order = Order.objects.get(pk=order_id)
    order.receipt = f"receipt for order {order.pk}"  # your mail server here; at least once
    order.save()
    return order.receipt


if django.VERSION >= (6, 0):
    from . import reports as reports  # workers import the `tasks` modules of all apps, and know what those import
