"""What options are read as."""

import click
import pytest

from penstock.cli.filters import parse_where
from penstock.cli.worker import weights, worker
from penstock.model.job import JobFilter

CONTEXT = click.Context(worker)
QUEUES = worker.params[0]


def test_where() -> None:
    assert parse_where(["task=shop.mail.send", "contains=a=b"]) == JobFilter(task="shop.mail.send", contains="a=b")
    assert parse_where([]) == JobFilter()


@pytest.mark.parametrize("pairs", [["task"], ["task="], ["=x"], ["status=dead"], ["task=a", "task=b"]])
def test_refuses_other_conditions(pairs: list[str]) -> None:
    with pytest.raises(click.UsageError):
        parse_where(pairs)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (None, ()),
        ("mail", (("mail", 1),)),
        ("mail:5, reports", (("mail", 5), ("reports", 1))),
        ("eu:mail", (("eu:mail", 1),)),
        ("eu:mail:3", (("eu:mail", 3),)),
    ],
)
def test_weights(text: str | None, found: tuple[tuple[str, int], ...]) -> None:
    assert weights(CONTEXT, QUEUES, text) == found


@pytest.mark.parametrize("text", ["", "mail,", "mail:0", "mail,mail:2"])
def test_refuses_other_weights(text: str) -> None:
    with pytest.raises(click.BadParameter):
        weights(CONTEXT, QUEUES, text)
