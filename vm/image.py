"""Builds the guest's root file system: a squashfs with Python, oomlang's dependencies, libbpf, busybox and the hogs.

The checkout itself is not in it: it changes often and comes with each boot as the *payload*, a second small image.
Both are read-only block devices. Measured against the host's root over 9p, this boots and imports several times
faster under emulation, and no file of the host's can be changed by a guest.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path

from vm.machine import BuildFailed, EnvironmentLacks, cache_root, install_packages, locked, run, say

HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parent
PACKAGES = ("qemu-system-x86", "seabios", "busybox-static", "squashfs-tools", "gcc", "libc6-dev")
# Parts of the standard library that nothing in a guest uses.
LEFT_OUT = ("test", "idlelib", "tkinter", "turtledemo", "ensurepip", "lib2to3", "site-packages", "dist-packages",
            "__pycache__", "pydoc_data")  # fmt: skip
APPLETS = (
    "sh", "cat", "chmod", "chown", "cp", "cut", "date", "dd", "dmesg", "echo", "env", "false", "find",
    "free", "grep", "head", "id", "kill", "ln", "ls", "mkdir", "mount", "mv", "nice", "ps", "rm", "rmdir",
    "sed", "sleep", "sort", "stat", "sysctl", "tail", "timeout", "touch", "tr", "true", "umount", "uname",
    "wc",
)  # fmt: skip
# Copied with the libraries that they need, where the host has them.
PROGRAMS = ("bpftool",)


def interpreter() -> Path:
    """The interpreter that runs this, without any virtual environment around it."""
    return Path(getattr(sys, "_base_executable", sys.executable)).resolve()


def standard_library() -> Path:
    """The directory of its standard library."""
    return Path(
        sysconfig.get_path("stdlib", vars={"base": sys.base_prefix, "installed_base": sys.base_prefix})
    )


def dependencies() -> dict[str, importlib.metadata.Distribution]:
    """What pyproject.toml says oomlang needs to run, with what that needs in turn; by normalised name."""
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    waiting: list[str] = list(project["dependencies"])
    found: dict[str, importlib.metadata.Distribution] = {}
    while waiting:
        requirement = waiting.pop()
        name = re.split(r"[^\w.-]", requirement, maxsplit=1)[0]
        key = re.sub(r"[-_.]+", "-", name).lower()
        if key in found or "extra ==" in requirement:
            continue
        try:
            found[key] = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError as exc:
            if ";" in requirement:  # under a condition that does not hold here
                continue
            raise EnvironmentLacks(f"{name} is not installed for {sys.executable}; run tools/setup") from exc
        waiting += found[key].requires or []
    return found


def libbpf() -> Path:
    """The library that the loader uses."""
    for directory in ("/usr/lib/x86_64-linux-gnu", "/usr/lib64", "/usr/lib"):
        if (path := Path(directory) / "libbpf.so.1").exists():
            return path
    raise EnvironmentLacks("libbpf.so.1 is missing; install it with: apt-get install libbpf1")


def image_path() -> Path:
    """Where the image is, or would be: named by a hash of what goes in."""
    parts = [sys.version, str(interpreter()), *APPLETS]
    parts += [f"{key}={dist.version}" for key, dist in sorted(dependencies().items())]
    for tool in (libbpf(), Path("/bin/busybox"), *map(Path, filter(None, map(shutil.which, PROGRAMS)))):
        status = tool.stat()
        parts.append(f"{tool} {status.st_size} {status.st_mtime_ns}")
    parts += [(HERE / name).read_text() for name in ("image.py", "guest/hog.c", "guest/init")]
    digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()
    return cache_root() / "image" / f"{digest[:16]}.squashfs"


class Stage:
    """A directory that becomes the root file system."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for name in ("usr/bin", "usr/sbin", "usr/lib", "usr/lib64", "etc", "proc", "sys", "dev", "tmp", "run",
                     "payload", "site", "root"):  # fmt: skip
            (root / name).mkdir(parents=True)
        for name in ("bin", "sbin", "lib", "lib64"):
            (root / name).symlink_to(f"usr/{name}")

    def at(self, path: Path | str) -> Path:
        """Where a guest's path lies in the stage."""
        text = re.sub(r"^/(bin|sbin|lib|lib64)/", r"/usr/\1/", str(path))
        return self.root / text.lstrip("/")

    def copy(self, source: Path, target: Path | str | None = None) -> None:
        """Copies one file, by default to the same path."""
        place = self.at(target or source)
        place.parent.mkdir(parents=True, exist_ok=True)
        if not place.exists():
            shutil.copy2(source, place)

    def libraries(self, binaries: Iterable[Path]) -> None:
        """Copies the shared libraries, and the loader, that these need."""
        for binary in binaries:
            done = subprocess.run(
                ["ldd", str(binary)], capture_output=True, text=True, check=False, timeout=30
            )
            for path in re.findall(r"(/\S+) \(0x", done.stdout):
                self.copy(Path(path))


def stage_python(stage: Stage) -> None:
    """The interpreter at its own path, its standard library, and the dependencies under /site."""
    python, library = interpreter(), standard_library()
    stage.copy(python)
    binaries = [python]
    (stage.root / "etc/oomlang-python").write_text(f"{python}\n")
    if not stage.at("/usr/bin/python3").exists():
        stage.at("/usr/bin/python3").symlink_to(python)
    shutil.copytree(
        library, stage.at(library), ignore=shutil.ignore_patterns(*LEFT_OUT, "config-*"), dirs_exist_ok=True
    )
    for key, dist in dependencies().items():
        if not dist.files:
            raise BuildFailed(f"{key} does not list its files")
        for file in dist.files:
            if ".." in file.parts or file.suffix == ".pyc":
                continue
            source = Path(str(dist.locate_file(file)))
            if source.is_file():
                stage.copy(source, f"/site/{file}")
    binaries += [path for path in stage.root.rglob("*.so*") if path.is_file()]
    stage.libraries(binaries)
    compile_tree(stage.root, "/", [stage.at(library), stage.root / "site"])


def compile_tree(root: Path, mounted: str, directories: Iterable[Path]) -> None:
    """Byte code valid whatever the time stamps say; tracebacks show the guest's paths: `root` is at `mounted` there."""
    run([
        str(interpreter()), "-m", "compileall", "-q", "-j", "2", "-s", str(root), "-p", mounted,
        "--invalidation-mode", "unchecked-hash", *map(str, directories),
    ])  # fmt: skip


def build(path: Path) -> None:
    """Makes the image."""
    with tempfile.TemporaryDirectory(prefix=".image-", dir=path.parent) as work:
        stage = Stage(Path(work) / "root")
        stage.copy(Path("/bin/busybox"))
        for name in APPLETS:
            stage.at(f"/bin/{name}").symlink_to("busybox")
        for name in PROGRAMS:
            if found := shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin"):
                stage.copy(Path(found))
                stage.libraries([Path(found)])
        stage.copy(libbpf())
        stage.libraries([libbpf()])
        stage.copy(HERE / "guest/init", "/sbin/init")
        hog = Path(work) / "hog"
        run(
            [
                "gcc",
                "-static",
                "-O2",
                "-Wall",
                "-Wextra",
                "-Werror",
                "-o",
                str(hog),
                str(HERE / "guest/hog.c"),
            ]
        )
        stage.copy(hog, "/bin/hog")
        (stage.root / "etc/passwd").write_text(
            "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n"
        )
        (stage.root / "etc/group").write_text("root:x:0:\nnogroup:x:65534:\n")
        stage_python(stage)
        squash(stage.root, Path(work) / "image", ["-comp", "lz4", "-p", "dev/console c 600 0 0 5 1"])
        (Path(work) / "image").rename(path)


def squash(source: Path, target: Path, options: list[str]) -> None:
    """A directory as a squashfs image, everything in it root's."""
    run(
        ["mksquashfs", str(source), str(target), "-noappend", "-all-root", "-no-progress", "-quiet", *options]
    )


def ensure() -> Path:
    """The image, built if it is not there."""
    install_packages(PACKAGES)
    path = image_path()
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.is_file():
        with locked(path.with_suffix(".lock")):
            if not path.is_file():
                say("building the guest's image (20 s)")
                build(path)
    return path


def payload(target: Path, files: Mapping[str, Path | bytes]) -> None:
    """The image that comes with one boot: what runs in the guest, the checkout's package under src/, and the caller's files.

    `files` maps a path below /payload to a file or directory of the host, or to its bytes.
    """
    with tempfile.TemporaryDirectory(prefix="oomlang-payload-") as work:
        root = Path(work)
        root.chmod(0o755)  # users without rights run what is in it, too
        for script in HERE.glob("guest/*.py"):
            shutil.copy(script, root / script.name)
        for name in ("oomlang", "grammar", "templates", "examples"):
            if (CHECKOUT / name).is_dir():
                shutil.copytree(
                    CHECKOUT / name, root / "src" / name, ignore=shutil.ignore_patterns("__pycache__")
                )
        for name, content in files.items():
            place = root / name
            place.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, bytes):
                place.write_bytes(content)
            elif content.is_dir():
                shutil.copytree(content, place, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(content, place)
        if (root / "src/oomlang").is_dir():
            try:
                compile_tree(root, "/payload", [root / "src/oomlang"])
            except BuildFailed as exc:  # whoever imports that module will hear of it; others can work
                say(f"the package does not compile as a whole: {exc}")
        squash(root, target, ["-noI", "-noD", "-noF", "-noX"])
