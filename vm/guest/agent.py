"""The guest's process 1: takes one request a line from the host, does it, answers with one line of JSON.

A request is `{"id": n, "op": name, …arguments}`; the answer `{"id": n, "ok": true, "result": …}` or
`{"id": n, "ok": false, "error": text}`. Operations are the functions below whose names begin with `op_`; `batch` runs
several. Text goes both ways as UTF-8 with surrogate escapes, so that any byte of a name or of a log survives.

Only what the interpreter has built in or starts fast: the guest is emulated, and every import costs.
"""

from __future__ import annotations

import base64
import ctypes
import errno
import json
import os
import select
import signal
import time
import traceback
from typing import Any, NoReturn

CGROUPS = "/sys/fs/cgroup"
OUTPUT_LIMIT = 4 << 20
# mlockall(2): all that is mapped, and all that will be.
MCL_CURRENT, MCL_FUTURE = 1, 2
# Seconds for what takes none unless something is stuck: a killed process to end, an empty cgroup to go away.
PATIENCE = 300.0

Json = Any


class Refused(Exception):
    """The request cannot be done; the message goes to the host."""


class Child:
    """A process that the agent started: its output so far and, once reaped, how it ended."""

    def __init__(self, name: str, pid: int, stdin: int, stdout: int, stderr: int) -> None:
        self.name, self.pid, self.stdin = name, pid, stdin
        self.output = {stdout: bytearray(), stderr: bytearray()}
        self.stdout, self.stderr = stdout, stderr
        self.open = {stdout, stderr}
        self.status: int | None = None
        self.started = time.monotonic()
        self.ended = 0.0

    def report(self) -> dict[str, Json]:
        """What the host gets to see."""
        done = self.status is not None
        return {
            "name": self.name,
            "pid": self.pid,
            "running": not done,
            "exit": os.waitstatus_to_exitcode(self.status) if self.status is not None else None,
            "stdout": text(self.output[self.stdout]),
            "stderr": text(self.output[self.stderr]),
            "seconds": round((self.ended if done else time.monotonic()) - self.started, 3),
        }


def text(data: bytes | bytearray) -> str:
    """Bytes as a string that json can carry and that turns back into the same bytes."""
    return bytes(data).decode("utf-8", "surrogateescape")


def unescaped(line: bytes) -> bytes:
    """A line of /dev/kmsg as it was logged: there, all but printable ASCII is `\\xNN`, the backslash too."""
    parts = line.split(b"\\x")
    return parts[0] + b"".join(bytes([int(part[:2], 16)]) + part[2:] for part in parts[1:])


def raw(value: str) -> bytes:
    """The bytes of such a string."""
    return value.encode("utf-8", "surrogateescape")


class Agent:
    """All state of the guest side."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.pending = bytearray()
        self.children: dict[str, Child] = {}
        self.by_fd: dict[int, Child] = {}
        self.poll = select.poll()
        wake_read, wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self.wake = wake_read
        self.poll.register(wake_read, select.POLLIN)

    # --- children ---------------------------------------------------------------------------------

    def pump(self, seconds: float) -> None:
        """Waits at most so long for something to happen to the children, and takes note of it."""
        for fd, _ in self.poll.poll(max(0, int(seconds * 1000) + 1)):
            if fd == self.wake:
                os.read(fd, 4096)
                continue
            child = self.by_fd[fd]
            data = os.read(fd, 65536)
            if data:
                if len(child.output[fd]) < OUTPUT_LIMIT:
                    child.output[fd] += data
            else:
                self.close(child, fd)
        self.reap()

    def close(self, child: Child, fd: int) -> None:
        """Forgets one output of a child."""
        self.poll.unregister(fd)
        os.close(fd)
        child.open.discard(fd)
        del self.by_fd[fd]

    def reap(self) -> None:
        """Collects everything dead: our children, and the orphans that process 1 inherits."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            for child in self.children.values():
                if child.pid == pid and child.status is None:
                    child.status, child.ended = status, time.monotonic()

    def spawn(
        self, name: str, argv: list[str], *, cgroup: str | None = None, env: dict[str, str] | None = None,
        uid: int = 0, gid: int | None = None, nice: int = 0, adj: int | None = None, cwd: str = "/",
    ) -> Child:  # fmt: skip
        """Forks and executes; all that can fail in the child before exec is reported by errno."""
        if name in self.children and self.children[name].status is None:
            raise Refused(f"a process named {name!r} is running")
        procs = -1
        if cgroup is not None:
            procs = os.open(f"{cgroup_dir(cgroup)}/cgroup.procs", os.O_WRONLY | os.O_CLOEXEC)
        in_r, in_w = os.pipe2(os.O_CLOEXEC)
        out_r, out_w = os.pipe2(os.O_CLOEXEC)
        err_r, err_w = os.pipe2(os.O_CLOEXEC)
        bad_r, bad_w = os.pipe2(os.O_CLOEXEC)
        full_env = {**os.environ, **(env or {})}
        pid = os.fork()
        if pid == 0:
            stage = "fork"
            try:
                signal.set_wakeup_fd(-1)
                for number in (signal.SIGCHLD, signal.SIGPIPE, signal.SIGXFSZ):
                    signal.signal(number, signal.SIG_DFL)
                os.setsid()
                for source, target in ((in_r, 0), (out_w, 1), (err_w, 2)):
                    os.dup2(source, target)
                if procs >= 0:
                    stage = "cgroup.procs"
                    os.write(procs, b"0")
                stage = "nice"
                os.nice(nice)
                if adj is not None:
                    stage = "oom_score_adj"
                    with open("/proc/self/oom_score_adj", "w") as f:
                        f.write(str(adj))
                stage = "cwd"
                os.chdir(cwd)
                stage = "uid"
                if uid or gid is not None:
                    os.setgroups([])
                    os.setgid(uid if gid is None else gid)
                    os.setuid(uid)
                stage = argv[0]
                os.execvpe(raw(argv[0]), [raw(word) for word in argv], full_env)
            except OSError as exc:
                os.write(bad_w, f"{stage}: {exc.strerror}".encode())
            finally:
                os._exit(127)
        for fd in (in_r, out_w, err_w, bad_w, procs):
            if fd >= 0:
                os.close(fd)
        failure = os.read(bad_r, 4096)
        os.close(bad_r)
        if failure:
            for fd in (in_w, out_r, err_r):
                os.close(fd)
            os.waitpid(pid, 0)
            raise Refused(f"cannot start {argv[0]}: {text(failure)}")
        child = Child(name, pid, in_w, out_r, err_r)
        for fd in (out_r, err_r):
            self.by_fd[fd] = child
            self.poll.register(fd, select.POLLIN)
        self.children[name] = child
        return child

    def until(self, seconds: float, condition: Any) -> bool:
        """Pumps until the condition holds (true) or the time is up (false)."""
        end = time.monotonic() + seconds
        while not condition():
            left = end - time.monotonic()
            self.pump(
                max(0.0, min(left, 0.1))
            )  # once at least: the guest may have stood still until the time was up
            if left <= 0:
                return bool(condition())
        return True

    def named(self, name: str) -> Child:
        """The child of this name."""
        if name not in self.children:
            raise Refused(f"no process named {name!r}")
        return self.children[name]

    # --- operations: the guest --------------------------------------------------------------------

    def op_ping(self) -> Json:
        """Who and what the guest is."""
        uname = os.uname()
        with open("/proc/uptime") as f:
            uptime = float(f.read().split()[0])
        return {"release": uname.release, "version": uname.version, "cpus": os.cpu_count(), "uptime": uptime}

    def op_batch(self, steps: list[dict[str, Json]]) -> Json:
        """Runs steps one after the other; a step's failure ends the batch and is its error."""
        results = []
        for number, step in enumerate(steps):
            try:
                results.append(self.perform(dict(step)))
            except (Refused, OSError) as exc:
                raise Refused(f"step {number} ({step.get('op')}): {exc}") from exc
        return results

    def op_sleep(self, seconds: float) -> Json:
        """Lets time pass; children go on."""
        self.until(seconds, lambda: False)

    # --- operations: files ------------------------------------------------------------------------

    def op_read(self, path: str, limit: int = OUTPUT_LIMIT) -> Json:
        """A file's content."""
        with open(path, "rb") as f:
            return text(f.read(limit))

    def op_read_many(self, paths: list[str]) -> Json:
        """Several files at nearly one moment; one that cannot be read is null."""
        found: dict[str, str | None] = {}
        for path in paths:
            try:
                found[path] = self.op_read(path)
            except OSError:
                found[path] = None
        return found

    def op_write(self, path: str, data: str = "", b64: str | None = None, mode: int | None = None) -> Json:
        """Writes a file in one write(), as files of cgroupfs and procfs need."""
        content = base64.b64decode(b64) if b64 is not None else raw(data)
        flags = os.O_WRONLY | os.O_CLOEXEC
        if not path.startswith(("/sys/", "/proc/", "/dev/")):
            os.makedirs(os.path.dirname(path) or "/", exist_ok=True)
            flags |= os.O_CREAT | os.O_TRUNC
        fd = os.open(path, flags, 0o644 if mode is None else mode)
        try:
            while content:
                content = content[os.write(fd, content) :]
        finally:
            os.close(fd)

    def op_list(self, path: str) -> Json:
        """The sorted names in a directory."""
        return sorted(os.listdir(path))

    def op_exists(self, path: str) -> Json:
        """Whether there is such a file."""
        return os.path.lexists(path)

    def op_wait_file(self, path: str, contains: str, timeout: float = PATIENCE) -> Json:
        """Waits until a file contains a text; true if it came to that."""
        return self.until(timeout, lambda: contains in self.op_read(path))

    # --- operations: cgroups ----------------------------------------------------------------------

    def op_cgroup(self, path: str, files: dict[str, str | int] | None = None) -> Json:
        """Makes a cgroup with its parents, turns the controllers on, writes its files; gives its id."""
        parts = [part for part in path.split("/") if part]
        here = CGROUPS
        for part in parts:
            enable(here)
            here = f"{here}/{part}"
            os.makedirs(raw(here), exist_ok=True)
        for name, value in (files or {}).items():
            self.op_write(f"{here}/{name}", str(value))
        return os.stat(raw(here)).st_ino

    def op_cgroup_read(self, path: str, names: list[str]) -> Json:
        """Files of a cgroup."""
        return {name: self.op_read(f"{cgroup_dir(path)}/{name}").rstrip("\n") for name in names}

    def op_cgroup_remove(self, path: str, timeout: float = PATIENCE) -> Json:
        """Kills what is left in a cgroup and below, and removes it."""
        top = cgroup_dir(path)
        if path.strip("/") and os.path.isdir(top):
            self.op_write(f"{top}/cgroup.kill", "1")
            for here, _, _ in os.walk(top, topdown=False):
                if not self.until(timeout, lambda here=here: removed(here)):
                    raise Refused(f"cannot remove {text(os.fsencode(here))}: still in use")

    # --- operations: processes --------------------------------------------------------------------

    def op_spawn(
        self, name: str, argv: list[str], timeout: float = PATIENCE, ready: str | None = None, **how: Json
    ) -> Json:
        """Starts a process; with `ready`, waits for a line that begins so, or for the process to end."""
        child = self.spawn(name, argv, **how)
        if ready is not None:
            marks = (raw(ready), b"\n" + raw(ready))

            def said() -> bool:
                out = child.output[child.stdout]
                return child.status is not None or out.startswith(marks[0]) or marks[1] in out

            if not self.until(timeout, said):
                raise Refused(f"{name} did not say {ready!r} within {timeout} s: {child.report()}")
        return child.report()

    def op_send(self, name: str, data: str = "\n", close: bool = False) -> Json:
        """Writes to a process's standard input."""
        child = self.named(name)
        os.write(child.stdin, raw(data))
        if close:
            os.close(child.stdin)
            child.stdin = -1

    def op_ask(self, name: str, line: str, timeout: float = PATIENCE) -> Json:
        """Writes a line to a process and waits for its next whole line of output, which it gives back."""
        child = self.named(name)
        begin = len(child.output[child.stdout])
        os.write(child.stdin, raw(line) + b"\n")
        if not self.until(
            timeout, lambda: b"\n" in child.output[child.stdout][begin:] or child.status is not None
        ):
            raise Refused(f"{name} did not answer {line!r} within {timeout} s")
        answer, newline, _ = bytes(child.output[child.stdout][begin:]).partition(b"\n")
        if not newline:
            raise Refused(f"{name} ended: {child.report()}")
        return text(answer)

    def op_report(self, name: str) -> Json:
        """A process's output so far, and whether it runs."""
        self.pump(0)
        return self.named(name).report()

    def op_wait(self, names: list[str], timeout: float = PATIENCE, until: str = "all") -> Json:
        """Waits for all or any of these processes to end; reports them either way."""
        children = [self.named(name) for name in names]
        check = all if until == "all" else any
        self.until(timeout, lambda: check(child.status is not None for child in children))
        return {child.name: child.report() for child in children}

    def op_kill(self, name: str, signal: int = 9) -> Json:
        """Sends a signal to a process and, if it is SIGKILL, waits for its end."""
        child = self.named(name)
        if child.status is None:
            os.kill(child.pid, signal)
            if signal == 9:
                self.until(PATIENCE, lambda: child.status is not None)
        return child.report()

    def op_run(
        self,
        argv: list[str],
        timeout: float = PATIENCE,
        stdin: str = "",
        kill_after: float | None = None,
        **how: Json,
    ) -> Json:
        """Runs a program to its end. `kill_after` sends SIGKILL then; `timed_out` says that `timeout` did."""
        child = self.spawn("run", argv, **how)
        data = raw(stdin)
        os.set_blocking(child.stdin, False)

        def finished() -> bool:
            nonlocal data
            if child.stdin >= 0:
                try:
                    data = data[os.write(child.stdin, data) :] if data else data
                except BlockingIOError:
                    pass
                except BrokenPipeError:
                    data = b""
                if not data:
                    os.close(child.stdin)
                    child.stdin = -1
            return child.status is not None and not child.open

        killed = timed_out = False
        limit = timeout if kill_after is None else min(timeout, kill_after)
        # A daemon that the program left behind may hold its output open: its own end is enough then.
        if not self.until(limit, lambda: finished() or child.status is not None):
            killed, timed_out = True, kill_after is None or limit == timeout
            os.kill(child.pid, 9)
            self.until(PATIENCE, lambda: child.status is not None)
        self.until(2, finished)
        for fd in list(child.open):
            self.close(child, fd)
        if child.stdin >= 0:
            os.close(child.stdin)
        report = child.report()
        del self.children["run"]
        return {**report, "killed": killed, "timed_out": timed_out}

    def op_processes(self, cgroup: str | None = None) -> Json:
        """Each process's files of /proc that hold facts, of one cgroup or of all; kernel threads are left out."""
        if cgroup is None:
            pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
        else:
            pids = [int(line) for line in self.op_read(f"{cgroup_dir(cgroup)}/cgroup.procs").split()]
        found: dict[str, Json] = {}
        for pid in pids:
            files = ("status", "stat", "statm", "cgroup", "oom_score_adj", "oom_score", "comm")
            try:
                report = {name: self.op_read(f"/proc/{pid}/{name}") for name in files}
            except OSError:
                continue
            if "VmSize" in report["status"] or "Zombie" in report["status"] or "(zombie)" in report["status"]:
                found[str(pid)] = report
        return found

    # --- operations: the kernel's log -------------------------------------------------------------

    def op_log_mark(self) -> Json:
        """The sequence number that the kernel's next record will have."""
        self.op_write("/dev/kmsg", "<7>oomlang: mark")
        records = self.op_log(0)
        return records[-1][0] + 1 if records else 0

    def op_log(self, since: int) -> Json:
        """The kernel's records from this number on: [number, seconds, level, text]."""
        fd = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        records: list[list[Json]] = []
        try:
            while True:
                try:
                    record = os.read(fd, 8192)
                except OSError as exc:
                    if exc.errno == errno.EPIPE:
                        continue  # overwritten while we read; the next read goes on with what is left
                    if exc.errno == errno.EAGAIN:
                        return records
                    raise
                head, _, body = record.partition(b";")
                fields = head.split(b",")
                number = int(fields[1])
                if number >= since:
                    line = unescaped(body.split(b"\n", 1)[0])  # what follows are the record's properties
                    records.append([number, int(fields[2]) / 1e6, int(fields[0]) & 7, text(line)])
        finally:
            os.close(fd)

    def op_sysrq(self, key: str) -> Json:
        """Presses a SysRq key: `f` runs the OOM killer, `c` crashes the kernel."""
        self.op_write("/proc/sysrq-trigger", key)

    def op_swapon(self, device: str = "/dev/vdc") -> Json:
        """Formats a block device as swap and uses it."""
        for argv in (["busybox", "mkswap", device], ["busybox", "swapon", device]):
            done = self.op_run(argv)
            if done["exit"]:
                raise Refused(f"{argv}: {done['stderr']}")

    def op_reset(self) -> Json:
        """Between scenarios: kills what the agent started and removes every cgroup."""
        for child in self.children.values():
            if child.status is None:
                try:
                    os.kill(child.pid, 9)
                except ProcessLookupError:
                    pass
        for entry in os.scandir(CGROUPS):
            if entry.is_dir(follow_symlinks=False):
                self.op_cgroup_remove(text(os.fsencode(entry.name)))
        stuck = [child.name for child in self.children.values() if child.status is None]
        if not self.until(
            PATIENCE, lambda: all(child.status is not None for child in self.children.values())
        ):
            raise Refused(f"these did not die: {stuck}")
        self.until(0.2, lambda: not any(child.open for child in self.children.values()))
        for child in self.children.values():
            for fd in list(child.open):
                self.close(child, fd)
            if child.stdin >= 0:
                os.close(child.stdin)
        self.children.clear()

    # --- requests ---------------------------------------------------------------------------------

    def perform(self, request: dict[str, Json]) -> Json:
        """One operation with its arguments; `{pid:NAME}` in a string is a child's process id."""
        op = request.pop("op")
        method = getattr(self, f"op_{op}", None)
        if method is None:
            raise Refused(f"unknown operation {op!r}")
        try:
            return method(**self.filled(request))
        except TypeError as exc:
            if exc.__traceback__ is not None and exc.__traceback__.tb_next is None:
                raise Refused(f"{op}: {exc}") from exc
            raise

    def filled(self, value: Json) -> Json:
        """The arguments with names replaced by process ids."""
        if isinstance(value, str) and "{pid:" in value:
            for name, child in self.children.items():
                value = value.replace(f"{{pid:{name}}}", str(child.pid))
            return value
        if isinstance(value, list):
            return [self.filled(item) for item in value]
        if isinstance(value, dict):
            return {key: self.filled(item) for key, item in value.items()}
        return value

    def answer(self, line: bytes) -> None:
        """Does one request and sends what came of it."""
        request = json.loads(line)
        number = request.pop("id")
        reply: dict[str, Json]
        try:
            reply = {"id": number, "ok": True, "result": self.perform(request)}
        except (Refused, OSError) as exc:
            reply = {"id": number, "ok": False, "error": str(exc)}
        except Exception:  # noqa: BLE001 (process 1 must not end: that is a panic)
            reply = {"id": number, "ok": False, "error": traceback.format_exc()}
        data = json.dumps(reply).encode() + b"\n"
        os.set_blocking(self.port, True)
        while data:
            data = data[os.write(self.port, data) :]

    def serve(self) -> None:
        """Answers requests until the host hangs up."""
        while True:
            # Only here the port is listened to: an operation that pumps must not see the next request.
            ears = select.poll()
            for fd in (self.port, self.wake, *self.by_fd):
                ears.register(fd, select.POLLIN)
            ready = {fd for fd, _ in ears.poll()}
            self.pump(0)
            if self.port not in ready:
                continue
            chunk = os.read(self.port, 65536)
            if not chunk:
                return
            self.pending += chunk
            while b"\n" in self.pending:
                line, _, rest = bytes(self.pending).partition(b"\n")
                self.pending = bytearray(rest)
                self.answer(line)


def removed(path: str) -> bool:
    """Whether a cgroup is gone, after trying."""
    try:
        os.rmdir(path)
    except FileNotFoundError:
        return True
    except OSError as exc:
        if exc.errno in (errno.EBUSY, errno.ENOTEMPTY):
            return False
        raise
    return True


def enable(directory: str) -> None:
    """Turns every controller on for a cgroup's children."""
    with open(raw(f"{directory}/cgroup.controllers")) as f:
        available = f.read().split()
    with open(raw(f"{directory}/cgroup.subtree_control")) as f:
        missing = set(available) - set(f.read().split())
    for name in sorted(missing):
        with open(raw(f"{directory}/cgroup.subtree_control"), "w") as f:
            f.write(f"+{name}")


def cgroup_dir(path: str) -> str:
    """Where a cgroup's files are."""
    return f"{CGROUPS}/{path.strip('/')}"


def find_port(name: str = "oomlang") -> str:
    """The device of the virtio port with this name."""
    for port in os.listdir("/sys/class/virtio-ports"):
        with open(f"/sys/class/virtio-ports/{port}/name") as f:
            if f.read().strip() == name:
                return f"/dev/{port}"
    raise SystemExit("agent: no virtio port to talk through")


def main() -> NoReturn:
    """Serves, then turns the machine off."""
    os.environ.setdefault("PYTHONPATH", "/payload/src:/site")
    # Where memory is short, pages of ours that the kernel drops and we read back at once look to it like progress: it went
    # on so for minutes instead of calling the OOM killer.
    if ctypes.CDLL(None).mlockall(MCL_CURRENT | MCL_FUTURE):
        raise OSError("mlockall failed")
    port = os.open(find_port(), os.O_RDWR | os.O_CLOEXEC)
    agent = Agent(port)
    os.write(port, b'{"hello": 1}\n')
    agent.serve()
    os.execv("/bin/busybox", ["busybox", "reboot", "-f"])


if __name__ == "__main__":
    main()
