from django.db import models


class Order(models.Model):
    objects = models.Manager["Order"]()

    sku = models.CharField(max_length=20)
    paid = models.BooleanField(default=False)
