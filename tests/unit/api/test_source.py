"""How a fresh interpreter finds an app that this one has, and a program that was started as a file."""

from __future__ import annotations

import os
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

import pytest

from penstock import App
from penstock.app import load_app
from penstock.connect import Source, load_module, load_object, nursery, source_of
from penstock.errors import ConfigurationError


@pytest.fixture
def app() -> App:
    return App(name="shop")


def module(monkeypatch: pytest.MonkeyPatch, name: str, **content: object) -> ModuleType:
    made = ModuleType(name)
    vars(made).update(content)
    monkeypatch.setitem(sys.modules, name, made)
    return made


def test_by_the_module_that_holds_it(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    module(monkeypatch, "__main__", shop=app)
    module(monkeypatch, "some.where", other=App(name="shop"), the_app=app)
    monkeypatch.setitem(sys.modules, "odd", object())  # type: ignore[arg-type]
    assert source_of(app) == Source("some.where:the_app")


def test_a_program_that_was_started_as_a_module(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    main = module(monkeypatch, "__main__", app=app, __file__="/srv/shop/run.py")
    main.__spec__ = ModuleSpec("shop.run", None)
    assert source_of(app) == Source("shop.run:app")


def test_a_program_that_was_started_as_a_file(app: App, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run.py").touch()
    main = module(monkeypatch, "__main__", app=app, __file__="run.py")
    assert source_of(app) == Source(f"{tmp_path}/run.py:app")
    main.__spec__ = ModuleSpec("__main__", None)
    assert source_of(app) == Source(f"{tmp_path}/run.py:app"), "the __main__.py of a folder that was started"


@pytest.mark.parametrize("content", [{}, {"__file__": "<stdin>"}])
def test_nobody_holds_it(app: App, monkeypatch: pytest.MonkeyPatch, content: dict[str, str]) -> None:
    assert source_of(app) is None
    module(monkeypatch, "__main__", app=app, **content)  # a prompt, or what comes from a pipe
    assert source_of(app) is None
    assert nursery(app, {"shop"}, None, "sqlite:///shop.db") is None
    with pytest.raises(ConfigurationError, match=r"a task of a prompt .* put it in a module, or in a file that you start"):
        nursery(app, {"__main__"}, Source("shop:app"), "sqlite:///shop.db")


def test_the_program_that_was_started_is_a_module_of_handlers(app: App, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "run.py"
    file.touch()
    main = module(monkeypatch, "__main__", __file__=str(file))
    made = nursery(app, {"__main__", "shop.tasks"}, Source("shop:app"), "sqlite:///shop.db")
    assert made is not None and made.home.modules == (str(file), "shop.tasks")
    main.__spec__ = ModuleSpec("shop.run", None)
    made = nursery(app, {"__main__"}, Source("shop:app"), "sqlite:///shop.db")
    assert made is not None and made.home.modules == ("shop.run",)


def test_what_a_child_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", "lib", "/usr/lib"])
    monkeypatch.setattr(sys, "argv", ["run.py", "old"])
    app = App(name="shop")
    made = nursery(app, {"shop.tasks", "", "shop.more"}, Source("shop:app", "json"), "sqlite:///shop.db")
    assert nursery(app, (), Source("shop:app"), "sqlite:///shop.db") is None, "nothing needs a child"
    assert made is not None
    home = made.home
    assert (home.target, home.store, home.log_format, home.parent) == ("shop:app", "sqlite:///shop.db", "json", os.getpid())
    assert home.modules == ("shop.more", "shop.tasks")
    assert (home.path, home.argv) == ((str(tmp_path), f"{tmp_path}/lib", "/usr/lib"), ("run.py", "old"))
    assert "sqlite" not in " ".join(made.command), "a URL may hold a password, and everybody sees a command"


def test_the_modules_of_the_handlers_that_run_there(app: App) -> None:
    def work() -> None: ...

    def elsewhere() -> None: ...

    elsewhere.__module__ = "shop.elsewhere"
    app.source = Source("shop:app")
    app.task()(elsewhere)
    assert app.program(None).nursery is None
    app.task(isolation="process")(work)
    made = app.program(None).nursery
    assert made is not None and made.home.modules == (__name__,)


def test_a_module_that_may_not_be_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    load_module("nowhere_at_all")
    load_module("nowhere_at_all.deeper")
    (tmp_path / "half_there.py").write_text("import nowhere_at_all")
    with pytest.raises(ModuleNotFoundError, match="nowhere_at_all"):
        load_module("half_there")


def test_a_file_is_run_under_another_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delitem(sys.modules, "__penstock_main__", raising=False)
    file = tmp_path / "run.py"
    file.write_text("from penstock import App\napp = App(name='shop')\nif __name__ == '__main__':\n    raise AssertionError\n")
    assert load_app(f"{file}:app").name == "shop"
    with pytest.raises(ConfigurationError, match=r"run\.py\) has no 'ap'; did you mean app"):
        load_object(f"{file}:ap")
    monkeypatch.delitem(sys.modules, "__penstock_main__")


def test_a_started_file_is_run_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Whether it holds the app, or handlers of it, or both."""
    monkeypatch.delitem(sys.modules, "__penstock_main__", raising=False)
    file = tmp_path / "run.py"
    file.write_text("from penstock import App\napp = App(name='shop')\n")
    load_module(str(file))
    app = vars(sys.modules["__penstock_main__"])["app"]
    load_module(str(file))
    assert load_object(f"{file}:app") is app
    monkeypatch.delitem(sys.modules, "__penstock_main__")


def test_a_started_file_may_have_any_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delitem(sys.modules, "__penstock_main__", raising=False)
    file = tmp_path / "run"
    file.write_text("from penstock import App\napp = App(name='shop')\n")
    assert load_app(f"{file}:app").name == "shop"
    monkeypatch.delitem(sys.modules, "__penstock_main__")


@pytest.mark.parametrize("target", ["{}/none.py:app", "{}:app", "shop", "shop:", ":app", "a:b:c"])
def test_a_target_that_means_nothing(target: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError):
        load_object(target.format(tmp_path))
