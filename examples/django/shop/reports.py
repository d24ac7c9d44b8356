"""A task of Django's own (6.0 and later), which Penstock keeps and runs."""

from django.tasks import task

from .models import Order


@task(queue_name="reports", priority=50)
def count_orders(sku: str) -> int:
    return Order.objects.filter(sku=sku).count()
