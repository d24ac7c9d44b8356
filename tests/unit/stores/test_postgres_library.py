"""Statements in the language of PostgreSQL's drivers."""

from pathlib import Path

import pytest

from penstock.errors import ConfigurationError
from penstock.model.statement import Statement
from penstock.stores.postgres.library import Driver, PostgresLibrary
from penstock.stores.sql.library import Library

TEXTS = {
    "look": "select seq from penstock.message where queue = :queue and id = :id::text and note like 'a%' and queue = :queue",
    "keep": "insert into penstock.message (id, seq) select * from unnest(:rows(text, bigint))",
    "kept": "select :note::text, * from unnest(:rows(text))",
    "all": "select 1",
}


@pytest.mark.parametrize(
    ("driver", "sql", "params"),
    [
        ("asyncpg", "queue = $1 and id = $2::text and note like 'a%' and queue = $1", ["q", "a"]),
        ("psycopg", "queue = %(queue)s and id = %(id)s::text and note like 'a%%' and queue = %(queue)s", {"queue": "q", "id": "a"}),
    ],
)
def test_parameters_are_marked_as_the_driver_wants_them(driver: Driver, sql: str, params: object) -> None:
    library = PostgresLibrary(TEXTS, driver=driver)
    assert library.calls(Statement("look", {"id": "a", "queue": "q"})) == ((f"select seq from penstock.message where {sql}", params),)


def test_rows_go_out_as_one_array_a_column() -> None:
    ((sql, params),) = PostgresLibrary(TEXTS).calls(Statement("keep", values=["a", 1, "b", 2, "c", 3], width=2))
    assert sql.endswith("select * from unnest($1::text[], $2::bigint[])")
    assert params == [["a", "b", "c"], [1, 2, 3]]


def test_the_schema_is_put_in_its_place() -> None:
    library = PostgresLibrary(TEXTS, schema='the "shop"')
    ((sql, _),) = library.calls(Statement("keep", values=[], width=2))
    assert sql.startswith('insert into "the ""shop""".message (id, seq)')


def test_a_statement_without_parameters_takes_none() -> None:
    assert PostgresLibrary(TEXTS).calls(Statement("all")) == (("select 1", []),)


def test_parameters_go_beside_rows() -> None:
    ((sql, params),) = PostgresLibrary(TEXTS).calls(Statement("kept", {"note": "x"}, values=["a", "b"], width=1))
    assert sql == "select $1::text, * from unnest($2::text[])"
    assert params == ["x", ["a", "b"]]


def test_a_statement_that_is_not_there_is_an_error() -> None:
    with pytest.raises(KeyError):
        PostgresLibrary(TEXTS).calls(Statement("nothing"))


def test_a_name_stands_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    package = tmp_path / "twice_defined"
    (package / "sql").mkdir(parents=True)
    (package / "__init__.py").touch()
    for name in ("a.sql", "b.sql"):
        (package / "sql" / name).write_text("-- name: look\nselect 1\n")
    with pytest.raises(ConfigurationError, match=r"b\.sql: the statement look is defined twice"):
        Library.load("twice_defined")
