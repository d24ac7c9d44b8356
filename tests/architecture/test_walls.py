"""The walls stand around this checkout, and each is shown to be able to fall."""

import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.architecture.walls import dangers, edges, exemptions, habits, patience, size, sql, texts

ROOT = Path(__file__).resolve().parents[2]
SQLITE = "src/penstock/stores/sqlite/sql/queue.sql"
POSTGRES = "src/penstock/stores/postgres/sql/queue.sql"


@dataclass(frozen=True)
class Wall:
    rule: Callable[[Path], list[str]]
    broken_by: dict[str, str]
    """A small checkout (path: text) that the rule must report."""


def python(text: str) -> dict[str, str]:
    return {"src/penstock/sample.py": text}


def statement(text: str) -> dict[str, str]:
    return {SQLITE: f"-- name: put\n{text};\n"}


SHARED = {POSTGRES: "-- name: vacate\nselect 1;"}
MANY = {f"src/penstock/part{n}.py": "" for n in range(9)}

WALLS = [
    Wall(size.long_files, python("x = 1\n" * 351)),
    Wall(size.long_files, statement("select 1\n" * 351)),
    Wall(size.long_functions, python("def f():\n" + "    pass\n" * 40)),
    Wall(size.wide_signatures, python("def f(a, b, c, d, e, f, g, h): ...")),
    Wall(size.wide_signatures, python("class C:\n    def f(self, a, b, c, d, *e, f, g, **h): ...")),
    Wall(size.wide_signatures, {"src/penstock/model/job.py": "def f(a, b, c, d, e, f, g, h): ..."}),
    Wall(size.empty_names, {"src/penstock/engine/utils.py": ""}),
    Wall(size.empty_names, {"src/penstock/helpers/queue.py": ""}),
    Wall(edges.late_imports, python("async def f():\n    from pathlib import Path")),
    Wall(edges.many_imports, MANY | python("\n".join(f"import penstock.part{n}" for n in range(9)))),
    Wall(edges.many_imports, MANY | python("from . import " + ", ".join(f"part{n}" for n in range(9))) | {"src/penstock/__init__.py": ""}),
    Wall(edges.root_imports, {"src/penstock/__init__.py": "", "src/penstock/engine/runner.py": "from penstock import App"}),
    Wall(edges.cycles, {"src/penstock/a.py": "from penstock.b import f", "src/penstock/b.py": "from .a import g"}),
    Wall(edges.cycles, {f"src/penstock/{a}.py": f"import penstock.{b}" for a, b in ("ab", "bc", "ca")}),
    Wall(habits.wall_clocks, python("import time\nnow = time.time()")),
    Wall(habits.wall_clocks, python("from datetime import UTC, datetime as d\nnow = d.now(UTC)")),
    Wall(habits.wall_clocks, python("import datetime\nnow = datetime.datetime.utcnow()")),
    Wall(habits.dynamic_names, python("f = getattr(object, 'f')")),
    Wall(habits.dynamic_names, python("from importlib import import_module\nimport_module('x')")),
    Wall(habits.hidden_state, python("seen = {}")),
    Wall(habits.hidden_state, python("seen: list[int] = []")),
    Wall(habits.hidden_state, python("SEEN = {1, 2}")),
    Wall(habits.hidden_state, python("from collections import deque\nwaiting = deque()")),
    Wall(habits.hidden_state, python("app = None\ndef f():\n    global app\n    app = 1")),
    Wall(habits.swallowed_errors, python("try:\n    f()\nexcept Exception:\n    pass")),
    Wall(habits.swallowed_errors, python("try:\n    f()\nexcept (ValueError, BaseException):\n    ...")),
    Wall(habits.swallowed_errors, python("try:\n    f()\nexcept:\n    raise")),
    Wall(habits.swallowed_errors, python("from contextlib import suppress\nwith suppress(Exception):\n    f()")),
    Wall(dangers.unsafe_imports, python("import pickle")),
    Wall(dangers.unsafe_imports, python("from marshal import loads")),
    Wall(dangers.unsafe_imports, python("def f():\n    import yaml.loader as x")),
    Wall(dangers.unsafe_imports, python("from zlib import crc32, decompress")),
    Wall(dangers.unsafe_imports, python("import zlib")),
    Wall(dangers.unsafe_calls, python("eval('1')")),
    Wall(dangers.unsafe_calls, python("import builtins as b\nb.exec('1')")),
    Wall(dangers.unsafe_calls, python("__import__('os')")),
    Wall(dangers.unsafe_calls, python("from os import system\nsystem('ls')")),
    Wall(dangers.unsafe_calls, python("import subprocess\nsubprocess.run('ls', shell=True)")),
    Wall(dangers.composed_sql, python("connection.execute(f'select {name}')")),
    Wall(dangers.composed_sql, python("connection.execute('select %s' % name)")),
    Wall(dangers.composed_sql, python("connection.fetch('select ' + name)")),
    Wall(dangers.composed_sql, python("connection.cursor('select {}'.format(name))")),
    Wall(dangers.composed_sql, python("text = f'insert into {table} values (1)'")),
    Wall(dangers.composed_sql, python("text = f'  DELETE FROM users where name = {name!r}'")),
    Wall(dangers.composed_sql, python("text = f'set {name}'")),
    Wall(sql.ill_named_sql, {SQLITE: "select 1;"}),
    Wall(sql.ill_named_sql, {SQLITE: "-- name: putJob\nselect 1;"}),
    Wall(sql.ill_named_sql, {SQLITE: "-- name: put\n-- nothing\n"}),
    Wall(sql.ill_named_sql, {SQLITE: "-- name: put\nselect 1;\nselect 2;"}),
    Wall(sql.ill_named_sql, {SQLITE: "-- name: put\nselect 1;", SQLITE.replace("queue", "dead"): "-- name: put\nselect 1;"}),
    Wall(sql.upper_case_sql, statement("SELECT 1")),
    Wall(sql.sql_clocks, statement("select now()")),
    Wall(sql.sql_clocks, statement("select Current_Timestamp")),
    Wall(sql.sql_clocks, statement("select datetime('now')")),
    Wall(sql.foreign_parameters, statement("select ?")),
    Wall(sql.foreign_parameters, statement("select $1")),
    Wall(sql.foreign_parameters, statement("select %(id)s")),
    Wall(sql.dialects_apart, {SQLITE: "-- name: put\nselect 1;", POSTGRES: "-- name: put_job\nselect 1;"}),
    Wall(sql.dialects_apart, {SQLITE: "-- name: put\nselect :a;", POSTGRES: "-- name: put\nselect :b::text;"}),
    Wall(sql.dialects_apart, {SQLITE: "-- name: put\nselect 1;", POSTGRES.replace("queue", "own"): "-- name: put\nselect 1;"} | SHARED),
    Wall(patience.sleeping_tests, {"tests/test_sample.py": "import asyncio\nasync def f():\n    await asyncio.sleep(0.1)"}),
    Wall(patience.sleeping_tests, {"tests/test_sample.py": "from time import sleep\nsleep(1)"}),
    Wall(patience.skipped_tests, {"tests/test_sample.py": "import pytest\n@pytest.mark.xfail\ndef test(): ..."}),
    Wall(patience.skipped_tests, {"tests/test_sample.py": "import pytest\npytest.skip('later')"}),
    Wall(texts.own_paths, {"docs/sample.md": "see {root}/docs"}),
    Wall(texts.unfinished, python("# TO" + "DO: later")),
    Wall(texts.addresses_in_locks, {"requirements/dev.txt": "--index-url https://example.org/simple\n"}),
    Wall(texts.addresses_in_locks, {"requirements/dev.txt": "x @ file:///x.whl\n"}),
]
RULES = list(dict.fromkeys(wall.rule for wall in WALLS))


def name_of(rule: Callable[[Path], list[str]]) -> str:
    return rule.__name__


@pytest.mark.parametrize("rule", RULES, ids=name_of)
def test_stands(rule: Callable[[Path], list[str]]) -> None:
    assert not (broken := rule(ROOT)), "\n" + "\n".join(broken)


@pytest.mark.parametrize("wall", WALLS, ids=lambda wall: wall.rule.__name__)
def test_can_fall(wall: Wall, tmp_path: Path) -> None:
    build(tmp_path, wall.broken_by)
    assert wall.rule(tmp_path)


@pytest.mark.parametrize("rule", RULES, ids=name_of)
def test_lets_good_code_pass(rule: Callable[[Path], list[str]], tmp_path: Path) -> None:
    build(tmp_path, GOOD)
    assert rule(tmp_path) == []


def test_git_decides_which_files_are_read(tmp_path: Path) -> None:
    build(tmp_path, {".gitignore": "/left\n", "left": "{root}", "kept": "{root}"})
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)
    assert texts.own_paths(tmp_path) == ["kept: names the folder of a checkout"]


def test_every_exemption_gives_its_reason() -> None:
    lists = [value for name, value in vars(exemptions).items() if name.isupper() and isinstance(value, dict)]
    assert lists
    assert all(reason for known in lists for reason in known.values())


def build(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text.replace("{root}", str(root)))


GOOD = {
    "src/penstock/__init__.py": "from penstock.app import App\n\n__all__ = ['App']",
    "src/penstock/app.py": "from penstock.model import job\n\nclass App:\n    def task(self, a, b, c, d, e, f, g, h): ...",
    "src/penstock/connect.py": (
        "from importlib import import_module\ndef connect():\n    import penstock.app\n    return getattr(import_module('x'), 'y')"
    ),
    "src/penstock/model/job.py": (
        "from __future__ import annotations\nfrom collections.abc import Mapping\nfrom typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    from penstock.app import App\n"
        "KINDS: Mapping[str, int] = {'a': 1}\nNAMES = ('a', 'b')\n"
        "class Job:\n    def __init__(self, a, b, c, d, e, f, g, h): ...\n"
        "try:\n    f()\nexcept ValueError:\n    pass\nexcept Exception as error:\n    raise RuntimeError from error"
    ),
    "src/penstock/model/clock.py": "import time\n\ndef now():\n    return time.time_ns()",
    "src/penstock/stores/sqlite/reader.py": (
        "import re\nfrom zlib import crc32\nimport subprocess\nsubprocess.run(['ls'], shell=False)\nTEXT = re.compile('a')\n"
        "def f(connection, name):\n    connection.execute('select :name', name)\n    raise OSError(f'set {name} of {connection}')"
    ),
    SQLITE.replace("queue", "own"): "-- name: last_seq\nselect 1;",
    SQLITE: "-- the queue\n-- name: put\n-- ANY case here; ? too\ninsert into jobs(body, at) values (:body, :now) returning 'X; ? $1';\n",
    POSTGRES: "-- name: put\ninsert into jobs(body, at) values (:body::bytea, :now);\n",
    "tests/test_sample.py": "import asyncio\n\nasync def test():\n    await asyncio.sleep(0)",
    "requirements/dev.txt": "httpx==1.0 \\\n    --hash=sha256:00\n",
}
