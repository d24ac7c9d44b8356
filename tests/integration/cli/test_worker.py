"""`penstock worker`: real processes, real signals."""

import json
import os
import signal
from pathlib import Path

import pytest

from tests.integration.cli.console import Console, pid_of


def test_runs_jobs_and_stops_on_sigterm(console: Console) -> None:
    first = console.ok("enqueue", "shop:app", "send", "user_id=7", "address=sam@example.com").out.strip()
    with console.worker("--processes", "2", "--concurrency", "5") as worker:
        console.ok("enqueue", "shop:app", "send", "user_id=8")
        for _ in range(2):
            worker.until("sent")
        assert worker.stop() == 0
    assert console.json("jobs", "show", first)["status"] == "done"
    assert console.json("store", "status")["workers"] == []
    assert {"sent 7 to sam@example.com\n", "sent 8 to nobody\n"} <= set(worker.seen)


def test_a_killed_child_is_replaced_and_its_job_runs_again(console: Console) -> None:
    job = console.ok("enqueue", "shop:app", "hang", "once=true").out.strip()
    with console.worker("--log-format", "text") as worker:
        killed = pid_of(worker.until(r"hang first pid=(?P<pid>\d+)"))
        os.kill(killed, signal.SIGKILL)
        worker.until(rf"worker 1 \(pid {killed}\) was killed by SIGKILL after .*; another one starts")
        assert pid_of(worker.until(r"hang again pid=(?P<pid>\d+)")) != killed
        assert worker.stop() == 0
    shown = console.json("jobs", "show", job)
    assert (shown["status"], shown["worker_deaths"]) == ("done", 1)
    assert [each["what"] for each in shown["history"]] == ["died"]


def test_killed_while_it_was_to_stop_is_not_a_success(console: Console) -> None:
    console.ok("enqueue", "shop:app", "hang")
    with console.worker() as worker:
        pid = pid_of(worker.until(r"hang first pid=(?P<pid>\d+)"))
        worker.send(signal.SIGTERM)
        os.kill(pid, signal.SIGKILL)
        assert worker.code() == 1


def test_a_second_sigterm_gives_back_at_once_uncounted(console: Console) -> None:
    job = console.ok("enqueue", "shop:app", "hang").out.strip()
    with console.worker("--shutdown-timeout", "1h") as worker:
        worker.until("hang first")
        worker.send(signal.SIGTERM)
        worker.until("SIGTERM: stopping")
        worker.send(signal.SIGTERM)
        assert worker.code() == 0
    shown = console.json("jobs", "show", job)
    assert (shown["status"], shown["attempt"], shown["history"]) == ("unroutable", 0, [])


def test_a_signal_that_reaches_parent_and_child_counts_once(console: Console) -> None:
    """As from a service manager that signals the whole group: what runs is not cut off."""
    job = console.ok("enqueue", "shop:app", "hang").out.strip()
    with console.worker("--shutdown-timeout", "1h") as worker:
        pid = pid_of(worker.until(r"hang first pid=(?P<pid>\d+)"))
        for each in (pid, worker.process.pid, pid):
            os.kill(each, signal.SIGTERM)
        console.ok("jobs", "cancel", job)
        assert worker.code() == 0
    assert console.json("jobs", "show", job)["status"] == "cancelled"


def test_children_end_when_their_parent_is_killed(console: Console) -> None:
    with console.worker("--processes", "2") as worker:
        worker.until("takes")
        worker.send(signal.SIGKILL)
        worker.closed()
    assert console.json("store", "status")["workers"] == []


def test_an_app_that_cannot_be_imported_stops_all_with_one_message(bare: Console) -> None:
    (bare.folder / "broken.py").write_text("import penstock\napp = penstock.App()\nraise RuntimeError('no 100% today')\n")
    answer = bare.run("worker", "broken:app", "--processes", "3", "--log-format", "json")
    assert answer.code == 78
    [line] = answer.err.splitlines()
    assert "broken.py:3: RuntimeError: no 100% today" in json.loads(line)["message"]
    assert not (bare.folder / "shop.db").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["nowhere:app"], 78, "no module 'nowhere'"),
        (["shop:ap"], 78, "did you mean app"),
        (["shop:app", "--queues", "mial"], 78, "did you mean mail"),
        (["shop:app", "--queues", "mail:0"], 2, "weights from 1"),
        (["shop:app", "--processes", "0"], 2, "--processes"),
        (["shop:app", "--lease", "0.5s"], 2, "at least 1s"),
        (["shop:app", "--store", "sqlite:////nowhere/at/all.db"], 69, "its folder does not exist"),
        (["shop:app", "--store", "redis://localhost"], 78, "redis"),
    ],
)
def test_says_why_it_cannot_start(bare: Console, arguments: list[str], code: int, message: str) -> None:
    answer = bare.run("worker", *arguments, "--log-format", "text")
    assert (answer.code, message in answer.err) == (code, True), answer
    assert "Traceback" not in answer.err


def test_takes_only_the_queues_it_was_given(console: Console) -> None:
    console.ok("enqueue", "shop:app", "hang")
    console.ok("enqueue", "shop:app", "send", "user_id=1")
    with console.worker("--queues", "mail:5") as worker:
        worker.until("sent 1")
        assert worker.stop() == 0
    queues = {queue["name"]: queue["waiting"] for queue in console.json("queues", "ls")["queues"]}
    assert queues == {"mail": 0, "slow": 1}


def test_sigusr1_shows_all_stacks_and_tasks(console: Console) -> None:
    console.ok("enqueue", "shop:app", "hang")
    with console.worker("--log-format", "text", "--shutdown-timeout", "0.1s") as worker:
        worker.until("hang first")
        worker.send(signal.SIGUSR1)
        worker.until(r"shop\.py\", line \d+, in hang")
        assert worker.stop() == 0
    assert any("most recent call first" in line for line in worker.seen)


def test_failures_are_logged_as_json_without_arguments(console: Console) -> None:
    job = console.ok("enqueue", "shop:app", "fail", 'text="my secret"').out.strip()
    with console.worker("--log-format", "json") as worker:
        line = json.loads(worker.until('"attempt": 1').string)
        assert worker.stop() == 0
    assert (line["level"], line["job_id"], line["task"]) == ("warning", job, "shop.fail")
    assert all(set(json.loads(line)) >= {"time", "level", "message"} for line in worker.seen if line.startswith("{"))


def test_a_worker_opens_its_apps_store_by_itself(bare: Console, folder: Path) -> None:
    with bare.worker("--store", "sqlite:///other.db") as worker:
        assert worker.stop() == 0
    assert (folder / "other.db").exists()
    assert not (folder / "shop.db").exists()
