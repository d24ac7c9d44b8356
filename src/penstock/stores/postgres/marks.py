"""A user's SQL with `:name` parameters, as drivers want it: `$1` for asyncpg, `%(name)s` for psycopg.

What stands in strings, quoted names, comments and dollar quotes is left alone, and so are casts (`::`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache

from penstock.errors import ConfigurationError

_TOKENS = re.compile(
    r"""
      (?i:\be'(?:[^'\\]|\\.|'')*')            # an escape string
    | '(?:[^']|'')*'
    | "(?:[^"]|"")*"
    | --[^\n]*
    | /\*.*?\*/
    | \$(?P<tag>[A-Za-z_]\w*|)\$.*?\$(?P=tag)\$  # a dollar quote
    | ::
    | (?<![:\w]):(?P<name>[A-Za-z_]\w*)
    """,
    re.VERBOSE | re.DOTALL,
)


def bind(sql: str, params: Mapping[str, object], driver: str = "asyncpg") -> tuple[str, Sequence[object] | Mapping[str, object]]:
    """Raises ConfigurationError for a parameter that is not given."""
    text, names = _marked(sql, numbered=driver == "asyncpg")
    try:
        return text, [params[name] for name in names] if driver == "asyncpg" else {name: params[name] for name in names}
    except KeyError as error:
        raise ConfigurationError(f"{sql.strip()[:60]!r}: no value was given for :{error.args[0]}") from None


@lru_cache(maxsize=1_000)
def _marked(sql: str, *, numbered: bool) -> tuple[str, tuple[str, ...]]:
    numbers: dict[str, int] = {}

    def mark(found: re.Match[str]) -> str:
        name = found["name"]
        if name is None:
            return found[0]
        number = numbers.setdefault(name, len(numbers) + 1)
        return f"${number}" if numbered else f"%({name})s"

    text = _TOKENS.sub(mark, sql if numbered else sql.replace("%", "%%"))
    return text, tuple(numbers)
