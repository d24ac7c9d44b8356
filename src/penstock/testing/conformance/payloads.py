"""What travels with a message comes out as it went in."""

from __future__ import annotations

from penstock.testing.conformance.bodies import BodyConformance
from penstock.testing.conformance.headers import HeaderConformance


class PayloadConformance(HeaderConformance, BodyConformance):
    """Headers and bodies."""
