"""What a URL of PostgreSQL means."""

import pytest

from penstock.errors import ConfigurationError
from penstock.stores.postgres.address import parse


def test_our_options_do_not_reach_the_driver() -> None:
    address = parse("postgresql://sam:secret@db:5433/shop?schema=tenant_7&feed=strict&sslmode=require", "masked")
    assert (address.dsn, address.schema, address.strict) == ("postgresql://sam:secret@db:5433/shop?sslmode=require", "tenant_7", True)


def test_without_options_the_schema_is_penstock_and_the_feed_has_a_floor() -> None:
    address = parse("postgres://db/shop", "masked")
    assert (address.dsn, address.schema, address.strict) == ("postgresql://db/shop", "penstock", False)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql+asyncpg://db/shop", "leave the driver out"),
        ("postgresql://db/shop?schema=Tenant", "schema"),
        ("postgresql://db/shop?schema=pg_own", "schema"),
        ("postgresql://db/shop?schema=a;drop", "schema"),
        ("postgresql://db/shop?feed=fast", "floor or strict"),
        ("postgresql://sam:a#b@db/shop", "%23"),
    ],
)
def test_what_is_wrong_is_said(url: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said) as refused:
        parse(url, "postgresql://sam:***@db/shop")
    assert "sam:***" in str(refused.value)
