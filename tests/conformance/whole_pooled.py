"""The whole suite behind PgBouncer in transaction mode, a minute and a half: `python -m pytest tests/conformance/whole_pooled.py`."""

from penstock.testing.conformance import StoreConformance
from tests.conformance.pooled_backend import OnPooled


class TestPooled(OnPooled, StoreConformance): ...
