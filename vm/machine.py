"""What building the kernel and the guest's image have in common: the cache, packages, locks, progress, exit codes."""

from __future__ import annotations

import contextlib
import fcntl
import functools
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

EXIT_ENVIRONMENT, EXIT_OURS = 3, 4


class EnvironmentLacks(Exception):
    """Something is missing on this machine; the message says what and how to get it."""


class BuildFailed(Exception):
    """What we build does not build: our fault."""


def cache_root() -> Path:
    """The directory for everything that is built and can be built again."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "oomlang"


def use_environment() -> None:
    """Goes on in the checkout's Python environment, if there is one and this is another: scripts call it first."""
    python = Path(__file__).resolve().parent.parent / ".venv/bin/python"
    if python.exists() and Path(sys.prefix).resolve() != python.parent.parent.resolve():
        os.execv(python, [str(python), *sys.argv])


def end_like_an_interrupt() -> None:
    """Makes signals that ask for an end clean up on the way out, as an exception does; for scripts."""

    def end(number: int, _: object) -> None:
        signal.signal(number, signal.SIG_IGN)  # one is enough
        sys.exit(128 + number)

    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:  # `nohup` has SIGHUP ignored
            signal.signal(number, end)


def say(text: str) -> None:
    """Progress, for people: standard output belongs to the result."""
    print(f"vm: {text}", file=sys.stderr, flush=True)


def run(argv: Sequence[str], limit: float = 300, *, folder: Path | None = None, stdin: str = "") -> str:
    """Runs a tool, and returns its standard output; its failure is ours, in its own words."""
    done = subprocess.run(
        argv, cwd=folder, input=stdin, capture_output=True, text=True, check=False, timeout=limit
    )
    if done.returncode:
        raise BuildFailed(f"{' '.join(argv)}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def missing_packages(packages: Sequence[str]) -> list[str]:
    """Those of Debian's packages that are not installed."""
    if not shutil.which("dpkg-query"):
        raise EnvironmentLacks("there is no dpkg-query: this needs Debian")
    query = subprocess.run(
        ["dpkg-query", "-W", "-f", "${db:Status-Status} ${Package}\n", *packages],
        capture_output=True, text=True, check=False, timeout=30,
    )  # fmt: skip
    have = {line.split()[1] for line in query.stdout.splitlines() if line.startswith("installed ")}
    return [name for name in packages if name not in have]


def install_packages(packages: Sequence[str]) -> None:
    """As root installs what is missing; else raises EnvironmentLacks with the command that would."""
    missing = missing_packages(packages)
    if not missing:
        return
    command = ["apt-get", "install", "-y", "--no-install-recommends", *missing]
    if os.geteuid() != 0:
        by_hand = f"sudo apt-get update && sudo {' '.join(command)}"
        raise EnvironmentLacks(f"packages are missing, and only root can install them. Run: {by_hand}")
    say(f"installing: {' '.join(missing)}")
    apt(*command)


def candidate(package: str) -> str:
    """The version that apt would install; gets the package lists where they do not know the package."""
    for attempt in range(2):
        shown = apt("apt-cache", "policy", package)
        if found := re.search(r"^\s*Candidate: (\d\S*)", shown, re.MULTILINE):
            return found[1]
        if attempt == 0:
            update_package_lists()
    raise EnvironmentLacks(
        f"apt knows no {package}, and its package lists are new: this needs Debian 12's sources"
    )


@functools.cache
def update_package_lists() -> None:
    """Gets apt's package lists, as root; else raises EnvironmentLacks with the command that would. Once is enough."""
    if os.geteuid() != 0:
        raise EnvironmentLacks("apt's package lists are empty or old. Run: sudo apt-get update")
    say("getting apt's package lists")
    if error := _run_apt("apt-get", "update")[1]:
        raise EnvironmentLacks(f"apt-get update failed:\n{error}")


def apt(*command: str, folder: Path | None = None) -> str:
    """Runs one of apt's commands; its standard output. Package lists may be absent or old: then gets them, tries again."""
    if not shutil.which(command[0]):
        raise EnvironmentLacks(f"there is no {command[0]}: this needs Debian")
    out, error = _run_apt(*command, folder=folder)
    if not error:
        return out
    refusal = None
    try:
        update_package_lists()
    except EnvironmentLacks as exc:
        refusal = exc  # one source of several that is broken need not matter
    out, error = _run_apt(*command, folder=folder)
    if error:
        raise refusal or EnvironmentLacks(f"{' '.join(command)} failed:\n{error}")
    return out


def _run_apt(*command: str, folder: Path | None = None) -> tuple[str, str]:
    """What it printed, and its complaint where it failed."""
    patient = ["-o", "DPkg::Lock::Timeout=300", "-o", "Acquire::Retries=3"]
    done = subprocess.run(
        [command[0], *patient, *command[1:]], cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True,
        errors="replace", check=False, timeout=1800, env={**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"},
    )  # fmt: skip
    return done.stdout, "" if done.returncode == 0 else done.stderr.strip() or f"exit code {done.returncode}"


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Holds a lock file: whoever wants to build the same thing waits and then finds it built."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"{path.stem} is being built by another process; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
