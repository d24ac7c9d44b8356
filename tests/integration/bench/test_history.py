"""The comparison of a store with a long past runs, and says what it found. How fast it was is nobody's business here."""

import json

from click.testing import CliRunner

from benchmarks.history import history


def test_a_past_is_made_and_compared(postgres_url: str) -> None:
    words = ["--store", postgres_url, "--finished", "3000", "--waiting", "4000", "--depth", "1000", "--rounds", "2"]
    done = CliRunner().invoke(history, words)
    assert done.exit_code in (0, 1), done.output
    found = json.loads(done.stdout)
    assert set(found["ratios"]) == {"drain", "look", "look_after"}
    assert min(found["ratios"].values()) > 0
    assert found["ok"] is (max(found["ratios"]["drain"], found["ratios"]["look"]) <= 1.3)
