"""The log checker sees each anomaly, and nothing in a history that has none."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import fields, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.stores.sqlite import migrate
from penstock_faults.logbook import LANE, Anomalies, Entry, Sends, anomalies, entries
from penstock_faults.site import Site

NONE = Anomalies(**{each.name: [] for each in fields(Anomalies)})


def news(number: int) -> str:
    return f"news-{LANE + number}"


def entry(number: int) -> str:
    return f"entry-{LANE + number}"


def topic(*numbers: int) -> list[Entry]:
    return [Entry("news", place, news(number), None, None) for place, number in enumerate(numbers, 1)]


def stream(*versions: int) -> list[Entry]:
    return [Entry("accounts", place, entry(place), "a1", version) for place, version in enumerate(versions, 1)]


def sent(tried: int, *acknowledged: str) -> Sends:
    return Sends({*map(news, range(1, tried + 1)), *map(entry, range(1, tried + 1))}, list(acknowledged))


def heard(*numbers: int) -> Mapping[str, int]:
    return Counter(map(news, numbers))


@pytest.mark.parametrize(
    ("sends", "found", "ears", "wrong"),
    [
        (sent(3, news(1), news(3)), topic(1, 2, 3), heard(1, 2, 3), {}),
        (sent(3, news(1), news(3)), topic(1, 3), heard(3, 1), {}),
        (sent(2, news(1), news(2)), topic(1), heard(1), {"lost_events": [news(2)], "missed": [news(2)]}),
        (sent(2, news(1), news(2)), topic(1), heard(1, 2), {"lost_events": [news(2)]}),
        (sent(1, news(1)), topic(1, 1), heard(1), {"duplicated_events": [news(1)]}),
        (sent(1, news(1)), topic(1, 2), heard(1, 2), {"unexpected_events": [news(2)]}),
        (sent(1, news(1)), topic(1), heard(1, 2), {"unexpected_events": [news(2)]}),
        (sent(2, news(1), news(2)), topic(2, 1), heard(1, 2), {"disordered_events": [news(2)]}),
        (sent(2, news(1)), topic(1, 2), heard(1), {"missed": [news(2)]}),
        (sent(1, news(1)), topic(1), heard(1, 1), {"heard_twice": [news(1)]}),
        (sent(3, entry(1)), stream(1, 2, 3), {}, {}),
        (sent(3, entry(1)), stream(1, 3), {}, {"misplaced_versions": ["accounts a1"]}),
        (sent(3, entry(1)), stream(2, 1), {}, {"misplaced_versions": ["accounts a1"]}),
        (sent(3, entry(1)), stream(1, 2, 2), {}, {"misplaced_versions": ["accounts a1"]}),
    ],
)
def test_a_history_has_the_anomalies_that_it_has(
    sends: Sends, found: Sequence[Entry], ears: Mapping[str, int], wrong: Mapping[str, list[str]]
) -> None:
    assert anomalies(sends, found, ears, "news") == replace(NONE, **wrong)


@given(st.lists(st.sampled_from(["answered", "kept and unanswered", "gone and unanswered"]), max_size=30))
def test_a_right_history_has_none(fates: list[str]) -> None:
    kept = [n for n, fate in enumerate(fates, 1) if not fate.startswith("gone")]
    sends = sent(len(fates), *(news(n) for n, fate in enumerate(fates, 1) if fate == "answered"))
    assert anomalies(sends, topic(*kept), heard(*kept), "news") == NONE


def test_lanes_are_told_apart() -> None:
    other = f"news-{2 * LANE + 1}"
    found = [Entry("news", 1, other, None, None), Entry("news", 2, news(1), None, None)]
    assert anomalies(Sends({news(1), other}, [news(1), other]), found, {news(1): 1, other: 1}, "news") == NONE


def test_entries_are_read_from_a_file(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "store.db")) as connection:
        for _, script in migrate.scripts():
            connection.executescript(script)
        connection.executescript(
            """
            insert into penstock_topic (number, name, versioned, next, first) values (1, 'news', 0, 3, 1), (2, 'accounts', 1, 2, 1);
            insert into penstock_event (place, topic, id, type, key, version, at, given, body) values
                (2, 1, 'news-2', 'News', null, null, 1, 1, '{}'), (1, 1, 'news-1', 'News', null, null, 1, 1, '{}'),
                (3, 2, 'entry-1#a1:1', 'News', 'a1', 1, 1, 1, '{}');
            """
        )
    found = entries(Site(tmp_path / "store.db"))
    assert found == [
        Entry("accounts", 3, "entry-1", "a1", 1),
        Entry("news", 1, "news-1", None, None),
        Entry("news", 2, "news-2", None, None),
    ]
