"""S21: what we are built and run with: few packages, each pinned by its hashes, under licences that bind nobody who uses us.

What is published is compared with the checkout in `tests/integration/test_packaging.py`.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))
CORE = {
    "click": "commands",
    "cronsim": "when a cron expression fires",
    "msgspec": "JSON, checked against types",
}
"""What is installed with Penstock alone, and for what. It needs nothing else itself."""
PERMISSIVE = re.compile(r"\b(?:MIT|BSD|Apache|ISC|PSF)\b")
BESIDE_OURS = {
    "psycopg": "LGPL: imported as a library, from an extra, and not shipped by us",
    "psycopg-binary": "LGPL: imported as a library, from an extra, and not shipped by us",
}
PINNED = re.compile(r"[A-Za-z0-9._-]+(?:\[[a-z0-9,-]+\])?==[A-Za-z0-9.!+]+(?: ; [^\\#]+)?")
HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}")
SHA = "--hash=sha256:" + "0" * 64


def entries(lock: str) -> list[list[str]]:
    """Each requirement and its hashes."""
    joined = lock.replace("\\\n", " ")
    return [re.split(r"\s+(?=--)", line.strip()) for line in joined.splitlines() if line.strip()]


def faults(lock: str) -> Iterator[str]:
    for requirement, *hashes in entries(lock):
        if not PINNED.fullmatch(requirement.strip()):
            yield f"{requirement}: not one version"
        if not hashes or not all(HASH.fullmatch(each.strip()) for each in hashes):
            yield f"{requirement}: without SHA-256 hashes"


# -- locks


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_every_requirement_is_one_version_with_hashes(lock: Path) -> None:
    assert list(faults(lock.read_text())) == []
    assert len(entries(lock.read_text())) > 5


@pytest.mark.parametrize(
    "line",
    [
        "httpx",
        "httpx==1.0",
        f"httpx>=1.0 \\\n    {SHA}",
        f"httpx==1.* \\\n    {SHA}",
        f"httpx==1.0,<2 \\\n    {SHA}",
        f"httpx @ https://example.org/httpx.whl \\\n    {SHA}",
        f"-e . \\\n    {SHA}",
        "-r other.txt",
        "--index-url https://example.org/simple",
        "httpx==1.0 \\\n    --hash=md5:00",
        f"httpx==1.0 \\\n    {SHA} \\\n    --hash=sha256:00",
    ],
)
def test_a_lock_can_be_at_fault(line: str) -> None:
    assert list(faults(f"click==8.1 \\\n    {SHA}\nuvloop==1.0 ; sys_platform == 'linux' \\\n    {SHA} \\\n    {SHA}\n{line}\n"))
    assert list(faults(f"click==8.1 \\\n    {SHA}\nuvloop==1.0 ; sys_platform == 'linux' \\\n    {SHA} \\\n    {SHA}\n")) == []


def test_everything_that_is_asked_for_is_locked() -> None:
    locked = dict(versions(ROOT / "requirements" / "dev.txt"))
    wanted = [Requirement(each) for each in asked() if not each.startswith("penstock[")]
    missing = [str(each) for each in wanted if not each.specifier.contains(locked.get(canonicalize_name(each.name), "0"), prereleases=True)]
    assert wanted and missing == []


def test_what_is_installed_is_what_is_locked() -> None:
    """Here, where the tests run."""
    found = {name: (version, installed(name)) for name, version in versions(ROOT / "requirements" / "dev.txt")}
    there = {name: both for name, both in found.items() if both[1] is not None}
    assert {name: both for name, both in there.items() if both[0] != both[1]} == {}
    assert CORE.keys() <= there.keys()


def test_installing_asks_for_the_hashes() -> None:
    """And runs nobody's build script."""
    lines = [line for line in (ROOT / "scripts" / "environment").read_text().splitlines() if "--requirement" in line]
    assert lines
    assert [line for line in lines if "--require-hashes" not in line or "--only-binary=:all:" not in line] == []


# -- dependencies


def test_the_core_needs_few() -> None:
    assert {Requirement(each).name for each in project()["project"]["dependencies"]} == CORE.keys()
    assert {name: needs(name) for name in CORE} == {name: set() for name in CORE}


def test_licences_bind_nobody() -> None:
    """Of the core and all extras."""
    names = {canonicalize_name(Requirement(each).name) for each in runtime() if not each.startswith("penstock[")}
    found = {name: licence(name) for name in names if installed(name) is not None}
    assert {name: said for name, said in found.items() if not PERMISSIVE.search(said) and name not in BESIDE_OURS} == {}
    assert CORE.keys() <= found.keys()


def project() -> dict[str, Any]:
    found: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
    return found


def runtime() -> list[str]:
    ours = project()["project"]
    return [*ours["dependencies"], *(each for extra in ours["optional-dependencies"].values() for each in extra)]


def asked() -> list[str]:
    groups = project()["dependency-groups"]
    return [*runtime(), *(each for name in ("build", "dev") for each in groups[name] if isinstance(each, str))]


def versions(lock: Path) -> Iterator[tuple[str, str]]:
    """Of those that are for this Python and this machine."""
    for requirement, *_ in entries(lock.read_text()):
        found = Requirement(requirement)
        if found.marker is None or found.marker.evaluate():
            yield canonicalize_name(found.name), str(found.specifier).removeprefix("==")


def installed(name: str) -> str | None:
    try:
        return distribution(name).version
    except PackageNotFoundError:
        return None


def needs(name: str) -> set[str]:
    """On this machine, without its extras."""
    found = [Requirement(each) for each in distribution(name).requires or []]
    return {each.name for each in found if each.marker is None or each.marker.evaluate({"extra": ""})}


def licence(name: str) -> str:
    """In the words of its metadata."""
    metadata = distribution(name).metadata
    said = [each for field in ("License-Expression", "License") for each in metadata.get_all(field) or []]
    return "; ".join([*said, *(each for each in metadata.get_all("Classifier") or [] if each.startswith("License ::"))])
