"""S16: what stands in arguments, headers and results is in no log, and in no error of ours. What a handler raises is its own."""

from __future__ import annotations

import asyncio
import re
import signal
from pathlib import Path

import pytest

from penstock import App
from penstock.errors import JobFailed
from tests.integration.cli.console import PATIENCE, Console, Running
from tests.threats.site import Server, Site, as_json

CANARY = "c4nary"
SHOP = """
import asyncio
from pydantic import BaseModel
from penstock import App, Context, Reject, Retry

ONCE = Retry(attempts=1)
app = App(name="shop")

class Card(BaseModel):
    number: int
    owner: str = ""

@app.task(queue="mail")
async def pay(card: str) -> str:
    return card

@app.task(queue="mail", isolation="process")
def pay_apart(card: str) -> str:
    return card

@app.task(queue="mail", retry=ONCE)
async def fail(ctx: Context, card: str) -> None:
    own = card, ctx.headers
    raise ValueError("declined by the bank")

@app.task(queue="mail", retry=ONCE)
def fail_on_a_thread(card: str) -> None:
    raise KeyError("declined on a thread")

@app.task(queue="mail", retry=ONCE, isolation="process")
def fail_apart(card: str) -> None:
    raise KeyError("declined in a process")

@app.task(queue="mail")
async def reject(card: str) -> None:
    raise Reject("rejected by the bank")

@app.task(queue="mail", retry=ONCE, timeout=0.01)
async def hang(card: str) -> None:
    await asyncio.Event().wait()

@app.task(queue="mail", retry=ONCE)
async def model(card: Card) -> None: ...

@app.task(queue="mail", retry=ONCE)
async def number(card: int) -> None: ...

@fail.on_dead
async def tell(letter) -> None:
    raise RuntimeError("nobody can be told")
"""
ENDS_WELL = ["pay", "pay_apart"]
ENDS_BADLY = ["fail", "fail_on_a_thread", "fail_apart", "reject", "hang", "number"]
OWN_WORDS = ["declined by the bank", "declined on a thread", "declined in a process"]
BODIES = {
    "model": [
        {"card": {"number": CANARY}},
        {"card": {"number": 1, "owner": {CANARY: CANARY}}},
        {"card": CANARY},
        {"card": {"owner": CANARY}},
    ],
    "pay": [{"card": {"number": CANARY}}, {"card": "1", "other": CANARY}, [CANARY], CANARY],
}

LISTS = ["queues ls", "jobs ls", "dead ls", "topics ls", "schedules ls", "store status", "health live"]


@pytest.fixture
def console(site: Site, tmp_path: Path) -> Console:
    """Its store's URL has a password, too, if it can have one."""
    (tmp_path / "shop.py").write_text(SHOP)
    return Console(tmp_path, with_password(site.url) if isinstance(site, Server) else site.url)


def with_password(url: str) -> str:
    return re.sub(r"//([^@/:]+)@", rf"//\1:{CANARY}@", url)


@pytest.mark.parametrize("form", ["json", "text"])
async def test_a_workers_log_holds_no_argument(site: Site, console: Console, form: str) -> None:
    headers = as_json({"authorization": CANARY})
    well = [site.put(f"shop.{task}", as_json({"card": CANARY}), headers=headers) for task in ENDS_WELL]
    badly = [site.put(f"shop.{task}", as_json({"card": CANARY}), headers=headers) for task in ENDS_BADLY]
    for task, wrong in BODIES.items():
        badly += [site.put(f"shop.{task}", as_json(body), headers=headers, options=b'{"attempts":1}') for body in wrong]
    app = site.app()
    with console.worker("--log-format", form) as worker:
        assert [await app.job(job).result(timeout=PATIENCE) for job in well] == [CANARY, CANARY]
        for job in badly:
            with pytest.raises(JobFailed) as caught:
                await app.job(job).result(timeout=PATIENCE)
            assert CANARY not in str(caught.value)
        await asyncio.to_thread(said, worker)
        assert worker.stop() == 0
    log = "".join(worker.seen)
    assert CANARY not in log
    assert [words for words in OWN_WORDS if words not in log] == []


def said(worker: Running) -> None:
    """All stacks, too."""
    worker.send(signal.SIGUSR1)
    worker.until("most recent call first")


async def test_lists_hold_no_argument_and_no_password(site: Site, console: Console) -> None:
    """`jobs show` and `dead show` are for looking at them."""
    job = site.put("shop.pay", as_json({"card": CANARY}), headers=as_json({"authorization": CANARY}))
    wrong, app = site.put("shop.model", as_json({"card": CANARY})), site.app()
    with console.worker():
        assert await app.job(job).result(timeout=PATIENCE) == CANARY
        with pytest.raises(JobFailed):
            await app.job(wrong).result(timeout=PATIENCE)
    answers = [console.run(*command.split()) for command in LISTS]
    assert [answer for answer in answers if CANARY in answer.out + answer.err or not answer.out + answer.err] == []
    assert CANARY in console.ok("jobs", "show", job).out


def test_objects_of_an_app_show_no_argument() -> None:
    """Whoever logs one of them."""
    app = App("postgresql://sam:c4nary@127.0.0.1:1/shop", name="shop")

    @app.task()
    async def pay(card: str) -> str:
        return card

    using = pay.using(headers={"authorization": CANARY})
    shown = [repr(each) for each in (app, app.found.masked, pay, using, using.bind(CANARY), app.job("1"), app.sync, using.sync)]
    assert [each for each in shown if CANARY in each] == []
