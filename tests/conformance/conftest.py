"""The suite's assertions explain themselves; it is imported only after this."""

import pytest

pytest.register_assert_rewrite("penstock.testing.conformance")
