"""Short files, short functions, few parameters; files are nouns."""

import ast
from pathlib import Path

from tests.architecture.walls.exemptions import MANY_PARAMETERS, SRC, is_exempt
from tests.architecture.walls.source import Function, Source, sources

FILE_LINES = 350
FUNCTION_LINES = 40
PARAMETERS = 7
SAYS_NOTHING = {"utils", "util", "common", "helpers", "helper", "base", "manager", "managers", "misc"}


def long_files(root: Path) -> list[str]:
    paths = sorted(path for kind in ("*.py", "*.sql") for path in (root / SRC).rglob(kind))
    lengths = {path.relative_to(root).as_posix(): len(path.read_text(encoding="utf-8").splitlines()) for path in paths}
    return [f"{path}: {lines} lines (wall: {FILE_LINES})" for path, lines in lengths.items() if lines > FILE_LINES]


def long_functions(root: Path) -> list[str]:
    return [
        f"{source.at(function)}: {function.name} has {length(function)} lines (wall: {FUNCTION_LINES})"
        for source in sources(root, SRC)
        for function in source.functions()
        if length(function) > FUNCTION_LINES
    ]


def length(function: Function) -> int:
    return (function.end_lineno or function.lineno) - function.lineno + 1


def wide_signatures(root: Path) -> list[str]:
    return [
        f"{source.at(function)}: {function.name} takes {parameters(function)} parameters (wall: {PARAMETERS})"
        for source in sources(root, SRC)
        for function in source.functions()
        if parameters(function) > PARAMETERS and not may_be_wide(source, function)
    ]


def parameters(function: Function) -> int:
    given = function.args
    names = [argument.arg for argument in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
    bound = bool(names) and names[0] in {"self", "cls"}
    return len(names) - bound + (given.vararg is not None) + (given.kwarg is not None)


def may_be_wide(source: Source, function: Function) -> bool:
    value_constructor = function.name in {"__init__", "__new__"} and source.module.startswith("penstock.model")
    return value_constructor or is_exempt(source.path, MANY_PARAMETERS) or is_overload(source, function)


def is_overload(source: Source, function: Function) -> bool:
    return any(
        source.full_name(mark) == "typing.overload" for mark in function.decorator_list if isinstance(mark, ast.Name | ast.Attribute)
    )


def empty_names(root: Path) -> list[str]:
    paths = sorted((root / SRC).rglob("*"))
    return [f"{path.relative_to(root).as_posix()}: the name says nothing" for path in paths if path.stem in SAYS_NOTHING]
