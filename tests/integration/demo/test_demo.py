"""The whole demo, as a stranger runs it."""

import json
import os
import select
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

MARK = "PENSTOCK_TEST_MARK"


@pytest.fixture
def mark() -> Iterator[str]:
    """In the environment of the demo and of all it starts."""
    mark = uuid.uuid4().hex
    yield mark
    for pid in marked(mark):
        os.kill(pid, signal.SIGKILL)


@pytest.fixture(params=["file", "server"])
def store(request: pytest.FixtureRequest) -> Sequence[str]:
    """Where the demo keeps what it does: with `--store` in a schema on a server."""
    return () if request.param == "file" else ("--store", str(request.getfixturevalue("postgres_url")))


def test_reconciles_with_killed_workers_and_leaves_nothing(mark: str, tmp_path: Path, store: Sequence[str]) -> None:
    done = subprocess.run(demo("--for", "8", "--kills", "3", "--json", "--seed", "7", *store), **quiet(mark, tmp_path), check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads(done.stdout)
    sums, orders = result["sums"]["sign_ups"], result["sums"]["orders"]
    assert result["ok"] and result["faults"] == []
    assert result["sums"]["unfinished"] == 0
    assert sums["acknowledged"] <= sums["users"] <= sums["tried"] == sums["acknowledged"] + sums["unknown"]
    assert sums["acknowledged"] > 50
    assert sums["users"] == sums["welcomed"] + sums["dead_letters"]
    assert sums["e_mails"] == sums["welcomed"] + len(result["sent_again_after_a_kill"])
    assert (sums["lost"], sums["effects_twice"]) == (0, 0)
    assert (sums["e_mails_twice_unexplained"], sums["welcomed_without_e_mail"]) == (0, 0)
    assert sums["dead_letters"] > 0
    assert 0 < orders["acknowledged"] <= orders["orders"] <= orders["tried"] == orders["acknowledged"] + orders["unknown"]
    assert orders["orders"] == orders["events"] == orders["moves"] == orders["shipments"]
    assert (orders["missing"], orders["twice"], orders["out_of_order"], orders["dead_letters"]) == (0, 0, 0, 0)
    accounts = result["sums"]["accounts"]
    changes = accounts["updated"] + accounts["deleted"]
    assert 0 < accounts["acknowledged"] <= changes <= accounts["tried"] == accounts["acknowledged"] + accounts["unknown"]
    assert accounts["created"] == sums["users"]
    assert accounts["events"] == accounts["created"] + changes
    assert accounts["users"] == accounts["replayed"] == accounts["created"] - accounts["deleted"]
    assert (accounts["differences"], accounts["dead_letters"]) == (0, 0)
    files = result["sums"]["files"]
    assert files["written"] == orders["orders"] == files["removed"] + files["removed_untold"] + files["left"]
    assert files["removed"] > 0
    assert (files["lost"], files["twice"], files["too_young"]) == (0, 0, 0)
    reports = result["sums"]["reports"]
    assert reports["asked"] == reports["done"] >= 1
    assert (reports["dead_letters"], reports["wrong"]) == (0, 0)
    assert 0 < result["report"]["orders"] <= orders["orders"]
    assert [fact["version"] for fact in result["account"]["trail"]] == list(range(1, len(result["account"]["trail"]) + 1))
    assert result["replayed"]["status"] == "done"
    assert len(result["kills"]) == result["killed_by_role"]["worker"] == 3
    assert result["killed_by_role"]["feeder"] >= 1
    assert all(kill["back_after"] is not None for kill in result["kills"])
    assert marked(mark) == []
    assert list(tmp_path.iterdir()) == []


def test_nobody_outlives_a_killed_demo(mark: str, tmp_path: Path) -> None:
    with subprocess.Popen(demo("--for", "60", "--kills", "0", "--dir", str(tmp_path / "data")), **quiet(mark, tmp_path)) as running:
        assert running.stdout is not None
        for line in running.stdout:
            if "  users " in line and "  users 0" not in line:
                break
        family = [os.pidfd_open(pid) for pid in marked(mark)]
        assert len(family) >= 5, "the demo, the mail server, the web API, the visitors and the workers"
        running.kill()
        for pidfd in family:
            assert select.select([pidfd], [], [], 30)[0], "a process outlived the demo"
            os.close(pidfd)
    assert marked(mark) == []


def test_a_folder_in_use_is_refused(mark: str, tmp_path: Path) -> None:
    (tmp_path / "something").write_text("of somebody")
    refused = subprocess.run(demo("--dir", str(tmp_path)), **quiet(mark, tmp_path), check=False)
    assert refused.returncode == 2
    assert "is not empty" in refused.stderr


def test_a_missing_extra_is_named_with_its_install_line(mark: str, tmp_path: Path) -> None:
    without = "import sys; sys.modules['aiosmtpd'] = None; from penstock.cli import main; sys.argv[1:] = ['demo']; main()"
    refused = subprocess.run([sys.executable, "-c", without], **quiet(mark, tmp_path), check=False)
    assert refused.returncode == 78
    assert 'pip install "penstock[demo]"' in refused.stderr


def demo(*options: str) -> list[str]:
    return [sys.executable, "-m", "penstock", "demo", *options]


def quiet(mark: str, folder: Path) -> dict[str, Any]:
    return {
        "stdin": subprocess.DEVNULL,
        "stdout": subprocess.PIPE,
        "stderr": subprocess.PIPE,
        "text": True,
        "env": {**os.environ, MARK: mark, "TMPDIR": str(folder)},
    }


def marked(mark: str) -> list[int]:
    wanted = f"{MARK}={mark}".encode()
    return [int(path.parent.name) for path in Path("/proc").glob("[0-9]*/environ") if wanted in environment(path).split(b"\0")]


def environment(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # it has ended
        return b""
