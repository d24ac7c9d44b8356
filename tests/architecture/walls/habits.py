"""No hidden clock, no hidden state, no names made of strings, no swallowed errors."""

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.architecture.walls.exemptions import DYNAMIC_NAMES, SRC, WALL_CLOCK, is_exempt
from tests.architecture.walls.source import Source, sources

CLOCKS = {"time.time", "time.time_ns", "datetime.date.today"} | {
    f"{prefix}{call}" for prefix in ("datetime.", "datetime.datetime.") for call in ("now", "utcnow", "today")
}
BY_STRING = {"getattr", "setattr", "delattr", "__import__", "importlib.import_module"}
MUTABLE_DISPLAYS = ast.Dict | ast.List | ast.Set | ast.DictComp | ast.ListComp | ast.SetComp
MUTABLE_KINDS = {"dict", "list", "set", "bytearray"} | {
    f"collections.{kind}" for kind in ("defaultdict", "deque", "OrderedDict", "Counter")
}
READ_ONLY = ("Final", "Mapping", "Sequence", "AbstractSet")
CATCH_ALL = {"Exception", "BaseException"}


def wall_clocks(root: Path) -> list[str]:
    return calls(root, CLOCKS, WALL_CLOCK, "reads the wall clock")


def dynamic_names(root: Path) -> list[str]:
    return calls(root, BY_STRING, DYNAMIC_NAMES, "goes by a string")


def calls(root: Path, banned: set[str], exemptions: dict[str, str], what: str) -> list[str]:
    return [
        f"{source.at(node)}: {name}() {what}"
        for source in sources(root, SRC)
        if not is_exempt(source.path, exemptions)
        for name, node in source.calls()
        if name in banned
    ]


def hidden_state(root: Path) -> list[str]:
    found = sources(root, SRC)
    mutable = [f"{source.at(node)}: {name} is mutable, at module level" for source in found for name, node in module_objects(source)]
    rebound = [
        f"{source.at(node)}: global {', '.join(node.names)}"
        for source in found
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Global)
    ]
    return mutable + rebound


def module_objects(source: Source) -> Iterator[tuple[str, ast.stmt]]:
    """A constant is upper case and typed as something that a type checker lets nobody change."""
    for node in source.tree.body:
        if isinstance(node, ast.Assign) and is_mutable(source, node.value):
            yield from ((ast.unparse(target), node) for target in node.targets if ast.unparse(target) != "__all__")
        elif isinstance(node, ast.AnnAssign) and node.value and is_mutable(source, node.value):
            name = ast.unparse(node.target)
            if not (name.lstrip("_").isupper() and any(kind in ast.unparse(node.annotation) for kind in READ_ONLY)):
                yield name, node


def is_mutable(source: Source, value: ast.expr) -> bool:
    return isinstance(value, MUTABLE_DISPLAYS) or (isinstance(value, ast.Call) and source.full_name(value.func) in MUTABLE_KINDS)


def swallowed_errors(root: Path) -> list[str]:
    found = [
        f"{source.at(node)}: {'a bare except' if node.type is None else 'catches everything and says nothing'}"
        for source in sources(root, SRC, "tests", "benchmarks", "examples")
        for node in ast.walk(source.tree)
        if isinstance(node, ast.ExceptHandler) and (node.type is None or (catches_all(node.type) and says_nothing(node)))
    ]
    return found + [
        f"{source.at(node)}: suppresses everything"
        for source in sources(root, SRC)
        for name, node in source.calls()
        if name == "contextlib.suppress" and any(catches_all(kind) for kind in node.args)
    ]


def catches_all(kind: ast.expr) -> bool:
    kinds = kind.elts if isinstance(kind, ast.Tuple) else [kind]
    return any(ast.unparse(one) in CATCH_ALL for one in kinds)


def says_nothing(handler: ast.ExceptHandler) -> bool:
    return all(
        isinstance(node, ast.Pass | ast.Continue) or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
        for node in handler.body
    )
