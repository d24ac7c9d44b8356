"""What a worker's options refuse, and how they say so."""

from __future__ import annotations

from typing import Any

import pytest

from penstock.engine.program import WorkerOptions
from penstock.errors import ConfigurationError


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"concurrency": 0}, r"WorkerOptions\(concurrency=0\): must be more than 0"),
        ({"lease": -1.0}, r"WorkerOptions\(lease=-1.0\): must be more than 0"),
        ({"shutdown_timeout": -1.0}, r"WorkerOptions\(shutdown_timeout=-1.0\): must be at least 0"),
        ({"threads": 0}, r"WorkerOptions\(threads=0\): must be at least 1, or None for as many as concurrency"),
        ({"children": 0}, r"WorkerOptions\(children=0\): must be at least 1, or None"),
        ({"queues": (("mail", 0),)}, r"WorkerOptions\(queues=…\): the weight of 'mail' is 0, must be at least 1"),
        (
            {"queues": (("mail", 5), ("web", 1), ("mail", 1))},
            r"WorkerOptions\(queues=…\): 'mail' is there twice; say it once, with one weight",
        ),
    ],
)
def test_bad_options_are_named(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        WorkerOptions(**options)
