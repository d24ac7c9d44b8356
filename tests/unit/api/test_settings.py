"""Which store, under which name, from which words; and how an app is found."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from penstock import App, config, connect
from penstock.app import load_app
from penstock.errors import ConfigurationError


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "My Shop"\n[tool.penstock]\nstore = "sqlite:///data/shop.db"\n')
    (tmp_path / "src" / "shop").mkdir(parents=True)
    return tmp_path


# -- discovery


def test_what_is_given_wins_then_the_environment_then_the_project(project: Path) -> None:
    start, environ = project / "src" / "shop", {"PENSTOCK_STORE": "sqlite:////env.db"}
    assert config.app_store("sqlite:////given.db", start, environ) == config.Found("sqlite:////given.db", "given")
    assert config.app_store(None, start, environ) == config.Found("sqlite:////env.db", "PENSTOCK_STORE")
    assert config.app_store(None, start, {}) == config.Found(f"sqlite:///{project}/data/shop.db", "pyproject.toml")
    assert config.find_store(None, start, {"PENSTOCK_STORE": ""}) == config.app_store(None, start, {})


def test_an_app_has_a_default_beside_the_project_and_a_command_has_none(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("")
    (tmp_path / "deep").mkdir()
    assert config.app_store(None, tmp_path / "deep", {}) == config.Found(f"sqlite:///{tmp_path}/penstock.db", "default")
    assert config.find_store(None, tmp_path / "deep", {}) is None


def test_without_a_project_the_default_is_beside_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "find_project", lambda start: None)
    assert config.app_store(None, tmp_path, {}).url == f"sqlite:///{tmp_path}/penstock.db"


def test_a_folder_with_odd_characters(tmp_path: Path) -> None:
    odd = tmp_path / "50% off #1?"
    odd.mkdir()
    (odd / "pyproject.toml").write_text("[tool.penstock]\nstore = 'sqlite:///a.db'\n")
    assert connect.sqlite_path(config.app_store(None, odd, {}).url) == odd / "a.db"
    (odd / "pyproject.toml").write_text("")
    assert connect.sqlite_path(config.app_store(None, odd, {}).url) == odd / "penstock.db"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[tool.penstock", "pyproject.toml: "),
        ("[tool.penstock]\nstore = 5", "store = 5 is not a URL"),
        ("[tool.penstock]\nstroe = 'x'", "[tool.penstock] knows store, not stroe"),
        ("[tool]\npenstock = 5", "[penstock] is not a table"),
    ],
)
def test_a_broken_project_file_is_named(tmp_path: Path, text: str, problem: str) -> None:
    (tmp_path / "pyproject.toml").write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        config.find_store(None, tmp_path, {})
    assert problem in str(caught.value)
    assert str(tmp_path) in str(caught.value)


def test_an_apps_name_is_the_projects_or_the_files(project: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    assert config.app_name(project / "src" / "shop" / "app.py", project / "src") == "My-Shop"
    bare = tmp_path_factory.mktemp("bare")
    for file, name in (("shop.py", "shop"), ("shop/__init__.py", "shop"), ("shop/__main__.py", "shop"), ("mein laden.py", "mein-laden")):
        assert config.app_name(bare / file, bare) == name
    assert config.app_name(None, bare) == "app"


def test_an_app_knows_its_name_and_store_without_opening(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PENSTOCK_STORE", raising=False)
    file = project / "src" / "shop" / "jobs.py"
    file.write_text("from penstock import App\napp = App()\n")
    names: dict[str, App] = {}
    exec(compile(file.read_text(), str(file), "exec"), names)
    assert names["app"].name == "My-Shop"
    assert names["app"].found == config.Found(f"sqlite:///{project}/data/shop.db", "pyproject.toml")
    assert not (project / "data").exists()


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("sqlite:///shop.db", "sqlite:///shop.db"),
        ("postgresql://me:secret@db/shop", "postgresql://me:***@db/shop"),
        ("postgresql://me:p@ss@db:5432/shop?sslmode=off", "postgresql://me:***@db:5432/shop?sslmode=off"),
        ("postgresql://me@db/shop", "postgresql://me@db/shop"),
        ("postgresql://db/shop?user=me&password=secret&x=1", "postgresql://db/shop?user=me&password=***&x=1"),
    ],
)
def test_credentials_are_masked(url: str, shown: str) -> None:
    assert config.masked(url) == shown


# -- URLs


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:////var/lib/shop.db", "/var/lib/shop.db"),
        ("sqlite:///shop.db", f"{Path.cwd()}/shop.db"),
        ("sqlite:///data/my%20shop.db", f"{Path.cwd()}/data/my shop.db"),
    ],
)
def test_a_sqlite_url_names_a_file(url: str, path: str) -> None:
    assert str(connect.sqlite_path(url)) == path


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("shop.db", "is not a URL; a store is sqlite:///relative.db, sqlite:////absolute.db or postgresql://"),
        ("", "is not a URL"),
        ("sqlite://shop.db", "three slashes, or four for an absolute path"),
        ("sqlite:shop.db", "three slashes"),
        ("sqlite://", "three slashes"),
        ("sqlite:///", "names no file"),
        ("sqlite:///:memory:", "a store in memory cannot be shared, nor survive"),
        ("sqlite:///a.db?mode=ro", "unknown option 'mode'; a sqlite store takes none"),
        ("sqlite:///a.db#x", "write it as %23"),
        ("sqlite+aiosqlite:///a.db", "leave the driver out"),
        ("postgresql://me:secret@db/shop?schema=A", "schema='A'"),
        ("mysql://me:secret@db/shop", "there is no store for 'mysql'; a store is sqlite:///"),
        ("kafka://localhost", "there is no store for 'kafka'"),
    ],
)
def test_a_bad_url_is_refused_where_the_app_is_made(url: str, problem: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        App(url)
    assert problem in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"name": "my shop"}, "App(name=…): 'my shop' is not a name"),
        ({"name": ""}, "is not a name"),
        ({"durability": "fast"}, "'power', 'process' or 'inherit'"),
        ({"payload_limit": 0}, "bytes, at least 1024"),
        ({"lifespan": 5}, "pass the function"),
    ],
)
def test_a_bad_option_of_the_app_is_refused(options: dict[str, object], problem: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        App("sqlite:///a.db", **options)  # type: ignore[arg-type]
    assert problem in str(caught.value)


def test_a_missing_extra_gives_the_install_line() -> None:
    with pytest.raises(ConfigurationError) as caught:
        connect.require("nowhere_to_be_found.sub", "demo")
    assert str(caught.value) == 'nowhere_to_be_found.sub is not installed; install it with:  pip install "penstock[demo]"'
    assert connect.require("json.decoder", "demo").__name__ == "json.decoder"


# -- module:app


@pytest.fixture
def code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    (tmp_path / "a_shop.py").write_text("from penstock import App\napp = App(name='shop')\nnumber = 5\nclass site:\n    app = app\n")
    (tmp_path / "a_broken_shop.py").write_text("import nowhere_to_be_found\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield tmp_path
    sys.modules.pop("a_shop", None)


def test_an_app_is_found_by_module_and_name(code: Path) -> None:
    assert load_app("a_shop:app").name == "shop"
    assert load_app("a_shop:site.app") is load_app("a_shop:app")


@pytest.mark.parametrize(
    ("target", "problem"),
    [
        ("a_shop", "name an app as module:variable, e.g. shop:app"),
        (":app", "name an app as module:variable"),
        ("a_shop:", "name an app as module:variable"),
        ("a_shpo:app", "there is no module 'a_shpo' in"),
        ("a_shpo.jobs:app", "there is no module 'a_shpo.jobs'"),
        ("a_shop:ap", "has no 'ap'; did you mean app?"),
        ("a_shop:number", "is a int, not a penstock.App"),
    ],
)
def test_an_app_that_is_not_found_says_why(code: Path, target: str, problem: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_app(target)
    assert problem in str(caught.value)


def test_what_the_module_raises_comes_through(code: Path) -> None:
    with pytest.raises(ModuleNotFoundError, match="nowhere_to_be_found"):
        load_app("a_broken_shop:app")


def test_importing_penstock_is_light() -> None:
    command = [sys.executable, "-c", "import sys; from penstock import App; print([m for m in sys.modules if m.split('.')[0] in HEAVY])"]
    command[2] = command[2].replace("HEAVY", "('sqlite3', 'sqlalchemy', 'click', 'pydantic', 'attrs', 'starlette')")
    assert connect.require("subprocess", "").check_output(command, text=True).strip() == "[]"
