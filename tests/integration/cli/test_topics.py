"""Topics and subscriptions from the command line."""

from dataclasses import dataclass

import pytest

from penstock import App
from tests.integration.cli.console import Console


@dataclass
class OrderPlaced:
    order: str


@dataclass
class Opened:
    owner: str


@pytest.fixture
def shop(console: Console) -> App:
    return App(f"sqlite:///{console.folder / 'shop.db'}", name="shop")


def publish(shop: App, *orders: str) -> list[str]:
    topic = shop.topic("orders", OrderPlaced, key=lambda event: event.order)
    ids = topic.sync.publish_many([OrderPlaced(order) for order in orders])
    shop.sync.close()
    return ids


def test_nothing_yet_says_what_makes_one(console: Console) -> None:
    for what in ("topics", "subscriptions"):
        answer = console.ok(what, "ls")
        assert answer.out == "" and f"no {what} yet" in answer.err
        assert console.json(what, "ls") == {what: [], "held_back": None}


def test_topics_and_their_events(console: Console, shop: App) -> None:
    first, _, third = publish(shop, "o-1", "o-2", "o-3")
    (topic,) = console.json("topics", "ls")["topics"]
    assert (topic["name"], topic["first"], topic["head"], topic["versioned"], topic["retention_s"]) == ("orders", 1, 3, False, None)
    events = console.json("topics", "show", "orders")["events"]
    assert [(event["position"], event["id"], event["type"], event["key"], event["event"]) for event in events][::2] == [
        (1, first, "OrderPlaced", "o-1", {"order": "o-1"}),
        (3, third, "OrderPlaced", "o-3", {"order": "o-3"}),
    ]
    assert [event["position"] for event in console.json("topics", "show", "orders", "--after", "1", "--limit", "1")["events"]] == [2]
    shown = console.ok("topics", "show", "orders").out
    assert "OrderPlaced" in shown and '{"order":"o-2"}' in shown
    wrong = console.run("topics", "show", "order")
    assert (wrong.code, "did you mean orders?" in wrong.err) == (1, True)


def test_a_key_of_another_topic_is_refused(console: Console, shop: App) -> None:
    """Rather than told that there is no such event."""
    publish(shop, "o-1")
    answer = console.run("topics", "show", "orders", "--key", "o-1")
    assert (answer.code, answer.out, "orders is not versioned: its events are not found by their key" in answer.err) == (2, "", True)


def test_a_key_of_a_versioned_topic(console: Console, shop: App) -> None:
    accounts = shop.topic("accounts", Opened, versioned=True)
    for version, owner in enumerate(("sam", "ann")):
        accounts.sync.append("acc-1", [Opened(owner)], expected=version)
    shop.sync.close()
    events = console.json("topics", "show", "accounts", "--key", "acc-1")["events"]
    assert [(event["version"], event["event"]) for event in events] == [(1, {"owner": "sam"}), (2, {"owner": "ann"})]
    assert "for ever, versioned" in console.ok("topics", "ls").out


def test_a_subscription_is_seen_and_sought(console: Console, shop: App) -> None:
    with console.worker("--log-format", "text") as worker:
        publish(shop, "o-1", "o-2")
        for _ in range(2):
            worker.until("shipped o-")
        assert worker.stop() == 0
    (ship,) = console.json("subscriptions", "ls")["subscriptions"]
    assert (ship["name"], ship["topic"], ship["position"], ship["unfed"], ship["waiting"], ship["dead"]) == (
        "shop.ship",
        "orders",
        2,
        0,
        0,
        0,
    )
    assert console.json("subscriptions", "seek", "shop.ship", "beginning") == {"subscription": "shop.ship", "position": 0, "dropped": 0}
    assert console.json("subscriptions", "ls")["subscriptions"][0]["unfed"] == 2
    listed = console.ok("subscriptions", "ls").out
    assert "shop.ship" in listed and "orders" in listed
    with console.worker("--log-format", "text") as worker:
        for _ in range(2):
            worker.until("shipped o-")
        kept = console.run("subscriptions", "drop", "shop.ship")
        assert (kept.code, "has subscription 'shop.ship' in its code" in kept.err) == (78, True)
        assert worker.stop() == 0
    assert "goes on behind position 2" in console.ok("subscriptions", "seek", "shop.ship", "end").out
    assert console.json("subscriptions", "seek", "shop.ship", "2000-01-01T00:00:00Z")["position"] == 0
    assert console.json("subscriptions", "drop", "shop.ship") == {"subscription": "shop.ship", "dropped": 0}
    assert console.run("subscriptions", "drop", "shop.ship").code == 1
    with console.worker("--log-format", "text") as worker:
        assert worker.stop() == 0
    for target, name, code, message in (("soon", "shop.ship", 2, "a position"), ("end", "shop.shop", 1, "did you mean shop.ship?")):
        wrong = console.run("subscriptions", "seek", name, target)
        assert (wrong.code, message in wrong.err) == (code, True), wrong
