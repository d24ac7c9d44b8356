"""What a job costs as there is more of something: that it is measured, not how much it is."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks.growth import Axis, axes, grown, growth, upto


def test_sizes_are_ten_times_as_many_each_time() -> None:
    assert upto(1_000, 1_000_000) == [1_000, 10_000, 100_000, 1_000_000]
    assert {name: (axis.sizes[0], axis.sizes[-1]) for name, axis in axes(1_000_000).items()} == {
        "depth": (1_000, 1_000_000),
        "payload": (100, 100_000),
        "keys": (1, 100_000),
        "subscriptions": (1, 32),
        "processes": (1, 4),
    }


def test_a_cost_is_the_median_of_its_rounds_beside_that_of_the_first_size() -> None:
    taken = iter([1e-6, 3e-6, 2e-6, 9e-6, 9e-6, 4e-6])
    axis = Axis("jobs", (1, 2), lambda sites, size, count: next(taken))
    assert grown("depth", axis, lambda name: None, 3, 1_000) == [  # type: ignore[arg-type, return-value]
        {"size": 1, "us": 2.0, "times": 1.0},
        {"size": 2, "us": 4.0, "times": 2.0},
    ]


@pytest.mark.parametrize("on", ["sqlite", "postgres"])
def test_more_processes(on: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, postgres_url: str) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PENSTOCK_BENCH_PAYLOAD", "89")
    options = ["--on", on, "--only", "processes", "--most", "1000", "--rounds", "1", "--json", "found.json"]
    done = CliRunner().invoke(growth, options)
    assert done.exit_code == 0, done.output
    found = json.loads(Path("found.json").read_text())
    assert [size["size"] for size in found["growth"]["processes"]] == [1, 2, 4]
    assert all(size["us"] > 0 for size in found["growth"]["processes"])
    assert found["machine"]["fsync_per_s"] > 0


def test_what_cannot_grow_is_refused() -> None:
    done = CliRunner().invoke(growth, ["--only", "weight"])
    assert done.exit_code == 2 and "there are depth, payload, keys, subscriptions, processes" in done.output
