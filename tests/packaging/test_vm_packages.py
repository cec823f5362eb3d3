"""What the virtual machines need from Debian is got where package lists are empty or old; without root, it is said how."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from vm import debian, kernel, machine
from vm.machine import EnvironmentLacks, apt, candidate, install_packages
from vm.recipe import SOURCE_PACKAGE

# A Debian in a directory: `lists` are its package lists, `mirror` what `apt-get update` makes them, `pool` what is there to
# download, `installed` what was installed; `calls` has a line for each call.
APT_GET = """#!/bin/sh
while [ "$1" = -o ]; do shift 2; done
echo "apt-get $*" >> calls
case $1 in
  update) [ -e mirror ] || { echo "E: the mirror is on fire" >&2; exit 100; }; cp mirror lists;;
  install)
    shift 3
    for package; do
      version=$(grep "^$package " lists) || { echo "E: Unable to locate package $package" >&2; exit 100; }
      grep -q "^$version$" pool || { echo "E: Failed to fetch $package  404  Not Found" >&2; exit 100; }
      echo "$package" >> installed
    done;;
esac
"""
APT_CACHE = """#!/bin/sh
while [ "$1" = -o ]; do shift 2; done
echo "apt-cache $*" >> calls
version=$(grep "^$2 " lists) || { [ $1 = policy ]; exit; }
case $1 in
  policy) printf '%s:\\n  Installed: (none)\\n  Candidate: %s\\n' "$2" "${version#* }";;
  depends) printf '%s\\n  Depends: %s\\n' "$2" "linux-image-6.1.0-99-amd64";;
esac
"""
DPKG_QUERY = """#!/bin/sh
for package; do grep -qx "$package" installed && echo "installed $package"; done
exit 0
"""


@pytest.fixture
def debian_(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Such a Debian, with empty lists, and root in it."""
    for name, script in (("apt-get", APT_GET), ("apt-cache", APT_CACHE), ("dpkg-query", DPKG_QUERY)):
        (tmp_path / "bin").mkdir(exist_ok=True)
        (tmp_path / "bin" / name).write_text(script)
        (tmp_path / "bin" / name).chmod(0o755)
    for name in ("lists", "installed", "calls"):
        (tmp_path / name).touch()
    for name in ("mirror", "pool"):
        (tmp_path / name).write_text(f"{SOURCE_PACKAGE} 6.12.9-1\ngcc 12\nlinux-image-amd64 6.1\n")
    monkeypatch.setenv("PATH", os.pathsep.join([str(tmp_path / "bin"), os.defpath]))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.chdir(tmp_path)
    machine.update_package_lists.cache_clear()
    yield tmp_path
    machine.update_package_lists.cache_clear()


def updates(debian_: Path) -> int:
    return (debian_ / "calls").read_text().splitlines().count("apt-get update")


def test_the_source_s_version_is_found_with_empty_lists(debian_: Path) -> None:
    assert kernel.source_version() == "6.12.9-1"
    assert updates(debian_) == 1
    assert candidate("gcc") == "12"
    assert updates(debian_) == 1


def test_debian_s_kernel_is_found_with_empty_lists(debian_: Path) -> None:
    assert debian.package() == "linux-image-6.1.0-99-amd64"


@pytest.mark.parametrize("lists", ["", "gcc 11\n"])
def test_packages_are_installed_with_empty_and_with_old_lists(debian_: Path, lists: str) -> None:
    (debian_ / "lists").write_text(lists)
    install_packages(("gcc",))
    assert (debian_ / "installed").read_text() == "gcc\n"
    assert updates(debian_) == 1


def test_nothing_is_asked_of_apt_where_nothing_is_missing(debian_: Path) -> None:
    (debian_ / "installed").write_text("gcc\n")
    install_packages(("gcc",))
    assert (debian_ / "calls").read_text() == ""


def test_new_lists_are_not_got_twice(debian_: Path) -> None:
    for _ in range(2):
        with pytest.raises(EnvironmentLacks, match="apt knows no nonsense"):
            candidate("nonsense")
        with pytest.raises(EnvironmentLacks, match="Unable to locate package nonsense"):
            install_packages(("nonsense",))
    assert updates(debian_) == 1


def test_a_failing_update_is_heard(debian_: Path) -> None:
    (debian_ / "mirror").unlink()
    with pytest.raises(EnvironmentLacks, match="apt-get update failed:\nE: the mirror is on fire"):
        kernel.source_version()


def test_one_broken_source_of_several_is_no_matter(debian_: Path) -> None:
    script = debian_ / "bin/apt-get"
    script.write_text(
        script.read_text().replace("cp mirror lists;;", "cp mirror lists; echo 404 >&2; exit 100;;")
    )
    install_packages(("gcc",))
    assert (debian_ / "installed").read_text() == "gcc\n"


def test_without_root_the_exact_command_is_said(debian_: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(EnvironmentLacks, match=r"Run: sudo apt-get update$"):
        kernel.source_version()
    with pytest.raises(EnvironmentLacks, match=r"Run: sudo apt-get update && sudo apt-get install .* gcc$"):
        install_packages(("gcc",))
    assert "apt-get" not in (debian_ / "calls").read_text()


def test_without_apt_it_is_said(debian_: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(debian_))
    with pytest.raises(EnvironmentLacks, match="there is no apt-get: this needs Debian"):
        apt("apt-get", "download", "gcc")
