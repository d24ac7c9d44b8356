"""What we would publish: built from the locked tools, installed in clean environments, and run."""

import re
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

from penstock._version import __version__

ROOT = Path(__file__).resolve().parents[2]
PIN = re.compile(r"^(\S+==\S+)", re.MULTILINE)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sdist, and the wheel made from the sdist."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, ROOT)
    return folder


@pytest.mark.timeout(600)
def test_wheel_installs_and_runs(built: Path, tmp_path: Path) -> None:
    clean = environment(tmp_path)
    install(clean, tmp_path, str(wheel(built)))
    assert version(clean) == f"penstock {__version__}"
    faults = subprocess.run([clean / "penstock-faults"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert faults.returncode == 69 and 'pip install "penstock[postgres]"' in faults.stderr
    install(clean, tmp_path, f"penstock[postgres] @ {wheel(built).as_uri()}")
    run(clean / "python", "-c", IMPORT_ALL)  # with nothing else that a checkout has


@pytest.mark.timeout(600)
def test_a_store_of_others_is_tested_by_what_the_wheel_has(built: Path, tmp_path: Path) -> None:
    """The backend, its one class and its file are all that they write; nothing of this checkout is in reach. The store can do nothing
    that a store need not."""
    clean = environment(tmp_path)
    install(clean, tmp_path, f"penstock[testing] @ {wheel(built).as_uri()}")
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "backend.py").write_text((ROOT / "tests/conformance/sqlite_backend.py").read_text())
    (theirs / "test_store.py").write_text(THEIRS)
    (theirs / "store.toml").write_text("joins = false\nchecks_durability = false\nfollows_the_wall = true\ntells = false\n")
    settings = ["-p", "no:cacheprovider", "-o", "asyncio_mode=auto", "--rootdir", theirs, "--quiet"]
    said = run(clean / "python", "-m", "pytest", *settings, theirs)
    assert int(re.findall(r"(\d+) passed", said)[0]) >= 300
    assert int(re.findall(r"(\d+) skipped", said)[0]) >= 20


IMPORT_ALL = """
import importlib, os, pkgutil
os.environ |= {"STAND": "/nowhere", "LEDGER": os.devnull, "CLOCK": os.devnull, "PENSTOCK_STORE": "sqlite:///none.db"}
import penstock_faults
for module in pkgutil.iter_modules(penstock_faults.__path__):
    importlib.import_module(f"penstock_faults.{module.name}")
"""


THEIRS = """
from pathlib import Path

import pytest

from backend import SqliteBackend
from penstock.errors import CapabilityMissing
from penstock.stores.sqlite.store import SqliteStore
from penstock.testing.conformance import Capabilities, Ground, StoreConformance


class Store(SqliteStore):
    def join(self, connection):
        raise CapabilityMissing("a connection of yours cannot be joined here")


class Backend(SqliteBackend):
    capabilities = Capabilities.read(Path(__file__).with_name("store.toml"))

    def make(self, setup):
        store = super().make(setup)
        store.__class__ = Store
        return store


class TestTheirs(StoreConformance):
    @pytest.fixture
    async def store(self, tmp_path):
        async with Ground(Backend(tmp_path)) as ground:
            yield ground
"""


@pytest.mark.timeout(600)
def test_sdist_installs_and_runs(built: Path, tmp_path: Path) -> None:
    clean = environment(tmp_path)
    install(clean, tmp_path, "hatchling")
    install(clean, tmp_path, "--no-build-isolation", str(sdist(built)))
    assert version(clean) == f"penstock {__version__}"


def test_wheel_holds_the_package_and_nothing_else(built: Path) -> None:
    names = zipfile.ZipFile(wheel(built)).namelist()
    assert "penstock/py.typed" in names
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)
    assert {name.partition("/")[0] for name in names} == {"penstock", "penstock_faults", f"penstock-{__version__}.dist-info"}
    assert sorted(ours("*.sql")) == sorted(name for name in names if name.endswith(".sql"))
    assert sorted(ours("*.py")) == sorted(name for name in names if name.endswith(".py"))


def test_sdist_holds_what_builds_and_tests_it(built: Path) -> None:
    with tarfile.open(sdist(built)) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"pyproject.toml", "LICENSE", "README.md", "Makefile", "requirements/dev.txt", "tests/conftest.py"} <= names


def test_both_hold_the_bytes_of_the_checkout(built: Path) -> None:
    """No file of the package that is not here, none changed on the way, no link, nothing that would be run or put elsewhere."""
    with tarfile.open(sdist(built)) as archive:
        inside = {member.name.partition("/")[2]: member for member in archive.getmembers() if not member.isdir()}
        assert [name for name, member in inside.items() if not member.isfile() or ".." in name or name.endswith(".pth")] == []
        source = {name.removeprefix("src/"): content_of(archive, member) for name, member in inside.items() if name.startswith("src/")}
    with zipfile.ZipFile(wheel(built)) as packed:
        package = {name: packed.read(name) for name in packed.namelist() if name.startswith(("penstock/", "penstock_faults/"))}
    assert package.pop("penstock_faults/services") == (ROOT / "scripts" / "services").read_bytes()
    assert source == package
    assert {name: (ROOT / "src" / name).read_bytes() for name in package} == package


def test_a_second_build_gives_the_same_wheel(built: Path, tmp_path: Path) -> None:
    """From the checkout, and not from the sdist: whoever builds it can compare."""
    run(sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", tmp_path, ROOT)
    assert wheel(tmp_path).read_bytes() == wheel(built).read_bytes()


def content_of(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = archive.extractfile(member)
    assert file is not None
    return file.read()


def ours(pattern: str) -> list[str]:
    return [path.relative_to(ROOT / "src").as_posix() for path in (ROOT / "src").rglob(pattern)]


def wheel(folder: Path) -> Path:
    return next(folder.glob("*.whl"))


def sdist(folder: Path) -> Path:
    return next(folder.glob("*.tar.gz"))


def environment(folder: Path) -> Path:
    venv.create(folder / "clean", with_pip=True, symlinks=True)
    return folder / "clean" / "bin"


def install(clean: Path, folder: Path, *what: str) -> None:
    """With the versions of the lock; without its hashes, since pip would then ask for one of our own wheel."""
    constraints = folder / "constraints.txt"
    constraints.write_text("\n".join(PIN.findall((ROOT / "requirements" / "dev.txt").read_text())))
    wheels_only = ["--only-binary=:all:", "--no-binary=penstock"]
    run(clean / "python", "-m", "pip", "install", "--quiet", *wheels_only, "--constraint", constraints, *what)


def version(clean: Path) -> str:
    return run(clean / "penstock", "--version").strip().replace(", version", "")


def run(*command: str | Path) -> str:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False, cwd=ROOT.anchor)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
