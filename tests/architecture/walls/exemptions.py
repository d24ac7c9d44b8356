"""Who may break which wall, and why. A path that ends in / means everything below it."""

from pathlib import Path

SRC = "src/penstock/"

LATE_IMPORTS = {
    SRC + "connect.py": "turns a URL into an adapter: the one lazy import",
    SRC + "cli/lazy.py": "loads a sub-command when it is asked for, so that `health` starts fast",
}
MANY_PARAMETERS = {
    SRC + "api/": "the public API names every option",
    SRC + "app.py": "the public API names every option",
}
MANY_IMPORTS = {
    SRC + "app.py": "the only module that knows everyone",
    SRC + "cli/": "a shell",
    SRC + "connect.py": "turns a URL into an adapter",
    SRC + "stores/postgres/dialect.py": "names all programs of a dialect",
    SRC + "stores/postgres/store.py": "puts the parts of a store together",
    SRC + "stores/sqlite/reaping.py": "the whole of a rescue in one page, for a process that has no store open",
    SRC + "stores/sqlite/store.py": "puts the parts of a store together",
    SRC + "testing/borrowed/errands.py": "the whole of a worker's work on one page, for a transaction that has no worker",
    SRC + "testing/borrowed/store.py": "puts the parts of a store together",
}
WALL_CLOCK = {
    SRC + "model/clock.py": "where time comes in",
}
DYNAMIC_NAMES = {
    SRC + "__init__.py": "loads the public names when they are asked for, so that `health` starts fast",
    SRC + "connect.py": "turns a URL into an adapter",
    SRC + "integrations/django/apps.py": "imports the `tasks` modules of the installed apps",
    SRC + "testing/__init__.py": "loads the public names when they are asked for, so that pytest starts fast",
    SRC + "cli/lazy.py": "loads sub-commands by name",
}
COMPOSED_SQL = {
    SRC + "cli/bench/": "makes and drops databases of its own, by names that it makes",
    SRC + "cli/demo/": "makes and drops tables of its own, by names that stand in the code",
    SRC + "integrations/engines.py": "settings of a transaction, which are constants",
    SRC + "stores/postgres/access.py": "settings of a transaction, which are constants",
    SRC + "stores/postgres/carriers.py": "settings of a session, which are constants",
    SRC + "stores/postgres/contents.py": "tables and columns that stand in the code",
    SRC + "stores/postgres/copysource.py": "sequences that stand in the code",
    SRC + "stores/postgres/copytarget.py": "tables and sequences that stand in the code",
    SRC + "stores/postgres/handle.py": "savepoints, by names that are made there",
    SRC + "stores/postgres/migrate.py": "a schema's quoted name, and facts that are made there",
    SRC + "stores/postgres/pool.py": "settings of a session, which are constants; a process id that libpq gave as a number",
    SRC + "stores/sqlite/copysource.py": "tables and columns that stand in the code",
    SRC + "stores/sqlite/handle.py": "savepoints, by names that are made there",
    SRC + "stores/sqlite/migrate.py": "facts that are made there",
    SRC + "stores/sqlite/writer.py": "a pragma, with one of two words",
}
PACKAGE_ROOT = {
    SRC + "cli/": "its demo is a user's program",
    SRC + "web/": "a shell",
    SRC + "testing/": "a shell",
    SRC + "__main__.py": "a shell",
}
SERVER_TIME: dict[str, str] = {
    "stores/postgres/sql/identity.sql:server_time": "measures the offset that store time is kept with",
}
SLEEPS: dict[str, str] = {
    "src/penstock_faults/victim.py": "a helper process that has to be caught at work",
    "src/penstock_faults/kills.py": "paces a load of its own",
    "src/penstock_faults/crowds.py": "paces a load of its own; its slow handler is slow",
    "src/penstock_faults/feed.py": "its writers think, as users do; its readers poll",
    "src/penstock_faults/keeper.py": "a helper process that has to be caught at work",
    "src/penstock_faults/member.py": "paces a load of its own; its handlers take their time",
    "src/penstock_faults/offered.py": "offers a load at a steady rate",
    "src/penstock_faults/pinned.py": "lets periods pass, which are what it compares",
    "src/penstock_faults/proxy.py": "lets replies be late",
    "src/penstock_faults/slowed.py": "paces a load of its own; its handlers are slow",
    "src/penstock_faults/waiting.py": "waits by looking, for other processes",
    "src/penstock_faults/writer.py": "paces a load of its own, while a transaction stays open for so long",
}
SKIPS = {
    "tests/conformance/test_capabilities.py": "asserts that the suite leaves out what a store cannot do",
    "tests/conftest.py": "a server, a disk, a network, a traced process, that cannot be had away from CI; other libraries, to be measured",
}


def is_exempt(path: Path, exemptions: dict[str, str]) -> bool:
    name = path.as_posix()
    return any(name == known or (known.endswith("/") and name.startswith(known)) for known in exemptions)
