"""Commands that change something: enqueue, replay, pause."""

import json

import pytest

from tests.integration.cli.console import Console


def test_enqueue_takes_json_and_bare_strings(console: Console) -> None:
    answer = console.json("enqueue", "shop:app", "send", "user_id=7", "address=sam@example.com")
    assert (answer["task"], answer["queue"], answer["created"]) == ("shop.send", "mail", True)
    assert console.json("jobs", "show", answer["id"])["arguments"] == {"user_id": 7, "address": "sam@example.com"}
    quoted = console.json("enqueue", "shop:app", "shop.send", "user_id=7", 'address="7"')
    assert console.json("jobs", "show", quoted["id"])["arguments"]["address"] == "7"


def test_enqueue_with_an_id_twice_is_once(console: Console) -> None:
    for created in (True, False):
        assert console.json("enqueue", "shop:app", "send", "user_id=7", "--id", "welcome:7")["created"] is created
    assert len(console.json("jobs", "ls")["jobs"]) == 1


def test_enqueue_from_a_pipe_and_a_file(console: Console) -> None:
    lines = '{"user_id": 1}\n\n{"user_id": 2}\n'
    ids = console.ok("enqueue", "shop:app", "send", "-", "address=a@b", given=lines).out.split()
    assert [console.json("jobs", "show", id)["arguments"] for id in ids] == [{"user_id": n, "address": "a@b"} for n in (1, 2)]
    (console.folder / "users.ndjson").write_text(lines)
    assert len(console.ok("enqueue", "shop:app", "send", "@users.ndjson").out.split()) == 2


@pytest.mark.parametrize(
    ("arguments", "given", "code", "message"),
    [
        (["send", "user_id=x"], "", 2, "Expected `int`"),
        (["send"], "", 2, "user_id"),
        (["send", "user_id=1", "extra=1"], "", 2, "extra"),
        (["send", "user_id"], "", 2, "NAME=VALUE"),
        (["sned", "user_id=1"], "", 1, "near: send"),
        (["send", "user_id=1", "--delay", "soon"], "", 2, "length of time"),
        (["send", "user_id=1", "--key", "no spaces please"], "", 78, "is not a name"),
        (["send", "-"], '{"user_id": 1}\n[]\n', 2, "line 2: "),
        (["send", "@nowhere"], "", 2, "nowhere"),
    ],
)
def test_wrong_input_stores_nothing(console: Console, arguments: list[str], given: str, code: int, message: str) -> None:
    answer = console.run("enqueue", "shop:app", *arguments, given=given)
    assert (answer.code, answer.out, message in answer.err, "Traceback" in answer.err) == (code, "", True, False), answer
    assert console.json("jobs", "ls")["jobs"] == []


def test_dead_letters_are_counted_replayed_and_discarded(console: Console) -> None:
    bad = '{"user_id": -1}\n{"user_id": -2}\n'
    ids = console.ok("enqueue", "shop:app", "send", "-", given=bad).out.split()
    other = console.ok("enqueue", "shop:app", "fail", "text=refused").out.strip()
    with console.worker("--log-format", "text") as worker:
        for _ in range(3):
            worker.until("attempt 1")
        assert worker.stop() == 0
    listed = console.json("dead", "ls")
    assert (listed["count"], {letter["id"] for letter in listed["letters"]}) == (3, {*ids, other})
    assert "ValueError: refused" in console.ok("dead", "ls", "--where", "task=shop.fail").out
    page = console.ok("dead", "show", other).out
    assert all(text in page for text in ("failed 1 times", "Traceback", "ValueError: refused", f"penstock dead replay {other}"))

    refused = console.run("dead", "replay", "--where", "task=shop.send")
    assert (refused.code, "2 dead letters" in refused.err, "--yes" in refused.err) == (2, True, True)
    assert "2 dead letters match" in console.ok("dead", "replay", "--where", "task=shop.send", "--dry-run").out
    assert console.json("dead", "ls")["count"] == 3
    moved = console.json("dead", "replay", "--where", "task=shop.send", "--where", "queue=mail", "--yes")
    assert (moved["matching"], moved["replayed"]) == (2, ids)
    assert [each["what"] for each in console.json("jobs", "show", ids[0])["history"]] == ["dead", "replayed"]

    assert console.run("dead", "discard", other).code == 2
    assert console.json("dead", "discard", other, "--yes")["discarded"] == [other]
    assert console.json("jobs", "show", other)["status"] == "cancelled"
    assert console.run("dead", "discard", other, "--yes").code == 1
    assert console.run("dead", "replay").code == 2


def test_many_dead_letters_move_in_batches(console: Console) -> None:
    number = 1200
    console.ok("enqueue", "shop:app", "send", "-", given='{"user_id": -1}\n' * number)
    with console.worker("--log-format", "text") as worker:
        for _ in range(number):
            worker.until("attempt 1")
        assert worker.stop() == 0
    assert len(console.json("dead", "replay", "--all", "--yes")["replayed"]) == number
    assert console.json("dead", "ls")["count"] == 0


def test_retry_is_for_dead_and_for_waiting_jobs(console: Console) -> None:
    dead = console.ok("enqueue", "shop:app", "fail", "text=no").out.strip()
    later = console.ok("enqueue", "shop:app", "try_later").out.strip()
    with console.worker("--log-format", "text") as worker:
        for _ in range(2):
            worker.until("attempt 1")
        assert worker.stop() == 0
    assert console.json("jobs", "show", later)["status"] == "retrying"
    answer = console.run("jobs", "retry", dead, later, "nowhere", "--json")
    assert (answer.code, [one["ok"] for one in answer.data["jobs"]]) == (1, [True, True, False])
    assert console.json("jobs", "show", later)["status"] == "unroutable"  # due now, and no worker is there
    assert console.json("jobs", "show", dead)["attempt"] == 0


def test_a_paused_queue_rests_until_it_is_resumed(console: Console) -> None:
    console.ok("enqueue", "shop:app", "hang")
    console.ok("queues", "pause", "mail", "--new")
    with console.worker("--shutdown-timeout", "0.1s") as worker:
        worker.until("hang first")
        console.ok("enqueue", "shop:app", "send", "user_id=7")
        paused = {queue["name"]: queue for queue in console.json("queues", "ls")["queues"]}["mail"]
        assert (paused["paused"], paused["waiting"]) == (True, 1)
        assert "paused" in console.ok("queues", "ls").out
        assert not any("sent" in line for line in worker.seen)
        assert console.json("queues", "resume", "mail") == {"queue": "mail", "paused": False}
        worker.until("sent 7")
    queues = console.json("queues", "ls")["queues"]
    assert all(not queue["paused"] for queue in queues)


def test_what_an_operator_sets_is_shown(console: Console) -> None:
    console.ok("enqueue", "shop:app", "send", "user_id=7")
    console.ok("queues", "set", "mail", "max_waiting=5")
    assert console.json("queues", "ls")["queues"][0]["max_waiting"] == 5
    assert console.json("queues", "set", "mail", "max_waiting=none") == {"queue": "mail", "max_waiting": None}
    assert console.json("queues", "ls")["queues"][0]["max_waiting"] is None
    for arguments in (["mail", "max_waiting=0"], ["mail", "max=5"], ["mail"]):
        assert console.run("queues", "set", *arguments).code == 2
    set_so = console.json("queues", "set", "mail", "--concurrency", "10", "--rate", "5/s", "max_waiting=7")
    assert set_so == {"queue": "mail", "max_waiting": 7, "concurrency": 10, "rate": "5/s"}
    (shown,) = console.json("queues", "ls")["queues"]
    assert (shown["concurrency"], shown["rate"], shown["max_waiting"]) == (10, "5/s", 7)
    assert "10 at once, 5/s, 7 waiting" in console.ok("queues", "ls").out
    assert console.json("queues", "set", "mail", "--rate", "none")["rate"] is None
    (shown,) = console.json("queues", "ls")["queues"]
    assert (shown["concurrency"], shown["rate"]) == (10, None)
    for option, value in (("--concurrency", "0"), ("--rate", "often"), ("--rate", "0/s"), ("--max-waiting", "-1")):
        assert console.run("queues", "set", "mail", option, value).code == 2
    unknown = console.run("queues", "pause", "mial")
    assert (unknown.code, "did you mean mail" in unknown.err) == (1, True)


def test_stdout_holds_nothing_but_json(console: Console) -> None:
    job = console.ok("enqueue", "shop:app", "send", "user_id=7").out.strip()
    for command in (
        ["jobs", "ls"],
        ["jobs", "show", job],
        ["dead", "ls"],
        ["queues", "ls"],
        ["store", "status"],
        ["queues", "pause", "mail"],
    ):
        answer = console.ok(*command, "--json")
        assert isinstance(json.loads(answer.out), dict)
        assert answer.err == ""
