from __future__ import annotations

from django.db import models


class Product(models.Model):
    objects = models.Manager["Product"]()

    sku = models.CharField(max_length=20, unique=True)
    left = models.IntegerField()


class Order(models.Model):
    objects = models.Manager["Order"]()

    sku = models.CharField(max_length=20)
    receipt = models.CharField(max_length=100, default="")
