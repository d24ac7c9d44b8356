"""Every machine on both stores, the same few runs each time; and that each of them sees what is wrong.

`make properties` runs thousands, others each time.
"""

from __future__ import annotations

import pytest
from hypothesis.stateful import run_state_machine_as_test

from penstock.testing.conformance import Ground
from penstock.testing.storage import fast_folder
from tests.conformance.sqlite_backend import SqliteBackend
from tests.properties.calendar_machine import CalendarMachine
from tests.properties.log_machine import LogMachine
from tests.properties.machines import OnPostgres, StoreMachine, few
from tests.properties.queue_machine import QueueMachine
from tests.properties.unique_machine import UniqueMachine
from tests.properties.wrong import WRONGS, Wrong, WrongGround

pytestmark = pytest.mark.timeout(600)
"""It takes seconds; but what fails is made small before it is shown."""


@pytest.mark.parametrize(("machine", "examples"), [(QueueMachine, 40), (UniqueMachine, 100), (LogMachine, 40), (CalendarMachine, 50)])
def test_on_sqlite(machine: type[StoreMachine], examples: int) -> None:
    run_state_machine_as_test(machine, settings=few(examples))


@pytest.mark.parametrize(("machine", "examples"), [(QueueMachine, 12), (UniqueMachine, 30), (LogMachine, 8), (CalendarMachine, 12)])
def test_on_postgresql(machine: type[StoreMachine], examples: int, postgres_url: str) -> None:
    class Machine(OnPostgres, machine):
        server = postgres_url

    run_state_machine_as_test(Machine, settings=few(examples))


@pytest.mark.parametrize("wrong", WRONGS, ids=lambda wrong: wrong.what)
def test_what_is_wrong_is_seen(wrong: Wrong) -> None:
    class Machine(wrong.machine):
        def make_ground(self) -> Ground:
            return WrongGround(SqliteBackend(self.stack.enter_context(fast_folder())), wrong.kind)

    with pytest.raises(AssertionError):
        run_state_machine_as_test(Machine, settings=few(300, shrinking=False))
