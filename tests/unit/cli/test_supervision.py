"""When a child starts again, what it and its parent tell each other, and what the parent makes of ends."""

import json
import logging
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from penstock.cli.supervision.logs import JsonLines
from penstock.cli.supervision.order import Order
from penstock.cli.supervision.parent import Parent
from penstock.cli.supervision.reports import log_event
from penstock.cli.supervision.restarts import FORGIVEN, Restarts
from penstock.cli.supervision.slot import Death
from penstock.cli.supervision.tether import Failed, Gone, Ready, Stop, inherited, pair
from penstock.model.events import JobStuck

ORDER = Order("shop:app", store="sqlite:///a.db", queues=(("mail", 5),))


def test_restarts_at_once_then_ever_later() -> None:
    restarts = Restarts()
    assert [restarts.wait_after(1) for _ in range(12)] == pytest.approx([0, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30, 30])
    assert restarts.wait_after(FORGIVEN) == 0
    assert restarts.wait_after(1) == pytest.approx(0.1)


def test_says_how_a_child_died() -> None:
    assert Death(1, -9, 2.0).how == "was killed by SIGKILL"
    assert Death(1, 70, 2.0).how == "ended with exit code 70"
    assert Death(1, -99, 2.0).how == "was killed by signal 99"


def test_a_tether_carries_words_both_ways_and_tells_of_its_end() -> None:
    parent, theirs = pair()
    child = inherited(theirs.detach())
    parent.tell(ORDER)
    parent.tell(Stop(now=True))
    assert child.first() == ORDER
    assert child.heard() == [Stop(now=True)]
    child.tell(Ready("sqlite:///a.db", ("mail",)))
    child.tell(Failed(78, "line\nbreak"))
    assert parent.heard() == [Ready("sqlite:///a.db", ("mail",)), Failed(78, "line\nbreak")]
    assert parent.heard() == []
    parent.close()
    assert child.heard() == [Gone()]
    child.tell(Ready("", ()))
    child.close()


def spawning(*programs: str) -> Callable[[socket.socket], "subprocess.Popen[bytes]"]:
    """The first child runs the first program, and so on; the last one again and again."""
    queue = list(programs)

    def spawn(theirs: socket.socket) -> "subprocess.Popen[bytes]":
        program = queue.pop(0) if len(queue) > 1 else queue[0]
        fd = theirs.fileno()
        return subprocess.Popen([sys.executable, "-S", "-c", program, str(fd)], pass_fds=[fd])

    return spawn


DIE = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
WAIT = """
import socket, sys
link = socket.socket(fileno=int(sys.argv[1]))
while (word := link.recv(999)) and b"stop" not in word:
    pass
"""
TERMINATE_PARENT = "import os, signal; os.kill(os.getppid(), signal.SIGTERM); " + WAIT


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> Iterator[Callable[[], list[str]]]:
    caplog.set_level(logging.INFO, "penstock.supervision")
    yield lambda: [record.getMessage() for record in caplog.records]


def test_a_dead_child_is_followed_by_another(told: Callable[[], list[str]]) -> None:
    assert Parent(ORDER, spawning(DIE, "raise SystemExit(3)", TERMINATE_PARENT)).run() == 0
    first, second, *_ = told()
    assert "was killed by SIGKILL" in first
    assert first.endswith("; another one starts")
    assert "ended with exit code 3" in second
    assert second.endswith("; the next one starts in 0.1s")


def test_who_died_last_decides_the_exit_code() -> None:
    die_asked = "import os, signal; os.kill(os.getppid(), signal.SIGTERM); " + WAIT + "\n" + DIE
    assert Parent(ORDER, spawning(die_asked)).run() == 1
    assert Parent(ORDER, spawning(TERMINATE_PARENT + "\nraise SystemExit(70)")).run() == 70


def test_what_cannot_get_better_stops_all(told: Callable[[], list[str]]) -> None:
    assert Parent(Order("shop:app", processes=2), spawning("raise SystemExit(78)", WAIT)).run() == 78
    assert len(told()) == 1


def test_a_store_that_never_was_there_stops_all() -> None:
    assert Parent(ORDER, spawning("raise SystemExit(69)")).run() == 69


def test_a_child_that_does_not_end_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("penstock.cli.supervision.parent._SPARE", 0.0)
    deaf = "import os, signal; os.kill(os.getppid(), signal.SIGTERM); signal.pause()"
    assert Parent(Order("shop:app", shutdown_timeout=0.1), spawning(deaf)).run() == 1


def test_handlers_are_given_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    Parent(ORDER, spawning("raise SystemExit(78)")).run()
    assert signal.getsignal(signal.SIGTERM) is before
    assert signal.set_wakeup_fd(-1) == -1


def test_a_job_that_is_stuck_is_logged_by_its_id(caplog: pytest.LogCaptureFixture) -> None:
    log_event(JobStuck("job-7", "shop.report", "host:1", 301.2, '  File "shop.py", line 3, in report\n'))
    (record,) = caplog.records
    assert record.getMessage() == (
        'job job-7 (shop.report) has been running for 301 s on host:1; it is at:\n  File "shop.py", line 3, in report\n'
    )
    line = json.loads(JsonLines().format(record))
    assert (line["level"], line["job_id"], line["task"]) == ("warning", "job-7", "shop.report")
