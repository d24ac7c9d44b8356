"""Fixtures for every folder. Servers that a test needs are started once a session."""

import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

pytest.register_assert_rewrite("penstock.testing.conformance")  # before anybody imports it: its assertions explain themselves

ROOT = Path(__file__).resolve().parent.parent
SERVICES = ROOT / "scripts" / "services"
UNAVAILABLE = 69


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A fresh PostgreSQL server on loopback."""
    with server() as (_, url):
        yield url


@contextmanager
def server() -> Iterator[tuple[str, str]]:
    """Its folder and its URL. Not in pytest's own folder: a server started by root cannot enter it."""
    with tempfile.TemporaryDirectory(prefix="penstock-postgres-", ignore_cleanup_errors=True) as directory:
        started = services("start", directory)
        if started.returncode == UNAVAILABLE and os.environ.get("CI") != "true":
            pytest.skip(started.stderr.strip())
        if started.returncode:
            pytest.fail(f"PostgreSQL did not start: {started.stderr}")
        try:
            yield directory, started.stdout.strip()
        finally:
            services("stop", directory)


def services(verb: str, directory: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SERVICES), verb, "postgres", "--dir", directory]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="session")
def peers_python() -> str:
    """Of the environment that `make bench` has for the peers: too much to be made for one test."""
    python = ROOT / ".venv-peers" / "bin" / "python"
    if not python.exists():
        pytest.skip("no .venv-peers here: scripts/environment peers")
    return str(python)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MB of its own."""
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(tmp_path)], capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip("only root can mount a small disk")
    try:
        yield tmp_path
    finally:
        subprocess.run(["umount", "--lazy", str(tmp_path)], check=True)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """One line for each reason, not one for each test."""
    reasons = Counter(str(report.longrepr[2]).removeprefix("Skipped: ") for report in terminalreporter.stats.get("skipped", []))
    for reason, count in reasons.items():
        terminalreporter.write_line(f"{count} skipped: {reason}")
