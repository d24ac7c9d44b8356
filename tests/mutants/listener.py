"""A pytest plugin: writes down what each test came to, as it comes. Loaded by `tests.mutants.mutant`, never by itself."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

import penstock
from tests.mutants.mutant import short

REPORT = Path(os.environ["PENSTOCK_MUTANT_REPORT"])


def pytest_configure() -> None:
    if REPORT.parent not in Path(penstock.__file__).parents:
        pytest.exit(f"this is not the copy: {penstock.__file__}", 3)


def pytest_runtest_logstart(nodeid: str) -> None:
    _write({"test": short(nodeid)})


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.failed or report.when == "teardown":
        _write({"test": short(report.nodeid), "passed": report.passed})


def _write(line: dict[str, object]) -> None:
    with REPORT.open("a") as file:
        file.write(json.dumps(line) + "\n")
