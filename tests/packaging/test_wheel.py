"""The wheel, built from the sdist, does its work where there is no checkout.

Nothing here uses a network. The build uses the hatchling of the environment that runs the tests; the fresh
environment gets the wheel without dependencies, and a `.pth` line that appends the site-packages of the
running one, where the dependencies are. Python does not follow `.pth` files in a directory appended so: the
editable install of the checkout that lies there too stays out of reach. An audit hook, which writes down
every file that the installed oomlang opens, shows that it did.
"""

import json
import os
import struct
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest

from oomlang import __version__

CHECKOUT = Path(__file__).resolve().parents[2]
EXAMPLE = "cg_priority.oom"
EM_BPF = 247

# The fixtures build once; all that use them run on one of xdist's workers.
pytestmark = pytest.mark.xdist_group("packaging")


def run(*argv: str | Path, cwd: Path, env: dict[str, str] | None = None) -> str:
    args = [os.fspath(arg) for arg in argv]
    done = subprocess.run(args, cwd=cwd, env=env, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, f"{argv} exited {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the sdist and the wheel that `build` makes from it."""
    out = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", out, CHECKOUT, cwd=out)
    return out


@pytest.fixture(scope="module")
def sdist(dist: Path) -> Path:
    (path,) = dist.glob("oomlang-*.tar.gz")
    return path


@pytest.fixture(scope="module")
def wheel(dist: Path) -> Path:
    (path,) = dist.glob("oomlang-*.whl")
    return path


class Installed:
    """A fresh virtual environment with the wheel, to be used from an empty directory with an empty HOME."""

    def __init__(self, wheel: Path, where: Path) -> None:
        self.prefix = where / "venv"
        self.cwd = where / "cwd"
        self.opened = where / "opened"
        self.env = {"PATH": os.defpath, "HOME": os.fspath(where / "home"), "LC_ALL": "C.UTF-8"}
        self.cwd.mkdir()
        (where / "home").mkdir()

        run(sys.executable, "-Im", "venv", "--without-pip", self.prefix, cwd=where)
        python = self.prefix / "bin/python"
        pip = ["pip", "--python", os.fspath(python), "install", "--quiet", "--no-index", "--no-deps"]
        run(sys.executable, "-Im", *pip, wheel, cwd=where)
        (site,) = self.prefix.glob("lib/python*/site-packages")
        (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
        (site / "note_opened.py").write_text(
            "import os, sys\n"
            f"log = os.open({os.fspath(self.opened)!r}, os.O_WRONLY | os.O_CREAT | os.O_APPEND)\n"
            "def note(event, args):\n"
            "    if event == 'open' and isinstance(args[0], str):\n"
            "        os.write(log, os.fsencode(os.path.abspath(args[0])) + b'\\n')\n"
            "sys.addaudithook(note)\n"
        )
        (site / "note_opened.pth").write_text("import note_opened\n")

    def python(self, code: str) -> str:
        return run(self.prefix / "bin/python", "-c", code, cwd=self.cwd, env=self.env).strip()

    def oomlang(self, *argv: str | Path) -> str:
        return run(self.prefix / "bin/oomlang", *argv, cwd=self.cwd, env=self.env)


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    return Installed(wheel, tmp_path_factory.mktemp("installed"))


def files_below(directory: str) -> set[str]:
    top = CHECKOUT / directory
    return {path.relative_to(top).as_posix() for path in top.rglob("*") if path.is_file()}


def test_the_wheel_ships_the_data_files_types_and_licenses(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()

    def below(prefix: str) -> set[str]:
        return {name.removeprefix(prefix) for name in names if name.startswith(prefix)}

    assert "oomlang/py.typed" in names
    assert "oomlang.lark" in below("oomlang/_data/grammar/")
    assert below("oomlang/_data/grammar/") == files_below("grammar")
    assert below("oomlang/_data/templates/") == files_below("templates")
    assert below(f"oomlang-{__version__}.dist-info/licenses/") == {
        "LICENSE",
        "LICENSES/Apache-2.0.txt",
        "LICENSES/BSD-2-Clause.txt",
        "LICENSES/GPL-2.0-only.txt",
    }


def test_the_wheel_ships_nothing_but_the_package(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        tops = {name.split("/")[0] for name in archive.namelist()}
    assert tops == {"oomlang", f"oomlang-{__version__}.dist-info"}


def test_the_sdist_ships_what_a_packager_needs(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {
        "LICENSE",
        "README.md",
        "CHANGELOG.md",
        "Makefile",
        f"examples/{EXAMPLE}",
        "tests/conftest.py",
    } <= names
    assert not any(name.startswith((".venv", "build/", "vm/build/")) for name in names)


@pytest.mark.needs("clang")
def test_the_installed_compiler_works_without_the_checkout(installed: Installed) -> None:
    policy = installed.cwd / EXAMPLE
    policy.write_bytes((CHECKOUT / "examples" / EXAMPLE).read_bytes())

    installed.oomlang("check", policy.name)
    installed.oomlang("compile", policy.name, "-o", "policy.bpf.o")

    header = (installed.cwd / "policy.bpf.o").read_bytes()[:20]
    assert header[:4] == b"\x7fELF"
    # The object is of this machine's byte order; e_machine stands at offset 18.
    assert struct.unpack_from("=H", header, 18) == (EM_BPF,)

    package = Path(installed.python("import oomlang; print(oomlang.__file__)")).parent
    assert package.is_relative_to(installed.prefix)
    path = json.loads(installed.python("import json, sys; print(json.dumps(sys.path))"))
    assert os.fspath(CHECKOUT) not in path
    opened = {Path(line) for line in installed.opened.read_text().splitlines()}
    assert package / "_data/grammar/oomlang.lark" in opened
    dependencies = Path(sysconfig.get_path("purelib"))
    ours = {p for p in opened if p.is_relative_to(CHECKOUT) and not p.is_relative_to(dependencies)}
    assert ours == set()
    assert {p for p in opened if p.is_relative_to(dependencies / "oomlang")} == set()


def test_the_version_is_said_once(installed: Installed) -> None:
    assert installed.python("import importlib.metadata as m; print(m.version('oomlang'))") == __version__
