"""The docs do what they say: Python blocks run; commands, options, states, exit codes and tables are those of the code."""

import ast
import re
import shlex
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import CodeType
from typing import Any, get_args

import click
import pytest

from penstock import stores
from penstock.cli import exits
from penstock.cli.root import root
from penstock.model.job import Status
from penstock.ports.capabilities import Capabilities
from penstock.ports.signals import POINTS
from penstock.stores.sqlite import migrate
from tests.integration.cli.console import Console

ROOT = Path(__file__).parents[3]
PAGES = (
    "README.md",
    "docs/guide.md",
    "docs/frameworks.md",
    "docs/testing.md",
    "docs/operating.md",
    "docs/reliability.md",
    "docs/design/README.md",
    "docs/design/store.md",
)
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def text_of(page: str) -> str:
    return (ROOT / page).read_text()


def blocks(page: str, *languages: str) -> Iterator[str]:
    """With as many empty lines before it as the page has, so that tracebacks name its lines."""
    text = text_of(page)
    for found in _BLOCK.finditer(text):
        if found[1] in languages:
            yield "\n" * text.count("\n", 0, found.start(2)) + found[2]


# -- Python


def compiled(text: str, page: str) -> CodeType:
    return compile(text, page, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


async def run_blocks(page: str) -> dict[str, Any]:
    """One after the other, as one program in this folder, beside the page's files. What it defined."""
    for name, content in re.findall(r"^```toml\n# (\w+\.toml)\n(.*?)^```", text_of(page), re.MULTILINE | re.DOTALL):
        Path(name).write_text(content)
    namespace: dict[str, Any] = {"__name__": "guide", "__file__": "guide.py"}
    for block in blocks(page, "python"):
        answer = eval(compiled(block, page), namespace)
        if answer is not None:
            await answer
    return namespace


async def test_the_guide_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    namespace = await run_blocks("docs/guide.md")
    await namespace["app"].close()
    assert (tmp_path / "shop.db").exists()


async def test_the_page_on_testing_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And its example lives through a week in less than a second, on no store of the app's own."""
    monkeypatch.chdir(tmp_path)
    namespace = await run_blocks("docs/testing.md")
    namespace["outbox"].clear()
    namespace["down"].clear()
    began = time.process_time()
    await namespace["test_a_trial"]()
    assert time.process_time() - began < 1
    assert [file.name for file in tmp_path.iterdir()] == ["my_store.toml"]


def test_the_page_on_frameworks_shows_what_the_tests_run() -> None:
    """Its blocks are pieces of programs that tests start; each says of which."""
    shown = [block.lstrip("\n").split("\n", 1) for block in blocks("docs/frameworks.md", "python")]
    files = {head.removeprefix("# ") for head, _ in shown}
    assert {file.split("/")[1] for file in files if file.startswith("examples/")} == {"sqlalchemy", "fastapi", "flask", "django"}
    for head, piece in shown:
        assert piece in text_of(head.removeprefix("# ")), (head, piece)


def test_the_readmes_example_runs_as_it_stands(tmp_path: Path) -> None:
    (block,) = blocks("README.md", "python")
    (tmp_path / "shop.py").write_text(block)
    console = Console(tmp_path)
    signed_up = subprocess.run(
        [sys.executable, "shop.py"], cwd=tmp_path, env=console.environment, capture_output=True, text=True, check=True
    )
    with console.worker() as worker:
        worker.until("To sam@example.com: welcome!")
        assert worker.stop() == 0
    (job,) = Console(tmp_path, "sqlite:///shop.db").json("jobs", "ls")["jobs"]
    assert (job["id"], job["status"]) == (signed_up.stdout.strip(), "done")
    store = sqlite3.connect(tmp_path / "shop.db")
    assert store.execute("select w.user_id, u.name from welcomed w join users u on u.id = w.user_id").fetchall() == [(1, "Sam")]
    store.close()


# -- commands


def leaves(command: click.Command, words: tuple[str, ...] = ()) -> Iterator[tuple[str, click.Command]]:
    if not isinstance(command, click.Group):
        yield " ".join(words), command
        return
    context = click.Context(command)
    for name in command.list_commands(context):
        found = command.get_command(context, name)
        assert found is not None
        yield from leaves(found, (*words, name))


COMMANDS: Mapping[str, click.Command] = dict(leaves(root))


def options_of(command: str) -> frozenset[str]:
    """Those of `health` are not click's."""
    if command == "health":
        shown = subprocess.run([sys.executable, "-m", "penstock", "health", "--help"], capture_output=True, text=True, check=True)
        return frozenset(re.findall(r"--[a-z-]+", shown.stdout)) - {"--help"}
    options = [param for param in COMMANDS[command].params if isinstance(param, click.Option) and not param.hidden]
    return frozenset(name for option in options for name in option.opts if name.startswith("--"))


OPTIONS: Mapping[str, frozenset[str]] = {command: options_of(command) for command in COMMANDS}
EVERYWHERE = frozenset({"--store", "--app", "--json"})
OF_THEIR_OWN = ("worker", "enqueue", "demo", "bench", "health", "store copy")
"""Commands that do not look into a store as all others do."""


def named(page: str) -> Iterator[str]:
    """Whatever begins with `penstock` and stands in a block or between backticks."""
    text = text_of(page)
    for block in blocks(page, ""):
        yield from (line.split("#")[0].strip() for line in block.splitlines() if line.startswith("penstock "))
    for code in re.findall(r"`(penstock [^`]+)`", _BLOCK.sub("", text)):
        yield code.replace("\\|", "|")


def command_of(line: str) -> str:
    """The longest command that a line begins with."""
    words = [word for word in shlex.split(line)[1:] if not word.startswith("-")]
    for length in (2, 1):
        if (command := " ".join(words[:length])) in COMMANDS:
            return command
    raise AssertionError(f"there is no command as in {line!r}")


@pytest.mark.parametrize("page", PAGES)
def test_commands_and_their_options_exist(page: str) -> None:
    for line in named(page):
        command = command_of(line)
        assert set(re.findall(r"--[a-z-]+", line)) <= OPTIONS[command], line
        if command == "health":
            assert shlex.split(line)[2] in ("live", "ready")


@pytest.mark.parametrize("page", PAGES)
def test_every_option_that_is_named_exists(page: str) -> None:
    known = frozenset[str]().union(*OPTIONS.values()) | {
        "--seed",
        "--minutes",
        "--schedules",
        "--seconds",
        "--keys",
        "--crowd",
        "--cuts",
        "--durability",
        "--writers",
        "--events",
        "--server",
        "--strict",
        "--retry",
        "--survivors",
        "--each",
        "--good",
        "--set",
        "--preload",
        "--parallel",
    }  # of the fault tests; of gunicorn; of Django
    prose = _BLOCK.sub("", text_of(page))
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", prose)) <= known


def rows(page: str, heading: str) -> list[list[str]]:
    """The first table under a heading, without its head."""
    section = text_of(page).split(f"\n{heading}\n", 1)[1]
    found = re.search(r"(?:^\|.*\n)+", section, re.MULTILINE)
    assert found is not None
    lines = found[0].splitlines()[2:]
    return [[cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def test_the_table_of_commands_is_complete() -> None:
    shown = {" ".join(cell.strip("`").split()[1:]): text for cell, text in rows("docs/operating.md", "## Commands")}
    described = {command: text for words, text in shown.items() for command in COMMANDS if f"{words} ".startswith(f"{command} ")}
    assert set(described) == set(COMMANDS)
    for command in {*COMMANDS} - {"jobs show", "dead show", "dead discard", "health"}:
        own = OPTIONS[command] - (frozenset[str]() if command in OF_THEIR_OWN else EVERYWHERE)
        assert own <= set(re.findall(r"--[a-z-]+", described[command])), command
    assert OPTIONS["dead discard"] == OPTIONS["dead replay"]
    for command, options in OPTIONS.items():
        assert options >= EVERYWHERE or command in OF_THEIR_OWN, command


def runnable(page: str) -> Iterator[str]:
    """Lines of blocks that need no worker, no app, and no id."""
    for line in (line for line in named(page) if line in "\n".join(blocks(page, ""))):
        words = line.split()
        if words[1] not in OF_THEIR_OWN and not any(word.isupper() for word in words):
            yield line


@pytest.mark.parametrize("line", sorted({line for page in PAGES for line in runnable(page)}))
def test_a_command_of_a_block_runs(line: str, tmp_path: Path) -> None:
    console = Console(tmp_path, "sqlite:///shop.db")
    console.ok("store", "migrate")
    answer = console.run(*shlex.split(line)[1:])
    assert answer.code == 0, answer


def test_a_backup_is_made_and_sound(tmp_path: Path) -> None:
    Console(tmp_path, "sqlite:///shop.db").ok("store", "migrate")
    (line,) = [line for block in blocks("docs/operating.md", "") for line in block.splitlines() if "vacuum into" in line]
    subprocess.run([sys.executable, *shlex.split(line)[1:]], cwd=tmp_path, check=True)
    backup = sqlite3.connect(tmp_path / "backup.db")
    assert backup.execute("pragma integrity_check").fetchall() == [("ok",)]
    assert backup.execute("select value from penstock_meta where name = 'schema'").fetchall() == [(migrate.NEEDED,)]
    backup.close()


# -- tables


def test_every_state_is_explained() -> None:
    named = [name for state, *_ in rows("docs/operating.md", "## What a state means") for name in re.findall(r"`(\w+)`", state)]
    assert sorted(named) == sorted(get_args(Status))


def test_every_exit_code_is_explained() -> None:
    codes = {code for name, code in vars(exits).items() if name.isupper()}
    assert {int(code) for code, *_ in rows("docs/operating.md", "## Exit codes")} == codes


def test_every_table_is_explained() -> None:
    made = {name for _, script in migrate.scripts() for name in re.findall(r"create table (\w+)", script)}
    assert set(re.findall(r"^\| `(penstock_\w+)`", text_of("docs/design/store.md"), re.MULTILINE)) == made


def test_the_table_of_capabilities_is_that_of_the_files() -> None:
    """The golden copy of these files: what a store cannot do any more has to be taken out here, too."""
    files = ("sqlite/capabilities", "postgres/capabilities", "postgres/capabilities-pooled")
    found = [Capabilities.read(Path(stores.__file__).parent / f"{file}.toml") for file in files]
    shown = [[cell == "yes" for cell in cells] for _, *cells in rows("docs/testing.md", "## A store of your own")]
    assert shown == [[getattr(each, name) for name in Capabilities.__struct_fields__] for each in found]


def test_every_point_of_a_crash_is_explained() -> None:
    explained = [point for points, _ in rows("docs/testing.md", "## Crashes") for point in re.findall(r"`([\w.]+)`", points)]
    assert sorted(explained) == sorted(POINTS)


# -- links


@pytest.mark.parametrize("page", [*PAGES, "docs/design/engine.md", "docs/design/decisions.md", "CONTRIBUTING.md"])
def test_a_link_leads_somewhere(page: str) -> None:
    for target, anchor in re.findall(r"\]\(([^)#\s]*)(?:#([^)\s]+))?\)", text_of(page)):
        if "://" not in target:
            file = (ROOT / page).parent / target if target else ROOT / page
            assert file.exists(), target
            assert not anchor or anchor in anchors(file), anchor


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", _BLOCK.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
