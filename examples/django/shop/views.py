import json

from django.db import connection, transaction
from django.db.models import F
from django.http import HttpRequest, JsonResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

from .models import Order, Product
from .tasks import app, send_receipt


class SoldOut(Exception):
    pass


def place_order(sku: str) -> dict[str, object]:
    """The order, the stock and the job: all or nothing."""
    with transaction.atomic():
        order = Order.objects.create(sku=sku)
        job = send_receipt.using(tx=connection).sync.enqueue(order.pk)
        if not Product.objects.filter(sku=sku, left__gt=0).update(left=F("left") - 1):
            raise SoldOut(sku)
    return {"order": order.pk, "job": job.id}


@csrf_exempt
def orders(request: HttpRequest) -> JsonResponse:
    try:
        return JsonResponse(place_order(json.loads(request.body)["sku"]), status=202)
    except SoldOut as error:
        return JsonResponse({"sold out": str(error)}, status=409)


def result(request: HttpRequest, job: str) -> JsonResponse:
    return JsonResponse({"result": app.job(job).sync.result(timeout=20)})


urlpatterns = [path("orders", orders), path("jobs/<job>", result)]
