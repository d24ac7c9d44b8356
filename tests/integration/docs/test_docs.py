"""The README and the guide do what they say: their Python blocks run; the commands they name exist."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import CodeType
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(page: str, language: str) -> Iterator[str]:
    for found, text in _BLOCK.findall((ROOT / page).read_text()):
        if found == language:
            yield text


def compiled(text: str, page: str) -> CodeType:
    return compile(text, page, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


async def run(text: str, page: str, namespace: dict[str, Any]) -> None:
    answer = eval(compiled(text, page), namespace)
    if answer is not None:
        await answer


async def test_the_guide_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, Any] = {"__name__": "guide"}
    for block in blocks("docs/guide.md", "python"):
        await run(block, "docs/guide.md", namespace)
    await namespace["app"].close()
    assert (tmp_path / "shop.db").exists()


async def test_the_readmes_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (block,) = blocks("README.md", "python")
    sent: list[str] = []

    async def deliver(address: str, text: str) -> None:
        sent.append(address)

    namespace: dict[str, Any] = {"__name__": "shop", "deliver": deliver}
    await run(block, "README.md", namespace)
    app = namespace["app"]
    async with app.transaction() as tx:
        await tx.execute("create table users (id integer primary key, name text)")
        await tx.execute("create table welcomed (user_id integer)")
    job = app.job(await namespace["sign_up"]("Sam", "sam@example.com"))
    async with app.worker():
        await job.result(timeout=30)
    async with app.transaction() as tx:
        assert await tx.fetch("select user_id from welcomed") == [{"user_id": 1}]
    await app.close()
    assert sent == ["sam@example.com"]


_COMMAND = re.compile(r"penstock ((?:worker|enqueue|demo|bench|(?:jobs|dead|queues|store|health) [a-z]+))")


def commands() -> list[str]:
    found: set[str] = set()
    for page in ("README.md", "docs/operating.md", "docs/guide.md", "docs/reliability.md"):
        found.update(_COMMAND.findall((ROOT / page).read_text()))
    return sorted(found)


@pytest.mark.parametrize("command", commands())
def test_a_command_that_is_named_exists(command: str) -> None:
    words = command.split() if not command.startswith("health") else ["health"]
    answer = subprocess.run([sys.executable, "-m", "penstock", *words, "--help"], capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr


@pytest.mark.parametrize("page", ["README.md", "docs/guide.md", "docs/operating.md", "docs/reliability.md", "docs/design/README.md"])
def test_a_link_leads_somewhere(page: str) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", (ROOT / page).read_text()):
        if "://" not in target:
            assert ((ROOT / page).parent / target).exists(), target
