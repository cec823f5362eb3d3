"""Boots a kernel in QEMU and drives the agent in it: operations and arguments in, JSON out.

    with Vm() as vm:
        vm.cgroup("/t", {"memory.max": 10 << 20})
        vm.hog("big", size="20M", cgroup="/t", wait=True)

One boot serves many scenarios; `reset` between them. Two failures are told apart: `StepFailed` (the guest is fine and
refused one operation) and `VmLost` (the guest panicked, hung beyond its time limit or went away; a new one is
needed). The console is kept in a file, and its end is part of every `VmLost`.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from vm import debian, image, kernel
from vm.machine import EnvironmentLacks, cache_root, say

# How long a boot may take: seconds of emulation on an idle machine, and some.
BOOT_LIMIT = 120.0
# By how much every time limit is longer than an idle machine needs: others may want its CPUs too, and a flavour may be
# slower. A limit is there for what never ends; only a test that fails has to wait for it.
PATIENCE = {"default": 5.0, "debug": 16.0, "debian": 8.0}
# A host that is busy elsewhere looks to the guest's watchdogs like a CPU that hangs: these are the longest limits that they
# take. The debug flavour does on demand only what costs the most: see docs/kernel-patch.md.
PATIENT = "watchdog_thresh=60 rcupdate.rcu_cpu_stall_timeout=300 sysctl.kernel.hung_task_timeout_secs=1200"
CMDLINE = {"default": PATIENT, "debug": f"{PATIENT} slub_debug=- kmemleak=off", "debian": PATIENT}
PROBE_LIMIT = 20.0


class StepFailed(Exception):
    """The guest refused an operation; it is still there and usable."""


class VmLost(Exception):
    """The virtual machine is gone or silent: nothing is known about what it was asked to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogRecord:
    """One record of the kernel's log."""

    number: int
    seconds: float
    level: int
    text: str


class Vm:
    """One virtual machine. Start it with `with`, or with `start` and `close`.

    flavour: `default` and `debug` are the patched kernel (kernel.py), `debian` is Debian's own (debian.py). Where none is
    given, OOMLANG_FLAVOUR says which, or else it is `default`.
    """

    def __init__(
        self, *, flavour: str | None = None, memory_mib: int = 768, cpus: int = 2, swap_mib: int = 0,
        files: Mapping[str, Path | bytes] | None = None, cmdline: str = "", accel: str | None = None,
        keep_console: Path | None = None,
    ) -> None:  # fmt: skip
        self.flavour = flavour or os.environ.get("OOMLANG_FLAVOUR", "default")
        if self.flavour not in PATIENCE:
            raise EnvironmentLacks(f"OOMLANG_FLAVOUR is `{self.flavour}`: it can be {', '.join(PATIENCE)}")
        self.memory_mib, self.cpus, self.swap_mib = memory_mib, cpus, swap_mib
        self.files, self.cmdline, self.accel = dict(files or {}), f"{CMDLINE[self.flavour]} {cmdline}", accel
        self.patience = PATIENCE[self.flavour]
        self.keep_console = keep_console
        self.work: Path | None = None
        self.process: subprocess.Popen[bytes] | None = None
        self.port: socket.socket | None = None
        self.received = bytearray()
        self.requests = 0
        self.lost: str | None = None

    # --- life -------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def start(self) -> None:
        """Boots; returns when the agent answers."""
        try:
            self._start()
        except BaseException:
            self.close()
            raise

    def _start(self) -> None:
        kernel_dir = debian.ensure() if self.flavour == "debian" else kernel.ensure(self.flavour)
        root = image.ensure()
        accel = self.accel or best_accel(kernel_dir)
        self.work = Path(tempfile.mkdtemp(prefix="oomlang-vm-"))
        image.payload(self.work / "payload", self.files)
        disks = [(root, True), (self.work / "payload", True)]
        if self.swap_mib:
            with (self.work / "swap").open("wb") as swap:
                swap.truncate(self.swap_mib << 20)
            disks.append((self.work / "swap", False))
        argv = qemu_argv(kernel_dir, accel, self.memory_mib, self.cpus, self.cmdline)
        if (initrd := kernel_dir / "initrd").exists():
            argv += ["-initrd", str(initrd)]
        for number, (path, readonly) in enumerate(disks):
            argv += ["-drive", f"file={path},if=none,id=d{number},format=raw,readonly={'on' if readonly else 'off'}",
                     "-device", f"virtio-blk-pci,drive=d{number}"]  # fmt: skip
        argv += ["-chardev", f"file,id=console,path={self.work / 'console'}", "-serial", "chardev:console",
                 "-device", "virtio-serial-pci",
                 "-chardev", f"socket,id=agent,path={self.work / 'port'},server=on,wait=off",
                 "-device", "virtserialport,chardev=agent,name=oomlang"]  # fmt: skip
        with (self.work / "qemu").open("wb") as log:
            self.process = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, process_group=0
            )
        deadline = time.monotonic() + BOOT_LIMIT * self.patience
        self.port = self._connect(deadline)
        self._receive(deadline, "to boot")

    def close(self) -> None:
        """Ends QEMU and removes what the boot made; the console goes to `keep_console` first."""
        if self.port is not None:
            self.port.close()
            self.port = None
        if self.process is not None:
            if self.process.poll() is None:
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(timeout=30)
        if self.work is not None:
            if self.keep_console is not None and (self.work / "console").exists():
                shutil.copy(self.work / "console", self.keep_console)
            shutil.rmtree(self.work, ignore_errors=True)
            self.work = None

    def _connect(self, deadline: float) -> socket.socket:
        assert self.work is not None
        port = socket.socket(socket.AF_UNIX)
        while True:
            try:
                port.connect(str(self.work / "port"))
                return port
            except (FileNotFoundError, ConnectionRefusedError):
                self._check_alive("to start")
                if time.monotonic() > deadline:
                    raise self._vm_lost("QEMU did not open its socket") from None
                time.sleep(0.02)

    def _check_alive(self, doing: str) -> None:
        if self.process is None or self.process.poll() is not None:
            raise self._vm_lost(f"QEMU ended while it was asked {doing}")

    def _vm_lost(self, why: str) -> VmLost:
        self.lost = why
        said = (self.work / "qemu").read_text(errors="replace")[-2000:] if self.work else ""
        console = self.console()
        kept = self.keep_console
        if kept is None:
            kept = cache_root() / "lost" / f"console-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.log"
            kept.parent.mkdir(parents=True, exist_ok=True)
            kept.write_text(console)
        tail = "\n".join(console.splitlines()[-60:])
        return VmLost(
            f"{why}\n--- QEMU ---\n{said}\n--- the end of the console, all of it in {kept} ---\n{tail}"
        )

    def console(self) -> str:
        """What the guest's kernel has written on its console."""
        if self.work is None or not (self.work / "console").exists():
            return ""
        return (self.work / "console").read_text(errors="replace")

    # --- talk -------------------------------------------------------------------------------------

    def _receive(self, deadline: float, doing: str) -> dict[str, Any]:
        """One line from the agent."""
        assert self.port is not None
        while b"\n" not in self.received:
            left = deadline - time.monotonic()
            if left <= 0:
                raise self._vm_lost(f"no answer in time: it was asked {doing}")
            self.port.settimeout(min(left, 1.0))
            try:
                chunk = self.port.recv(1 << 16)
            except TimeoutError:
                self._check_alive(doing)
                continue
            except ConnectionResetError:
                chunk = b""
            if not chunk:
                raise self._vm_lost(f"the machine went away: it was asked {doing}")
            self.received += chunk
        line, _, rest = bytes(self.received).partition(b"\n")
        self.received = bytearray(rest)
        answer = json.loads(line)
        assert isinstance(answer, dict)
        return answer

    def call(self, op: str, *, limit: float | None = None, **arguments: Any) -> Any:
        """One operation of the agent (`op_…` in guest/agent.py); no answer in `limit` seconds means the VM is lost.

        Both `limit` and a `timeout` among the arguments grow with the flavour's slowness.
        """
        if self.lost is not None:
            raise VmLost(f"already lost: {self.lost}")
        assert self.port is not None
        self.requests += 1
        for step in (arguments, *arguments.get("steps", ())):
            if "timeout" in step:
                step["timeout"] = float(step["timeout"]) * self.patience
        # The guest's own limit is over first: then it is the operation that failed, and the machine is not lost.
        seconds = limit * self.patience if limit else float(arguments.get("timeout", 60 * self.patience)) + 60
        request = json.dumps({"id": self.requests, "op": op, **arguments}).encode() + b"\n"
        self.port.settimeout(seconds)
        try:
            self.port.sendall(request)
        except OSError as exc:
            raise self._vm_lost(f"the machine went away before {op}") from exc
        answer = self._receive(time.monotonic() + seconds, f"for {op} {arguments}"[:300])
        assert answer["id"] == self.requests, answer
        if not answer["ok"]:
            raise StepFailed(f"{op}: {answer['error']}")
        return answer["result"]

    def batch(self, steps: Sequence[Mapping[str, Any]], *, limit: float = 300) -> list[Any]:
        """Steps given as data, each `{"op": …, arguments}`: run in the guest without a round trip between them."""
        return list(self.call("batch", steps=[dict(step) for step in steps], limit=limit))

    # --- the usual operations ---------------------------------------------------------------------

    def cgroup(self, path: str, files: Mapping[str, str | int] | None = None) -> int:
        """Makes a cgroup with its parents and writes its files; its id."""
        return int(self.call("cgroup", path=path, files=dict(files or {})))

    def run(self, argv: Sequence[str], *, timeout: float = 60, **how: Any) -> dict[str, Any]:
        """Runs a program to its end: exit, stdout, stderr, seconds, timed_out, killed."""
        return dict(self.call("run", argv=list(argv), timeout=timeout, **how))

    def python(self, argv: Sequence[str], *, timeout: float = 120, **how: Any) -> dict[str, Any]:
        """The same for Python with the checkout's packages, for example `["-m", "oomlang", "status"]`."""
        return self.run(["python3", *argv], timeout=timeout, **how)

    def hog(
        self, name: str, *, cgroup: str | None = None, wait: bool = False, timeout: float = 60, uid: int = 0,
        nice: int = 0, **options: str | int,
    ) -> dict[str, Any]:  # fmt: skip
        """Starts guest/hog.c; keyword arguments are its options. Returns once it holds its memory or has died.

        With `wait` it takes none until `go`.
        """
        argv = ["hog"]
        for option, value in {"comm": name, **options}.items():
            argv += [f"--{option.replace('_', '-')}", str(value)]
        if wait:
            argv.append("--wait")
        return dict(
            self.call(
                "spawn", name=name, argv=argv, cgroup=cgroup, uid=uid, nice=nice, timeout=timeout,
                ready=None if wait else "ready",
            )
        )  # fmt: skip

    def go(self, *names: str) -> None:
        """Lets hogs that were started with `wait` take their memory."""
        self.batch([{"op": "send", "name": name} for name in names])

    def wait(self, *names: str, timeout: float = 60, until: str = "all") -> dict[str, Any]:
        """Waits until all, or with `until="any"` any, of these have ended; a report for each in any case."""
        return dict(self.call("wait", names=list(names), timeout=timeout, until=until))

    def ask(self, name: str, line: str, *, timeout: float = 30) -> str:
        """Writes a line to a process that was started, and waits for the line that it answers with."""
        return str(self.call("ask", name=name, line=line, timeout=timeout))

    def spawn(
        self, name: str, argv: Sequence[str], *, ready: str | None = None, **how: Any
    ) -> dict[str, Any]:
        """Starts a program that goes on; with `ready`, returns when it has said so or has ended."""
        return dict(self.call("spawn", name=name, argv=list(argv), ready=ready, **how))

    def log_mark(self) -> int:
        """A place in the kernel's log, for `log`."""
        return int(self.call("log_mark"))

    def log(self, since: int) -> list[LogRecord]:
        """The kernel's log from a mark on."""
        return [
            LogRecord(number=number, seconds=seconds, level=level, text=text)
            for number, seconds, level, text in self.call("log", since=since)
        ]

    def read(self, path: str) -> str:
        """A file of the guest."""
        return str(self.call("read", path=path))

    def write(self, path: str, data: str) -> None:
        """Writes a file of the guest."""
        self.call("write", path=path, data=data)

    def reset(self) -> None:
        """Kills what was started and removes every cgroup: the state for the next scenario."""
        self.call("reset", limit=120)


def qemu_argv(kernel_dir: Path, accel: str, memory_mib: int, cpus: int, cmdline: str) -> list[str]:
    """The machine without its disks and ports."""
    append = (
        "console=ttyS0 root=/dev/vda rootfstype=squashfs ro init=/sbin/init devtmpfs.mount=0 "
        f"loglevel=6 net.ifnames=0 random.trust_cpu=1 {cmdline}"
    )
    return [
        # Whoever started the machine may be killed: no QEMU is to outlive that. (The signal comes when the *thread* that
        # started it ends, so a machine belongs to a thread that lives as long.)
        "setpriv", "--pdeathsig", "KILL", "--",
        "qemu-system-x86_64", "-M", "q35", "-accel", accel, "-cpu", "host" if accel == "kvm" else "max",
        "-smp", str(cpus), "-m", str(memory_mib), "-nodefaults", "-no-user-config", "-display", "none",
        "-monitor", "none", "-no-reboot", "-device", "virtio-rng-pci",
        "-kernel", str(kernel_dir / "bzImage"), "-append", append,
    ]  # fmt: skip


def best_accel(kernel_dir: Path) -> str:
    """`kvm` where a kernel boots under it in time, else `tcg`. A device that is there proves nothing: it is tried.

    The answer is kept until the next boot of this machine. OOMLANG_ACCEL overrides it.
    """
    if forced := os.environ.get("OOMLANG_ACCEL"):
        return forced
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "tcg,thread=multi"
    boot_id = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    memory = cache_root() / f"accel-{boot_id}"
    if not memory.exists():
        say(f"trying KVM (at most {PROBE_LIMIT:.0f} s)")
        memory.write_text("kvm" if kvm_works(kernel_dir) else "tcg,thread=multi")
        say(f"using {memory.read_text()}")
    return memory.read_text()


def kvm_works(kernel_dir: Path) -> bool:
    """Whether the test kernel gets as far as not finding a root file system."""
    argv = [*qemu_argv(kernel_dir, "kvm", 256, 1, "root=/dev/none panic=-1"), "-serial", "stdio"]
    try:
        done = subprocess.run(
            argv, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=PROBE_LIMIT
        )
    except FileNotFoundError as exc:
        raise EnvironmentLacks("qemu-system-x86_64 is missing; vm/prepare installs it") from exc
    except subprocess.TimeoutExpired:
        return False
    return b"Unable to mount root fs" in done.stdout
