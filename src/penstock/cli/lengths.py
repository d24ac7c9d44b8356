"""Options that are lengths of time."""

from __future__ import annotations

import click

from penstock.cli.words import seconds_of


def as_seconds(ctx: click.Context, param: click.Parameter, value: str | None) -> float | None:
    """A callback: `90`, `10m`, `1h30m`."""
    if value is None:
        return None
    try:
        return seconds_of(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error
