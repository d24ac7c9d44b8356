"""Rules on every file that git would take."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.architecture.walls.exemptions import SRC

UNFINISHED = re.compile(r"\b(?:TODO|FIXME|XXX)\b")
ADDRESS = re.compile(r"\S*(?:://|\bfile:)\S*|^--(?!hash)\S+", re.MULTILINE)


def own_paths(root: Path) -> list[str]:
    """Where this checkout stands is nobody's business. (A checkout just below / would match too much.)"""
    place = re.compile(re.escape(str(root)) + r"(?![\w-])")
    checked = texts(root) if len(root.parts) > 2 else []
    return [f"{name}: names the folder of a checkout" for name, text in checked if place.search(text)]


def unfinished(root: Path) -> list[str]:
    return [f"{name}: {mark[0]}" for name, text in texts(root) if name.startswith(SRC) and (mark := UNFINISHED.search(text))]


def addresses_in_locks(root: Path) -> list[str]:
    return [
        f"{name}: {found[0]}: a lock file holds names, versions and hashes"
        for name, text in texts(root)
        if name.startswith("requirements/") and (found := ADDRESS.search(text))
    ]


def texts(root: Path) -> Iterator[tuple[str, str]]:
    for path in files(root):
        content = path.read_bytes()
        if b"\0" not in content:
            yield path.relative_to(root).as_posix(), content.decode(errors="replace")


def files(root: Path) -> list[Path]:
    """What git tracks or would, else (an unpacked archive) everything but what is hidden."""
    command = ["git", "-C", str(root), "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    if (root / ".git").exists() and shutil.which("git"):
        listed = subprocess.run(command, capture_output=True, check=True, text=True).stdout
        found = [root / name for name in listed.split("\0") if name]
    else:
        found = [path for path in root.rglob("*") if not any(part.startswith(".") for part in path.relative_to(root).parts)]
    return sorted(path for path in found if path.is_file())
