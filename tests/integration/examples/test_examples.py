"""The examples do what their READMEs say."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import django
import pytest

from tests.integration.examples.running import ROOT, Example


@dataclass(frozen=True)
class Web:
    """Commands of a README."""

    setup: tuple[str, ...]
    serve: str
    free_port: str
    """What the server is told beyond."""
    work: str = "penstock worker shop:app"
    orders: str = "orders"
    receipt: str = "receipt for order 1"


MUG = "from shop.models import Product; Product.objects.create(sku='mug', left=1)"
WEB = {
    "fastapi": Web((), "uvicorn shop:web", "--port 0"),
    "flask": Web(("flask --app shop setup",), "flask --app shop run", "--port 0", receipt="receipt for order 1 from shop@example.com"),
    "django": Web(
        ("python manage.py migrate --run-syncdb", f'python manage.py shell -c "{MUG}"'),
        "python manage.py runserver",
        "--noreload 0",
        "python manage.py penstock_worker",
        orders="shop_order",
    ),
}
SQLALCHEMY = ("python shop.py setup", "python shop.py order mug", "penstock worker shop:app")


@pytest.fixture(params=WEB)
def web(request: pytest.FixtureRequest, fast: Path) -> tuple[Web, Example]:
    example = Example(request.param, fast)
    for command in WEB[request.param].setup:
        example.run(command)
    return WEB[request.param], example


def test_an_order_and_its_job_commit_together_and_the_job_runs(web: tuple[Web, Example]) -> None:
    plan, example = web
    with example.served(f"{plan.serve} {plan.free_port}") as client:
        answer = client.post("/orders", json={"sku": "mug"})
        assert answer.status_code == 202 and answer.json()["order"] == 1
        assert example.kept(plan.orders) == (1, 1)  # before anybody works
        with example.working(plan.work):
            assert client.get(f"/jobs/{answer.json()['job']}").json() == {"result": plan.receipt}
        assert example.receipts(plan.orders) == [plan.receipt]


def test_a_request_that_rolls_back_leaves_neither(web: tuple[Web, Example]) -> None:
    plan, example = web
    with example.served(f"{plan.serve} {plan.free_port}") as client:
        assert client.post("/orders", json={"sku": "cup"}).status_code == 409
        assert example.kept(plan.orders) == (0, 0)
        assert client.post("/orders", json={"sku": "mug"}).status_code == 202  # and nothing of it is in the way of the next
        assert example.kept(plan.orders) == (1, 1)


def test_sqlalchemy_without_a_web_framework(fast: Path) -> None:
    example = Example("sqlalchemy", fast)
    setup, order, work = SQLALCHEMY
    example.run(setup)
    job = example.run(order)
    assert example.kept() == (1, 1)
    assert "SoldOut: mug" in example.run(order, code=1)
    assert example.kept() == (1, 1)
    with example.working(work):
        assert example.run(f"python shop.py result {job}") == "receipt for order 1"
    assert example.receipts() == ["receipt for order 1"]


@pytest.mark.parametrize("name", ["sqlalchemy", *WEB])
def test_its_readme_says_these_commands(name: str) -> None:
    text = (ROOT / "examples" / name / "README.md").read_text()
    commands = SQLALCHEMY if name == "sqlalchemy" else (*WEB[name].setup, WEB[name].serve, WEB[name].work)
    assert [command for command in commands if command not in text] == []


# -- Flask


def test_flask_in_many_processes(fast: Path) -> None:
    """A server that forks for each request: whatever the parent has opened, each child enqueues by itself."""
    example = Example("flask", fast)
    example.run("flask --app shop setup")
    (example.folder / "forking.py").write_text(FORKING)
    with example.served("python forking.py") as client:
        ends = [client.post("/orders", json={"sku": "mug"}).status_code for _ in range(5)]
        assert ends == [202] * 4 + [409]
    assert example.kept() == (4, 4)


FORKING = """
from sqlalchemy.orm import Session
from werkzeug.serving import make_server
from shop import Product, app, engine, web

with Session(engine) as session, session.begin():
    session.get_one(Product, "mug").left = 4
with app.sync.transaction() as tx:
    tx.execute("update products set left = 4")  # so the parent has the store open, too
server = make_server("127.0.0.1", 0, web, processes=8)
print(f"http://127.0.0.1:{server.port}", flush=True)
server.serve_forever()
"""


# -- Django


def test_djangos_tests_run(fast: Path) -> None:
    """Its exit code says whether they pass."""
    assert Example("django", fast).run("python manage.py test").startswith("Found 2 test(s).")


def test_djangos_worker_sets_django_up_wherever_it_is_started(fast: Path) -> None:
    example = Example("django", fast)
    example.run("python manage.py migrate --run-syncdb")
    manage, example.folder = example.folder / "manage.py", fast
    with example.working(f"python {manage} penstock_worker --processes 2"):
        assert list(fast.glob("*.db")) == []


def test_a_child_process_sets_django_up_too(fast: Path) -> None:
    example = Example("django", fast)
    with (example.folder / "shop" / "tasks.py").open("a") as tasks:
        tasks.write(COUNT_APART)
    example.run("python manage.py migrate --run-syncdb")
    with example.working("python manage.py penstock_worker --children 1"):
        counted = "from shop.tasks import count_apart as c; print(c.sync.enqueue().sync.result(timeout=20))"
        assert example.run(f'python manage.py shell -v 0 -c "{counted}"').split()[-1] == "0"


COUNT_APART = """

@app.task(isolation="process")
def count_apart() -> int:
    return Order.objects.count()
"""


def test_a_mistake_in_a_tasks_module_is_told(fast: Path) -> None:
    example = Example("django", fast, DJANGO_SETTINGS_MODULE="shop.settings")
    with (example.folder / "shop" / "tasks.py").open("a") as tasks:
        tasks.write("\napp.no_such_thing\n")
    assert "has no attribute 'no_such_thing'" in example.run("python manage.py penstock_worker", code=1)
    told = example.run("penstock worker penstock.integrations.django.worker:app", code=78)
    assert "cannot set up Django: AttributeError: 'App' object has no attribute 'no_such_thing'" in told


COUNT = "from shop.reports import count_orders as c; print(c.enqueue(sku='mug').id)"
RESULT = "from shop.tasks import app; print(app.job('{0}').sync.result(timeout=20)); "
RESULT += "from shop.reports import count_orders as c; r = c.get_result('{0}'); print(r.status, r.return_value)"


def test_djangos_own_tasks_run_in_the_worker(fast: Path) -> None:
    example = Example("django", fast)
    example.run("python manage.py migrate --run-syncdb")
    if django.VERSION < (6, 0):
        assert "No module named 'django.tasks'" in example.run(f'python manage.py shell -c "{COUNT}"', code=1)
        return
    job = example.run(f'python manage.py shell -v 0 -c "{COUNT}"')
    with example.working("python manage.py penstock_worker --queues reports"):
        assert example.run(f'python manage.py shell -v 0 -c "{RESULT.format(job)}"').split() == ["0", "SUCCESSFUL", "0"]
