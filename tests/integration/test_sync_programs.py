"""Programs without a loop, and with several: threads of a web server, scripts that end, `asyncio.run` twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.play import program, rows


def notes(store: Path) -> dict[str, int]:
    return dict(rows(store, "select body ->> 'text', count(*) from penstock_message group by 1"))


def test_threads_without_a_loop(fast: Path) -> None:
    store = fast / "script.db"
    with program("script.py", "flask", store=store) as web:
        web.until(r"\['unroutable'\]")
        assert web.code() == 0
    assert notes(store) == {"request": 40, "joined": 40}
    assert rows(store, "select count(distinct n), count(*) from seen") == [(40, 40)]


@pytest.mark.parametrize(("how", "count", "code"), [("exits", 5, 0), ("raises", 1, 3), ("killed", 1, 9)])
def test_a_script_that_ends_right_after_enqueue_loses_nothing(fast: Path, how: str, count: int, code: int) -> None:
    store = fast / "script.db"
    with program("script.py", how, store=store) as script:
        assert script.code() == code
        assert script.seen == []
    assert notes(store) == {"last words": count}


def test_one_loop_after_the_other(fast: Path) -> None:
    store = fast / "script.db"
    with program("script.py", "loops", store=store) as script:
        script.until("worked")
        assert script.code() == 0
        assert script.seen == ["worked\n"]
    assert notes(store) == {"run 1": 5, "run 2": 5, "run 3": 5, "between": 1, "after": 1, "worked": 1}
    assert rows(store, "select n from seen") == [(1,), (2,), (3,)]


def test_sync_on_the_loops_own_thread_names_the_async_verb(fast: Path) -> None:
    store = fast / "script.db"
    with program("script.py", "bars", store=store) as script:
        script.until(r"refused: \.sync would block .*: await note\.enqueue")
        script.until(r"refused: \.sync would block .*: await job\.status")
        script.until(r"refused: \.sync would block .*: use `async with app\.transaction\(\)`")
        script.until("True")
        assert script.code() == 0
    assert notes(store) == {"async": 1, "from a thread": 1}
