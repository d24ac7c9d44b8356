"""Tests wait for signals, never for seconds, and none is left out."""

import ast
from pathlib import Path

from tests.architecture.walls.exemptions import SKIPS, SLEEPS, is_exempt
from tests.architecture.walls.source import sources

SLEEP = {"time.sleep", "asyncio.sleep"}
LEFT_OUT = {f"pytest.{how}" for how in ("mark.skip", "mark.skipif", "mark.xfail", "skip", "xfail", "importorskip")}


def sleeping_tests(root: Path) -> list[str]:
    return [
        f"{source.at(node)}: {name}: wait for a signal or move the clock"
        for source in sources(root, "tests")
        if not is_exempt(source.path, SLEEPS)
        for name, node in source.calls()
        if name in SLEEP and not is_zero(node)
    ]


def is_zero(call: ast.Call) -> bool:
    return bool(call.args) and isinstance(call.args[0], ast.Constant) and call.args[0].value == 0


def skipped_tests(root: Path) -> list[str]:
    return [
        f"{source.at(node)}: {name} leaves a test out"
        for source in sources(root, "tests")
        if not is_exempt(source.path, SKIPS)
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Attribute | ast.Name) and (name := source.full_name(node)) in LEFT_OUT
    ]
