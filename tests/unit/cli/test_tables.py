"""Tables that fit."""

import click

from penstock.cli.tables import Column, lines


def plain(columns: list[Column], terminal: int | None) -> list[str]:
    return [click.unstyle(line) for line in lines(columns, terminal)]


ID = Column("ID", ["0190c0de-0000-7000-8000-000000000001"])
TASK = Column("TASK", ["shop.mail.send_a_rather_long_welcome_message"], shrinks=True)
AGE = Column("WHEN", ["3m ago"], right=True)
QUEUE = Column("QUEUE", ["mail"], drop=1)
UTC = Column("UTC", ["2023-11-14 22:13:20Z"], drop=2)


def test_aligns() -> None:
    table = plain([Column("A", ["x", "long"]), Column("N", ["1", "100"], right=True)], None)
    assert table == ["A       N", "x       1", "long  100"]


def test_a_narrow_terminal_drops_and_then_cuts() -> None:
    table = plain([ID, TASK, QUEUE, AGE, UTC], 80)
    assert table[0].split() == ["ID", "TASK", "WHEN"]
    assert all(len(line) <= 80 for line in table)
    assert "…" in table[1]
    assert table[1].rstrip().endswith("message  3m ago")


def test_a_wide_one_and_a_pipe_show_all() -> None:
    for terminal in (200, None):
        assert plain([ID, TASK, QUEUE, AGE, UTC], terminal)[0].split() == ["ID", "TASK", "QUEUE", "WHEN", "UTC"]


def test_the_last_drop_is_kept_if_it_fits() -> None:
    assert plain([AGE, QUEUE, UTC], 14)[0].split() == ["WHEN", "QUEUE"]
