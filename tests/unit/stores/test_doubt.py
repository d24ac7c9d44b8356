"""What a worker may hold without knowing is looked for until the look succeeds."""

import pytest

from penstock.errors import StoreUnavailable
from penstock.ports.queue import Claim
from penstock.stores.postgres.doubt import Doubt
from penstock.stores.postgres.look import Bounds

ASK = Claim(1, [("mail", 10)], frozenset({"send"}), ())


def test_a_look_that_fails_is_made_again() -> None:
    doubt = Doubt(1, pooled=False)
    doubt.look()
    course = doubt.course(ASK, Bounds())
    looking = next(course).make
    with pytest.raises(StoreUnavailable):
        course.throw(StoreUnavailable("the server is starting up"))
    again = doubt.course(ASK, Bounds())
    assert next(again).make == looking
    assert again.send(None).make != looking  # it claims
    assert next(doubt.course(ASK, Bounds())).make != looking  # and that was that
