"""A user's `:name` parameters become asyncpg's, and nothing else does."""

import pytest

from penstock.errors import ConfigurationError
from penstock.stores.postgres.marks import bind


@pytest.mark.parametrize(
    ("sql", "text", "names"),
    [
        ("select :a, :b, :a", "select $1, $2, $1", "ab"),
        ("select :a::int", "select $1::int", "a"),
        ("select ':a', :b", "select ':a', $1", "b"),
        ("select 'it''s :a', :b", "select 'it''s :a', $1", "b"),
        (r"select e'it\'s :a', :b", r"select e'it\'s :a', $1", "b"),
        (r"select 'a\', :b", r"select 'a\', $1", "b"),
        ('select ":a", :b', 'select ":a", $1', "b"),
        ("select 1 -- :a\n, :b", "select 1 -- :a\n, $1", "b"),
        ("select /* :a */ :b", "select /* :a */ $1", "b"),
        ("select $$ :a $$, :b", "select $$ :a $$, $1", "b"),
        ("select $x$ :a $$ $x$, :b", "select $x$ :a $$ $x$, $1", "b"),
        ("select a[1:2], :b", "select a[1:2], $1", "b"),
        ("select x::text::jsonb", "select x::text::jsonb", ""),
    ],
)
def test_parameters_are_marked(sql: str, text: str, names: str) -> None:
    assert bind(sql, {name: name.upper() for name in "abcd"}) == (text, [name.upper() for name in names])


def test_a_parameter_without_a_value_is_refused_by_name() -> None:
    with pytest.raises(ConfigurationError, match="no value was given for :who"):
        bind("select :who", {"whom": 1})


def test_values_that_nobody_asks_for_are_left_out() -> None:
    assert bind("select 1", {"a": 1}) == ("select 1", [])
