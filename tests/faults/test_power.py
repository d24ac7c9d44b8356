"""The short form of the power cuts: `python -m penstock_faults.power --cuts 300` is the long one."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from penstock_faults.disk import spinning
from penstock_faults.site import Site
from tests.conftest import services, started
from tests.faults.programs import verdict_of

CUTS, OF_ALL, OF_A_SERVER = 20, 12, 10
"""Of a file; of a server with all who use it, and alone: more than 20 of each store."""


@pytest.mark.timeout(300)
def test_power_cuts_lose_nothing_of_a_file(disks: None) -> None:
    found = cut(CUTS, 11)
    assert found["ok"], found
    assert found["acknowledged"] > 100 * CUTS


@pytest.mark.timeout(300)
def test_power_cuts_lose_nothing_of_a_server(disks: None, postgres_url: str) -> None:
    found = cut(OF_ALL, 12, "--server")
    assert found["ok"], found
    assert found["acknowledged"] > 100 * OF_ALL


@pytest.mark.timeout(300)
def test_power_cuts_of_a_server_lose_nothing_of_those_who_live_on(disks: None, postgres_url: str) -> None:
    found = cut(OF_A_SERVER, 14, "--server", "--survivors")
    assert found["ok"], found
    assert found["acknowledged"] > 100 * OF_A_SERVER


@pytest.mark.timeout(120)
@pytest.mark.parametrize("where", [(), ("--server",)])
def test_that_nobody_syncs_is_seen(disks: None, postgres_url: str, where: Sequence[str]) -> None:
    """This test's own eyes: processes may crash, and power may not fail."""
    found = cut(4, 13, "--durability", "process", *where)
    assert found["ok"], found
    assert found["lost_after_a_cut"]


def test_a_disk_writes_nothing_that_nobody_asked_for(disks: None, tmp_path: Path) -> None:
    """Else what nobody had synced could be there after a cut, now and then, and the run would be void."""
    with spinning(tmp_path) as disk:
        (options,) = (line.split()[3] for line in Path("/proc/mounts").read_text().splitlines() if line.split()[1] == str(disk.root))
    seconds = [int(option.removeprefix("commit=")) for option in options.split(",") if option.startswith("commit=")]
    assert seconds and seconds[0] > 600


@pytest.mark.parametrize(("what", "harm"), [("effects", b"\xff" * 64), ("effects_pkey", bytes(8192))], ids=["a table", "an index"])
def test_a_damaged_page_of_a_server_is_seen(what: str, harm: bytes) -> None:
    with started("postgres", "--checksums") as (folder, url), Site.on(url) as site:
        site.rows("create table effects (n int primary key)")
        site.rows("insert into effects select generate_series(1, 1000)")
        assert site.soundness() == "ok"
        site.rows("checkpoint")  # else its log would mend the page
        (path,) = site.rows(f"select pg_relation_filepath('{what}')")[0]
        with Path(folder, "data", path).open("r+b") as file:
            file.seek(8192 + (8192 - len(harm)) // 64 * 64)
            file.write(harm)
        assert services("crash", folder).returncode == 0
        assert site.soundness() != "ok"


def cut(cuts: int, seed: int, *options: str) -> dict[str, Any]:
    """Not in pytest's own folder: a server started by root cannot enter it."""
    return verdict_of("power", "--cuts", cuts, "--seed", seed, "--disk", tempfile.gettempdir(), *options)
