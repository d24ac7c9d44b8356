"""Who imports whom: no cycle, few edges a module, nothing inside functions, and nobody imports the package's root."""

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.architecture.walls.exemptions import LATE_IMPORTS, MANY_IMPORTS, PACKAGE_ROOT, SRC, is_exempt
from tests.architecture.walls.source import Source, sources

IMPORTS = 8
ROOT = "penstock"
Graph = dict[str, set[str]]


def late_imports(root: Path) -> list[str]:
    return [
        f"{source.at(node)}: imports inside {function.name}"
        for source in sources(root, SRC)
        if not is_exempt(source.path, LATE_IMPORTS)
        for function in source.functions()
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]


VOCABULARY = ("penstock.model", "penstock.ports", "penstock.errors")


def many_imports(root: Path) -> list[str]:
    """Values, errors and ports are the vocabulary that everybody speaks: what counts is whose work a module leans on."""
    found = sources(root, SRC)
    known = {source.module for source in found}
    counts = {
        source.path: len([name for name in imports(source, known, ast.walk(source.tree)) if not name.startswith(VOCABULARY)])
        for source in found
        if source.path.name != "__init__.py" and not is_exempt(source.path, MANY_IMPORTS)
    }
    return [f"{path.as_posix()}: imports {count} of our modules (wall: {IMPORTS})" for path, count in counts.items() if count > IMPORTS]


def root_imports(root: Path) -> list[str]:
    found = sources(root, SRC)
    known = {source.module for source in found}
    return [
        f"{source.path.as_posix()}: imports the package's root, which knows everyone"
        for source in found
        if source.module != ROOT and not is_exempt(source.path, PACKAGE_ROOT) and ROOT in imports(source, known, ast.walk(source.tree))
    ]


def cycles(root: Path) -> list[str]:
    """At run time: what stands under `if TYPE_CHECKING` is not counted."""
    found = sources(root, SRC)
    known = {source.module for source in found}
    graph = {source.module: imports(source, known, run_time_nodes(source.tree)) for source in found}
    together = {frozenset(component(graph, module)) for module in graph}
    return sorted(f"an import cycle: {', '.join(sorted(names))}" for names in together if len(names) > 1)


def run_time_nodes(node: ast.AST) -> Iterator[ast.AST]:
    yield node
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test) in {"TYPE_CHECKING", "typing.TYPE_CHECKING"}:
            for other in child.orelse:
                yield from run_time_nodes(other)
        else:
            yield from run_time_nodes(child)


def imports(source: Source, known: set[str], nodes: Iterator[ast.AST]) -> set[str]:
    """Our modules that it names; `from penstock.model import job` is the module `job` if there is one, else `model`."""
    named: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            named |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            origin = absolute(source, node)
            named |= {deeper if (deeper := f"{origin}.{alias.name}") in known else origin for alias in node.names}
    return (named & known) - {source.module}


def absolute(source: Source, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    above = source.package.split(".")[: len(source.package.split(".")) - node.level + 1]
    return ".".join([*above, *([node.module] if node.module else [])])


def component(graph: Graph, module: str) -> set[str]:
    """The modules that it reaches and that reach it."""
    return {other for other in reach(graph, module) if module in reach(graph, other)} | {module}


def reach(graph: Graph, module: str) -> set[str]:
    seen: set[str] = set()
    waiting = [module]
    while waiting:
        fresh = graph[waiting.pop()] - seen
        seen |= fresh
        waiting.extend(fresh)
    return seen
