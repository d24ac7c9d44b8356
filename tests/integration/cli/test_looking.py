"""Commands that look into a store, and never create one."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from penstock import App
from penstock.ports.leases import Enrolment
from tests.integration.cli.console import COMMAND, Console

LOOKING = [
    ("jobs", "ls"),
    ("jobs", "show", "x"),
    ("jobs", "retry", "x"),
    ("jobs", "cancel", "x"),
    ("dead", "ls"),
    ("dead", "replay", "--all", "--yes"),
    ("queues", "ls"),
    ("queues", "pause", "mail"),
    ("store", "status"),
    ("enqueue", "shop:app", "send", "user_id=1"),
    ("health", "live"),
    ("health", "ready"),
]


@pytest.mark.parametrize("command", LOOKING, ids=" ".join)
def test_a_store_that_is_not_there_is_not_made(bare: Console, command: tuple[str, ...]) -> None:
    before = set(bare.folder.iterdir())
    answer = bare.run(*command)
    assert (answer.code, answer.out) == (69, "")
    assert "no such store" in answer.err or "no store at" in answer.err
    assert {path for path in bare.folder.iterdir() if path.name != "__pycache__"} == before


def test_a_file_of_somebody_else_stays_as_it_is(bare: Console) -> None:
    file = bare.folder / "shop.db"
    file.touch()
    assert bare.run("jobs", "ls").code == 69
    assert file.read_bytes() == b""
    assert not list(bare.folder.glob("shop.db-*"))


def test_no_store_is_named(folder: Path) -> None:
    console = Console(folder)
    answer = console.run("jobs", "ls")
    assert (answer.code, "--store" in answer.err, "PENSTOCK_STORE" in answer.err) == (78, True, True)
    (folder / "penstock.db").touch()
    assert f"--store sqlite:///{folder}/penstock.db" in console.run("jobs", "ls").err


def test_finds_the_store_of_an_app(folder: Path) -> None:
    console = Console(folder)
    assert console.json("store", "migrate", "--app", "shop:app")["store"] == f"sqlite:///{folder}/penstock.db"
    assert console.json("jobs", "ls", "--app", "shop:app")["jobs"] == []


def test_passwords_are_masked(folder: Path) -> None:
    answer = Console(folder).run("jobs", "ls", "--store", "postgresql://sam:geheim@127.0.0.1:1/shop")
    assert (answer.code, "geheim" in answer.err, "sam:***" in answer.err) == (69, False, True)


def test_lists_and_shows_jobs(console: Console) -> None:
    job = console.ok("enqueue", "shop:app", "send", "user_id=7", "--key", "user:7", "--priority", "9", "--delay", "1h").out.strip()
    console.ok("enqueue", "shop:app", "hang")
    [listed] = console.json("jobs", "ls", "--queue", "mail", "--status", "delayed")["jobs"]
    assert (listed["id"], listed["task"], listed["key"], listed["priority"]) == (job, "shop.send", "user:7", 9)
    assert listed["arguments"] == {"user_id": 7}
    assert listed["due"].endswith("Z")
    shown = console.json("jobs", "show", job)
    assert shown.items() >= listed.items()
    assert (shown["history"], shown["result"]) == ([], None)
    page = console.ok("jobs", "show", job).out
    assert all(text in page for text in (job, "shop.send", "user:7", "user_id  7", "delayed, runs in", "penstock jobs cancel"))


def enqueue_by(console: Console, program: str) -> str:
    """Ids, as a program of the user's prints them."""
    imports = "from shop import *\nfrom penstock import Unique\nfrom penstock.errors import JobFailed\n"
    (console.folder / "by.py").write_text(imports + program)
    done = subprocess.run(
        [sys.executable, "by.py"], cwd=console.folder, env=console.environment, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def test_shows_what_a_job_has_to_do_with_others(console: Console) -> None:
    job = enqueue_by(
        console,
        "one = half.using(unique=Unique('half', until='start'), then=send.using(id='next-1').bind(7))\nprint(one.sync.enqueue().id)",
    )
    shown = console.json("jobs", "show", job)
    assert shown["unique"] == {"name": "half", "until": "start", "holder": job}
    assert (shown["previous"], shown["next"], shown["progress"]) == (None, "next-1", None)
    page = console.ok("jobs", "show", job).out
    assert "half, until start, held by this job" in page and "next-1, when this one is done" in page
    with console.worker() as worker:
        worker.until("sent 7")
    page = console.ok("jobs", "show", job).out
    assert "half, until start, free now" in page
    following = console.json("jobs", "show", "next-1")
    assert (following["previous"], following["next"], following["unique"]) == (job, None, None)
    assert f"previous    {job}" in console.ok("jobs", "show", "next-1").out


def test_shows_how_far_a_job_is(console: Console) -> None:
    with console.worker():
        job = enqueue_by(console, "job = render.sync.enqueue()\nwhile job.sync.progress() is None: pass\nprint(job.id)")
        progress = console.json("jobs", "show", job)["progress"]
        assert (progress["fraction"], progress["note"], progress["at"][-1]) == (0.5, "rendering", "Z")
        [listed] = [one for one in console.json("jobs", "ls")["jobs"] if one["id"] == job]
        assert listed["progress"] == progress
        assert "progress    50%, rendering (" in console.ok("jobs", "show", job).out


def test_a_letter_whose_name_is_anothers_is_not_replayed(console: Console) -> None:
    program = "job = fail.using(unique=Unique('once')).sync.enqueue('no')\nprint(job.id)"
    with console.worker() as worker:
        letter = enqueue_by(console, f"{program}\ntry:\n    job.sync.result()\nexcept JobFailed:\n    pass")
        assert worker.stop() == 0
    holder = enqueue_by(console, program)
    assert holder != letter
    why = f"its unique name 'once' is held by job {holder}"
    replayed = console.run("dead", "replay", letter)
    assert (replayed.code, f"{letter}: {why}" in replayed.err) == (1, True)
    replayed = console.run("dead", "replay", letter, "--json")
    assert (replayed.code, replayed.data["held_back"], replayed.data["missing"]) == (1, {letter: why}, [])
    retried = console.run("jobs", "retry", letter, "--json")
    assert (retried.code, retried.data["jobs"][0]["outcome"]) == (1, why)
    console.ok("jobs", "cancel", holder)
    assert console.json("dead", "replay", letter)["replayed"] == [letter]


def test_many_letters_whose_names_are_others_keep_nobody_back(console: Console) -> None:
    several = 501
    program = f"calls = [fail.using(unique=Unique(str(n))).bind('no') for n in range({several})]\njobs = app.sync.enqueue_many(calls)\n"
    waits = "for job in {}:\n    try:\n        job.sync.result()\n    except JobFailed:\n        print(job.id)"
    with console.worker() as worker:
        held = enqueue_by(console, program + waits.format("jobs")).split()
        free = enqueue_by(console, "jobs = [fail.sync.enqueue('no')]\n" + waits.format("jobs"))
        assert worker.stop() == 0
    holders = enqueue_by(console, program + "print(*(job.id for job in jobs))").split()
    assert (len(held), len(holders), set(held) & set(holders)) == (several, several, set())
    replayed = console.run("dead", "replay", "--all", "--yes", "--json")
    assert (replayed.code, replayed.data["replayed"], replayed.data["missing"]) == (1, [free], [])
    assert set(replayed.data["held_back"]) == set(held)
    replayed = console.run("dead", "replay", *held, free, "--json")
    assert (replayed.code, replayed.data["missing"], set(replayed.data["held_back"])) == (1, [free], set(held))
    discarded = console.json("dead", "discard", "--all", "--yes")
    assert (set(discarded["discarded"]), discarded["held_back"]) == (set(held), {})


def test_tables_keep_stdout_for_the_answer(console: Console) -> None:
    console.ok("enqueue", "shop:app", "send", "user_id=7")
    answer = console.ok("jobs", "ls")
    head, row = answer.out.splitlines()
    assert head.split()[:3] == ["ID", "STATUS", "TASK"]
    assert row.split()[1:3] == ["unroutable", "shop.send"]
    assert "store sqlite:///shop.db (PENSTOCK_STORE)" in answer.err
    assert "no worker is alive" in answer.err
    assert "\x1b" not in answer.out


def test_an_unroutable_job_shows_what_live_workers_know(console: Console) -> None:
    (console.folder / "other.py").write_text(
        "from penstock import App\napp = App(name='shop')\n@app.task(queue='mail')\ndef sned(user_id: int) -> None: ...\n"
    )
    job = console.ok("enqueue", "other:app", "sned", "user_id=1").out.strip()
    with console.worker():
        assert console.json("jobs", "show", job)["status"] == "unroutable"
        assert "no live worker knows shop.sned; near: shop.send" in console.ok("jobs", "show", job).out
        assert "near: shop.send" in console.ok("jobs", "ls", "--status", "unroutable").err


def test_hints_at_a_slip_in_a_filter(console: Console) -> None:
    console.ok("enqueue", "shop:app", "send", "user_id=7")
    assert "did you mean mail" in console.ok("jobs", "ls", "--queue", "mial").err
    assert "did you mean task" in console.run("dead", "ls", "--where", "taks=x").err


def test_a_look_that_ends_before_the_last_job_says_so(console: Console) -> None:
    for user in range(3):
        console.ok("enqueue", "shop:app", "send", f"user_id={user}")
    answer = console.ok("jobs", "ls", "--contains", "nothing", "--depth", "2")
    assert "looked at 2 jobs, the newest; others may match: give a --status, or raise --depth" in answer.err
    assert console.json("jobs", "ls", "--contains", "nothing", "--depth", "2")["looked_at"] == 2
    assert console.json("jobs", "ls", "--contains", "nothing")["looked_at"] is None
    shown = console.json("jobs", "ls", "--contains", '"user_id":0', "--depth", "3")
    assert (len(shown["jobs"]), shown["looked_at"]) == (1, None)


def test_cancels(console: Console) -> None:
    job = console.ok("enqueue", "shop:app", "send", "user_id=7").out.strip()
    assert console.json("jobs", "cancel", job)["jobs"] == [{"id": job, "ok": True, "outcome": "cancelled"}]
    again = console.run("jobs", "cancel", job, "nowhere", "--json")
    assert (again.code, [one["ok"] for one in again.data["jobs"]]) == (1, [False, False])
    assert console.json("jobs", "show", job)["status"] == "cancelled"


def test_an_unknown_job(console: Console) -> None:
    answer = console.run("jobs", "show", "nowhere", "--json")
    assert (answer.code, answer.out, "no job nowhere" in answer.err) == (1, "", True)


def test_store_migrate_and_status(bare: Console) -> None:
    assert bare.json("store", "migrate")["before"] == 0
    assert "nothing to do" in bare.ok("store", "migrate").out
    status = bare.json("store", "status")
    assert (status["store"], status["origin"], status["workers"]) == ("sqlite:///shop.db", "PENSTOCK_STORE", [])
    assert status["schema"]["found"] == status["schema"]["needed"]
    assert status["jobs"]["waiting"] == 0
    assert status["bytes"]["database"] > 0
    page = bare.ok("store", "status").out
    assert all(word in page for word in ("schema", "SQLite", "size", "0 waiting"))


async def test_the_status_shows_what_blocks_a_worker(bare: Console) -> None:
    app = App(f"sqlite:///{bare.folder}/shop.db", name="shop")
    leases = (await app._link.opened()).leases
    await leases.enrol(Enrolment(7, "shop", "host:1", os.getpid(), "host", (), ()))
    for blocked in ("  in crunch\n", ""):
        assert await asyncio.to_thread(leases.beat_now, 7, blocked)
        [worker] = (await asyncio.to_thread(bare.json, "store", "status"))["workers"]
        assert worker["blocked"] == (blocked or None)
        page = (await asyncio.to_thread(bare.ok, "store", "status")).out
        assert ("the event loop of host:1 is blocked by:\n  in crunch\n" in page) is bool(blocked)
    await leases.leave(7)
    await app.close()


def test_unknown_commands_suggest(bare: Console) -> None:
    for arguments, hint in (
        (["jbs"], "did you mean jobs?"),
        (["jobs", "lss"], "did you mean ls?"),
        (["workr"], "mean worker?"),
        (["jobs", "ls", "--quee"], "--queue"),
    ):
        answer = bare.run(*arguments)
        assert (answer.code, hint in answer.err) == (2, True), answer


def test_version_and_help(bare: Console) -> None:
    assert bare.ok("--version").out == "penstock 0.1.0\n"
    page = bare.ok("--help").out
    assert all(name in page for name in ("worker", "enqueue", "jobs", "dead", "queues", "store", "health"))


def test_a_reader_that_has_enough(console: Console) -> None:
    source = "\n".join(f'{{"user_id": {n}}}' for n in range(2000))
    console.ok("enqueue", "shop:app", "send", "-", given=source)
    pipe = f"{' '.join(COMMAND)} jobs ls --limit 2000 --json | head -c 10"
    assert (
        os.system(
            f"cd {console.folder} && PENSTOCK_STORE=sqlite:///shop.db PYTHONPATH={console.environment['PYTHONPATH']} {pipe} >piped 2>err"
        )
        == 0
    )
    assert "Traceback" not in (console.folder / "err").read_text()


def test_health(console: Console) -> None:
    assert console.ok("health", "live").out == "live: ok\n"
    idle = console.run("health", "ready", "--json")
    assert (idle.code, idle.data["ok"], "no worker" in idle.data["problem"]) == (69, False, True)
    with console.worker() as worker:
        assert console.json("health", "ready") == {
            "probe": "ready",
            "ok": True,
            "problem": None,
            "warning": None,
            "store": "sqlite:///shop.db",
        }
        assert worker.stop() == 0
    assert console.run("health", "ready").code == 69
    assert console.run("health", "lively").code == 2


def test_health_of_a_damaged_file(console: Console) -> None:
    with (console.folder / "shop.db").open("r+b") as file:
        file.write(b"\xff" * 4096)
    for probe in ("live", "ready"):
        answer = console.run("health", probe, "--json")
        assert (answer.code, answer.data["store"]) == (69, "sqlite:///shop.db")
        assert "the file is not an SQLite database" in answer.data["problem"]
        assert "Traceback" not in answer.err


def test_a_probe_loads_neither_click_nor_an_app(console: Console) -> None:
    program = (
        "import sys\n"
        "from penstock.cli.lazy import run\n"
        "code = run(['health', 'ready'])\n"
        "sys.exit(0 if code == 69 and not {'click', 'asyncio', 'penstock.app', 'shop'} & set(sys.modules) else 1)"
    )
    (console.folder / "probe.py").write_text(program)
    assert subprocess.run([sys.executable, "probe.py"], cwd=console.folder, env=console.environment, check=False).returncode == 0
