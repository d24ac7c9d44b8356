"""Fixtures for every folder. Servers that a test needs are started once a session."""

import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
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


@pytest.fixture(scope="session")
def pooled_url(postgres_url: str) -> Iterator[str]:
    """A database of that server, through PgBouncer in transaction mode. It knows no startup parameter such as `options`: what is
    not Penstock's is in `public`."""
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("create database pooled")
    with started("pgbouncer", "--to", postgres_url) as (_, url):
        yield urlunsplit(urlsplit(url)._replace(path="/pooled"))


@contextmanager
def server() -> Iterator[tuple[str, str]]:
    """A PostgreSQL server's folder and its URL."""
    with started("postgres") as found:
        yield found


@contextmanager
def started(service: str, *options: str) -> Iterator[tuple[str, str]]:
    """Its folder and its URL. Not in pytest's own folder: a server started by root cannot enter it."""
    with tempfile.TemporaryDirectory(prefix=f"penstock-{service}-", ignore_cleanup_errors=True) as directory:
        url = answered(services("start", directory, service, *options))
        try:
            yield directory, url
        finally:
            services("stop", directory, service)


@pytest.fixture(scope="session")
def libfaketime() -> Path:
    """The library that fakes the wall clock of a process."""
    return Path(answered(ask("find", "faketime")))


@pytest.fixture(scope="session")
def redis() -> Path:
    """The program of a Redis server."""
    return Path(answered(ask("find", "redis")))


@pytest.fixture(scope="session")
def rabbitmq() -> Path:
    """The program of a RabbitMQ server."""
    return Path(answered(ask("find", "rabbitmq")))


@pytest.fixture(scope="session")
def strace() -> Path:
    """What lets system calls of a process fail. Skips where no process may be traced."""
    found = Path(answered(ask("find", "strace")))
    if subprocess.run([found, "-qq", "-o", os.devnull, "true"], capture_output=True, check=False).returncode:
        pytest.skip("processes cannot be traced here")
    return found


@pytest.fixture(scope="session")
def networks() -> None:
    """Networks of one's own can be made here."""
    ip, name = answered(ask("find", "iproute2")), f"penstock-{os.getpid()}"
    if subprocess.run([ip, "netns", "add", name], capture_output=True, check=False).returncode:
        pytest.skip("only root can make networks of its own")
    subprocess.run([ip, "netns", "delete", name], check=True)


@pytest.fixture(scope="session")
def disks() -> None:
    """File systems of one's own can be mounted here."""
    with tempfile.TemporaryDirectory(prefix="penstock-disk-") as name:
        image = Path(name, "disk.img")
        with image.open("wb") as file:
            file.truncate(16 << 20)
        subprocess.run([answered(ask("find", "e2fsprogs")), "-q", "-F", str(image)], check=True)
        if subprocess.run(["mount", "-o", "loop", str(image), name], capture_output=True, check=False).returncode:
            pytest.skip("only root can mount a disk of its own")
        subprocess.run(["umount", name], check=True)


def services(verb: str, directory: str, service: str = "postgres", *options: str) -> subprocess.CompletedProcess[str]:
    return ask(verb, service, "--dir", directory, *options)


def ask(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, str(SERVICES), *words], capture_output=True, text=True, check=False)


def answered(asked: subprocess.CompletedProcess[str]) -> str:
    """What it printed. Skips where something is not installed, but not on CI."""
    if asked.returncode == UNAVAILABLE and os.environ.get("CI") != "true":
        pytest.skip(asked.stderr.strip())
    if asked.returncode:
        pytest.fail(asked.stderr)
    return asked.stdout.strip()


@pytest.fixture(scope="session")
def peers_python() -> str:
    """Of the environment that `make bench` has for the peers."""
    return environment("peers")


@pytest.fixture(scope="session")
def saq_python() -> str:
    """Of the one for SAQ alone."""
    return environment("peers-saq")


def environment(name: str) -> str:
    """Too much to be made for one test, but on CI."""
    python = ROOT / f".venv-{name}" / "bin" / "python"
    if os.environ.get("CI") == "true":
        subprocess.run([sys.executable, str(ROOT / "scripts" / "environment"), name], cwd=ROOT, check=True)
    if not python.exists():
        pytest.skip(f"no {python.parents[1].name} here: scripts/environment {name}")
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
    """One line for each reason to skip, not one for each test; and where the time went."""
    reasons = Counter(str(report.longrepr[2]).removeprefix("Skipped: ") for report in terminalreporter.stats.get("skipped", []))
    for reason, count in reasons.items():
        terminalreporter.write_line(f"{count} skipped: {reason}")
    reports = [each for some in terminalreporter.stats.values() for each in some if isinstance(each, pytest.TestReport)]
    seconds: Counter[str] = Counter()
    for report in reports:
        seconds["/".join(Path(report.nodeid).parts[:2])] += round(report.duration * 1000)
    if len(seconds) > 1:
        terminalreporter.write_line(f"minutes: {', '.join(f'{folder} {spent / 60_000:.1f}' for folder, spent in seconds.most_common())}")
