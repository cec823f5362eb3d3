"""What a loaded policy leaves under the BPF file system, so that it outlives its loader.

    DIR/turn                       whose turn it is (`Turn`), shared by all generations
    DIR/current                    a symbolic link to the generation in force, for other programs' convenience only
    DIR/7/record                   what `policy.Policy` says about generation 7
    DIR/7/maps/…  DIR/7/programs/…  DIR/7/links/…

In: DIR. Out: `Pins`: its lock, its generations, their removal. A generation is one load; its number says which object's
programs are meant when two are attached at once (docs/loading.md). Names have no dots: the BPF file
system refuses those.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import mmap
import os
import struct
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from oomlang.diagnostics import EnvironmentLacks
from oomlang.kernel.bindings import LibbpfError
from oomlang.kernel.info import descriptor_of_id, link_info
from oomlang.kernel.maps import open_pinned_map, pinned_descriptor
from oomlang.kernel.probe import bpf_file_systems

DEFAULT_DIRECTORY = Path("/sys/fs/bpf/oomlang")
LAST_GENERATION = 0xFFFF

_WHO = struct.Struct("<HH")
_TURN = struct.Struct("<HHIQ")
_GONE_LIMIT = 10.0


BeforeStep = Callable[[str], None]
"""Called before each step that changes the machine, with its name."""


def no_step(name: str) -> None:
    """What happens between two steps: nothing."""


class Busy(EnvironmentLacks):
    """Another loader is at work."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """Which generation decides, 0 for none: `struct turn` of the programs.

    outgoing: one that was replaced and may still decide an event that it saw begin; 0 for none.
    """

    in_force: int
    outgoing: int


@dataclass(frozen=True, slots=True)
class Pins:
    """The directory of one policy and its predecessors."""

    root: Path = DEFAULT_DIRECTORY

    @property
    def turn_path(self) -> Path:
        return self.root / "turn"

    @property
    def current_path(self) -> Path:
        return self.root / "current"

    def generation(self, number: int) -> Path:
        """The directory of a generation."""
        return self.root / str(number)

    def record(self, number: int) -> Path:
        """Where a generation's record is pinned."""
        return self.generation(number) / "record"

    def map(self, number: int, name: str) -> Path:
        """Where a map is pinned; `name` as the object has it (`.bss`)."""
        return self.generation(number) / "maps" / pin_name(name)

    def program(self, number: int, name: str) -> Path:
        """Where a program is pinned."""
        return self.generation(number) / "programs" / pin_name(name)

    def link(self, number: int, name: str) -> Path:
        """Where a program's attachment is pinned."""
        return self.generation(number) / "links" / pin_name(name)

    # --- what is there ----------------------------------------------------------------------------

    def mounted_at(self) -> Path:
        """The BPF file system that holds DIR. Errors: `EnvironmentLacks` with the command that mounts one."""
        place = Path(os.path.abspath(self.root))
        mounts = [mount for mount in bpf_file_systems() if mount in place.parents]
        if mounts:
            return max(mounts, key=lambda mount: len(mount.parts))
        if (mounted := bpf_file_systems()) and place.parent not in mounted:
            raise EnvironmentLacks(
                f"{self.root} is not under a BPF file system, where a policy has to be pinned",
                mend=f"choose a directory below {mounted[0]}, for example --pin {mounted[0] / 'oomlang'}",
            )
        where = place.parent
        raise EnvironmentLacks(
            f"no BPF file system is mounted at {where}: a policy needs one to outlive its loader",
            mend=f"mount it: mount -t bpf bpf {where}",
        )

    def generations(self) -> list[int]:
        """The numbers of all that is there, whether in force or left behind."""
        try:
            names = os.listdir(self.root)
        except FileNotFoundError:
            return []
        except PermissionError as exc:
            raise EnvironmentLacks(
                f"cannot look into {self.root}: permission denied", mend="run it as root"
            ) from exc
        return sorted(int(name) for name in names if name.isdecimal())

    def turn(self) -> Turn:
        """Whose turn it is; nobody's where nothing was loaded."""
        try:
            with open_pinned_map(self.turn_path) as handle:
                value = handle.lookup(bytes(4))
        except LibbpfError as exc:
            if exc.errno == errno.ENOENT:
                return Turn(in_force=0, outgoing=0)
            raise
        if value is None or len(value) != _TURN.size:
            raise LibbpfError(
                f"read {self.turn_path}", errno=errno.EINVAL, words="it is no map of this version"
            )
        in_force, outgoing, _, _ = _TURN.unpack(value)
        return Turn(in_force=in_force, outgoing=outgoing)

    def hand_over(self, turn: Turn) -> None:
        """Change whose turn it is, for all events that begin from now on: one aligned store into the map's memory.

        The rest of the map is the programs'. Returns when no program runs any more that has read the old value.
        """
        (value,) = struct.unpack("<I", _WHO.pack(turn.in_force, turn.outgoing))
        with pinned_descriptor(self.turn_path) as fd, mmap.mmap(fd, mmap.PAGESIZE) as memory:
            who = ctypes.c_uint32.from_buffer(memory)
            who.value = value
            del who  # or the memory could not be unmapped
        wait_for_running_programs()

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keeps other loaders out; a killed loader's lock goes with it. Errors: `Busy`, `EnvironmentLacks`.

        The mount's root is locked, as it exists before the directory and after it.
        """
        fd = os.open(self.mounted_at(), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as exc:
                raise Busy(
                    "another oomlang is loading or unloading a policy", mend="try again when it is done"
                ) from exc
            yield
        finally:
            os.close(fd)

    def is_locked(self) -> bool:
        """Whether a loader is at work."""
        try:
            with self.lock():
                return False
        except Busy:
            return True

    # --- making and removing ----------------------------------------------------------------------

    def make(self, number: int) -> None:
        """The directories of a generation."""
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        for part in ("maps", "programs", "links"):
            (self.generation(number) / part).mkdir(mode=0o700, parents=True, exist_ok=True)

    def link_ids(self, number: int) -> dict[str, int]:
        """The kernel's ids of a generation's attachments, by program."""
        found = {}
        for name in _names(self.generation(number) / "links"):
            with pinned_descriptor(self.link(number, name)) as fd:
                found[name] = link_info(fd).id
        return found

    def point_current(self, number: int) -> None:
        """Let `current` lead to a generation, or with 0 be gone."""
        if number == 0:
            self.current_path.unlink(missing_ok=True)
        elif not self.current_path.is_symlink() or os.readlink(self.current_path) != str(number):
            following = self.root / "next"
            following.unlink(missing_ok=True)
            following.symlink_to(str(number))
            following.rename(self.current_path)

    def remove(self, number: int, programs: Sequence[str], before_step: BeforeStep = no_step) -> None:
        """Detach and unload a generation; returns when its programs are off the hooks.

        Links go first, so that what has a link always has its maps. programs: whose links go first, in this order.
        """
        ids = self.link_ids(number)
        order = [pin_name(name) for name in programs]
        for name in sorted(ids, key=lambda n: order.index(n) if n in order else len(order)):
            before_step(f"detach {name}")
            self.link(number, name).unlink()
            _wait_until_gone(ids[name])
        top = self.generation(number)
        for here, directories, files in os.walk(top, topdown=False):
            for name in files:
                before_step(f"remove {name}")
                os.unlink(os.path.join(here, name))
            for name in directories:
                before_step(f"remove {name}")
                os.rmdir(os.path.join(here, name))
        before_step(f"remove {number}")
        top.rmdir()

    def remove_root(self) -> None:
        """Remove DIR once it holds no generation."""
        if not self.generations():
            for path in (self.turn_path, self.current_path, self.root / "next"):
                path.unlink(missing_ok=True)
            try:
                self.root.rmdir()
            except (FileNotFoundError, OSError):
                pass  # somebody else's pins in it stay


def pin_name(name: str) -> str:
    """A map's or program's name as a file of the BPF file system: `.data.inputs` is `data_inputs`."""
    return name.lstrip(".").replace(".", "_")


# membarrier(2) by machine; there is no wrapper in the C library.
_MEMBARRIER = {"x86_64": 324, "aarch64": 283, "riscv64": 283, "s390x": 356, "ppc64le": 365}
_MEMBARRIER_CMD_GLOBAL = 1


def wait_for_running_programs() -> None:
    """Returns when every BPF program that ran at the call has ended.

    Tracing programs run under rcu_read_lock(), and membarrier(MEMBARRIER_CMD_GLOBAL) waits as synchronize_rcu() does.
    """
    number = _MEMBARRIER.get(os.uname().machine)
    if number is None or ctypes.CDLL(None).syscall(number, _MEMBARRIER_CMD_GLOBAL, 0, 0) != 0:
        time.sleep(0.2)  # not with nohz_full=, and not everywhere; a program takes microseconds


def _names(directory: Path) -> list[str]:
    try:
        return sorted(os.listdir(directory))
    except FileNotFoundError:
        return []


def _wait_until_gone(link_id: int) -> None:
    """The kernel frees an unlinked inode, and with it the link, a moment later."""
    end = time.monotonic() + _GONE_LIMIT
    while time.monotonic() < end:
        try:
            with descriptor_of_id("link", link_id):
                pass
        except LibbpfError as exc:
            if exc.errno == errno.ENOENT:
                return
            raise
        time.sleep(0.01)  # ours was the last but one descriptor perhaps: let go of it before asking again
    raise LibbpfError("detach a program", errno=errno.EBUSY, words="some other process holds its link")
