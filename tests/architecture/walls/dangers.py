"""Nothing that runs, rebuilds or unpacks what others have sent; no SQL that is put together from texts."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.architecture.walls.exemptions import COMPOSED_SQL, SRC, is_exempt
from tests.architecture.walls.source import Source, sources

REBUILDING = {"pickle", "marshal", "shelve", "dill", "cloudpickle", "jsonpickle", "yaml", "ruamel", "code", "codeop", "runpy", "xmlrpc"}
UNPACKING = {"gzip", "bz2", "lzma", "zipfile", "tarfile", "zstandard", "lz4", "snappy", "brotli", "compression"}
DRIVERS = {"execute", "executemany", "executescript", "fetch", "fetchrow", "fetchval", "exec_driver_sql", "cursor", "copy"}
RUNNING = {"eval", "exec", "compile", "__import__", "breakpoint", "input", "os.system", "os.popen", "builtins.eval", "builtins.exec"} | {
    "asyncio.create_subprocess_shell"
}
CHECKSUM = "zlib.crc32"
SQL = re.compile(
    r"\s*(?:select\b|insert (?:into|or)\b|update \S+ set\b|delete from\b|create (?:table|index|schema|domain|database|type)\b"
    r"|drop (?:table|index|schema|domain|database)\b|alter table\b|set (?:local\b|\{\}$)|pragma\b|begin;|savepoint\b|release \{\}$"
    r"|rollback to\b|truncate\b|where\b)",
    re.IGNORECASE,
)


def unsafe_imports(root: Path) -> list[str]:
    banned = REBUILDING | UNPACKING | {"zlib"}
    return [
        f"{source.at(node)}: imports {name}"
        for source in sources(root, SRC)
        for name, node in imports(source)
        if name.partition(".")[0] in banned and name != CHECKSUM
    ]


def imports(source: Source) -> Iterator[tuple[str, ast.stmt]]:
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield from ((f"{node.module}.{alias.name}", node) for alias in node.names)


def unsafe_calls(root: Path) -> list[str]:
    return [
        f"{source.at(node)}: {name}() runs what a text says"
        for source in sources(root, SRC)
        for name, node in source.calls()
        if runs(name, node)
    ]


def runs(name: str, node: ast.Call) -> bool:
    shell = any(word.arg == "shell" and ast.unparse(word.value) != "False" for word in node.keywords)
    return name in RUNNING or (name.startswith("subprocess.") and shell)


def composed_sql(root: Path) -> list[str]:
    return [
        f"{source.at(node)}: SQL that is put together; bind it"
        for source in sources(root, SRC)
        if not is_exempt(source.path, COMPOSED_SQL)
        for node in ast.walk(source.tree)
        if (isinstance(node, ast.JoinedStr) and is_composed(node) and SQL.match(shape(node)))
        or (isinstance(node, ast.Call) and is_driver(node) and is_composed(node.args[0]))
    ]


def is_driver(node: ast.Call) -> bool:
    return isinstance(node.func, ast.Attribute) and node.func.attr in DRIVERS and bool(node.args)


def is_composed(node: ast.expr) -> bool:
    """From texts that are not all there to be read."""
    if isinstance(node, ast.JoinedStr):
        return any(isinstance(value, ast.FormattedValue) for value in node.values)
    if isinstance(node, ast.BinOp):
        return isinstance(node.op, ast.Mod | ast.Add)
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in ("format", "join", "replace", "format_map")
    )


def shape(node: ast.JoinedStr) -> str:
    return "".join(str(value.value) if isinstance(value, ast.Constant) else "{}" for value in node.values)
