"""`penstock schedules`, beside a worker whose app has some."""

from __future__ import annotations

import pytest

from tests.integration.cli.console import Console

CALENDAR = """

app.schedule(send.bind(1), name="yearly", cron="0 3 1 1 *", tz="Europe/Berlin", missed="all")
"""


@pytest.fixture
def shop(console: Console) -> Console:
    source = console.folder / "shop.py"
    source.write_text(source.read_text() + CALENDAR)
    return console


def test_what_a_worker_brings_is_listed_and_left(shop: Console) -> None:
    assert shop.json("schedules", "ls") == {"schedules": []}
    with shop.worker() as worker:
        (listed,) = shop.json("schedules", "ls")["schedules"]
        shown = shop.ok("schedules", "ls").out
        assert worker.stop() == 0
    assert (listed["name"], listed["app"], listed["state"], listed["paused"]) == ("yearly", "shop", "active", False)
    assert (listed["cron"], listed["zone"], listed["missed"], listed["every_seconds"]) == ("0 3 1 1 *", "Europe/Berlin", "all", None)
    assert (listed["last_run"], listed["last_job"], listed["arguments"]) == (None, None, {"user_id": 1})
    assert listed["next"].endswith("-01-01T02:00:00.000000Z")
    for word in ("yearly@shop", "active", "0 3 1 1 *", "Europe/Berlin", "shop.send"):
        assert word in shown


def test_run_now_pause_and_resume(shop: Console) -> None:
    with shop.worker() as worker:
        job = shop.json("schedules", "run-now", "yearly")["job"]
        worker.until("sent 1 to nobody")
        assert shop.json("schedules", "pause", "yearly@shop") == {"schedule": "yearly@shop", "paused": True}
        paused = shop.json("schedules", "show", "yearly")
        assert (paused["state"], paused["next"]) == ("paused", None)
        assert "paused" in shop.ok("schedules", "show", "yearly").out
        assert shop.ok("schedules", "resume", "yearly").out == "schedule yearly@shop: resumed\n"
        assert worker.stop() == 0
    after = shop.json("schedules", "show", "yearly")
    assert (after["last_job"], after["last_job_status"], after["last_slot"]) == (job, "done", None)
    assert after["next"] is not None
    assert shop.json("jobs", "show", job)["status"] == "done"
    assert job in shop.ok("schedules", "show", "yearly").out


def test_a_name_that_nobody_has(shop: Console) -> None:
    with shop.worker() as worker:
        assert worker.stop() == 0
    for command in ("show", "run-now", "pause", "resume"):
        answer = shop.run("schedules", command, "yaerly")
        assert (answer.code, answer.out) == (1, "")
        assert "no schedule is called 'yaerly'; did you mean yearly?" in answer.err


def test_a_bad_cron_is_told_by_the_worker(console: Console) -> None:
    source = console.folder / "shop.py"
    source.write_text(source.read_text() + CALENDAR.replace("0 3 1 1 *", "61 * * * *"))
    answer = console.run("worker", "shop:app")
    assert answer.code == 78
    assert "schedule 'yearly': cron='61 * * * *': Bad minute" in answer.err
    assert "Traceback" not in answer.err
