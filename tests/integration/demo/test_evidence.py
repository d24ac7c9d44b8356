"""What a real run left is tampered with, one thing at a time, and each time the sums say so."""

import asyncio
import json
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from penstock import connect
from penstock.cli.demo.evidence import gather
from penstock.cli.demo.plan import Plan
from penstock.cli.demo.reconcile import Verdict, reconcile
from penstock.observe.signals import Signals


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run without kills, in which everything added up."""
    folder = tmp_path_factory.mktemp("demo") / "data"
    command = [sys.executable, "-m", "penstock", "demo", "--for", "4", "--kills", "0", "--seed", "7", "--json", "--dir", str(folder)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert json.loads(done.stdout)["ok"], done.stdout + done.stderr
    return folder


def sql(statement: str) -> Callable[[Path], None]:
    def tamper(folder: Path) -> None:
        with closing(sqlite3.connect(folder / "demo.db")) as connection, connection:
            assert connection.execute(statement).rowcount == 1

    return tamper


def forget(file: str, words: str) -> Callable[[Path], None]:
    """The first line of a ledger that says so."""

    def tamper(folder: Path) -> None:
        lines = (folder / file).read_text().splitlines(keepends=True)
        lines.remove(next(line for line in lines if words in line))
        (folder / file).write_text("".join(lines))

    return tamper


def write_a_file(folder: Path) -> None:
    """One that some order wrote, too."""
    (folder / "temporary" / "receipt-1.txt").write_text("1 x mug\n")


def lose_a_file(folder: Path) -> None:
    with (folder / "shelf.jsonl").open("a") as ledger:
        ledger.write('{"type":"written","at":0,"name":"receipt-0.txt"}\n')


TAMPERED = {
    "a welcome twice": (sql("insert into welcomed select * from welcomed limit 1"), "effects twice: user"),
    "a welcome lost": (sql("delete from welcomed where rowid = 1"), "neither welcomed nor is a dead letter"),
    "an order lost": (sql("delete from orders where id = 1"), "was acknowledged and is no order"),
    "a stock move twice": (
        sql("insert into moves (order_id, product, quantity) select order_id, product, quantity from moves limit 1"),
        "is in moves 2 times",
    ),
    "a stock move lost": (sql("delete from moves where rowid = 1"), "is not in moves"),
    "a shipment twice": (
        sql("insert into shipments (order_id, user_id) select order_id, user_id from shipments limit 1"),
        "is in shipments 2 times",
    ),
    "a shipment lost": (sql("delete from shipments where rowid = 1"), "is not in shipments"),
    "a user changed": (
        sql("update users set address = 'eve@example.com' where rowid = (select max(rowid) from users)"),
        "in the table eve@example.com",
    ),
    "a user lost": (sql("delete from users where rowid = (select max(rowid) from users)"), "in the table not there"),
    "a user twice": (sql("insert into users select * from users limit 1"), "events replayed are not the table"),
    "an e-mail not sent": (forget("spool.jsonl", '"accepted"'), "welcomed without an e-mail"),
    "a sign-up that nobody made": (forget("visits.jsonl", '"tried"'), "user without a sign-up"),
    "an order that nobody placed": (forget("visits.jsonl", '"order tried"'), "order that nobody placed"),
    "a change that nobody asked for": (forget("visits.jsonl", '"change tried"'), "change that nobody asked for"),
    "a file lost": (lose_a_file, "gone, and nobody removed it"),
    "a file that came back": (write_a_file, "receipt-1.txt was removed and is still there"),
    "a removal that nobody told": (forget("shelf.jsonl", '"removed"'), "gone, and nobody removed it"),
    "a file that nobody wrote": (forget("shelf.jsonl", '"written"'), "file that nobody wrote"),
}


def test_what_is_kept_adds_up(kept: Path) -> None:
    assert verdict(kept).faults == ()


@pytest.mark.parametrize(("tamper", "words"), TAMPERED.values(), ids=TAMPERED.keys())
def test_tampering_is_found(tamper: Callable[[Path], None], words: str, kept: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(kept, tmp_path / "data")
    tamper(folder)
    found = verdict(folder)
    assert not found.ok
    assert any(words in fault for fault in found.faults), found.faults


def verdict(folder: Path) -> Verdict:
    return asyncio.run(_verdict(Plan(folder=folder, keep=True, seconds=None, kills=0, seed=7)))


async def _verdict(plan: Plan) -> Verdict:
    store = connect.make_store(plan.store, durability="power", signals=Signals(), limits={})
    await store.open()
    try:
        return reconcile(await gather(plan, store, kills=[]))
    finally:
        await store.close()
