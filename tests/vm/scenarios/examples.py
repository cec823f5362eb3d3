"""A scene for each policy of examples/ in which its deciding rules matter: whom it kills, and whom the kernel would.

Scenes are small: a machine of 768 MiB, hogs that take a second to come up. Most ask for a kill on the whole machine; the
others run into a limit.
"""

from __future__ import annotations

from dataclasses import dataclass

from tests.vm.scenarios.stage import Hog, Scene

MIB = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """policy: of examples/. settings: inputs, set on the cgroups of the scene. left: the policy leaves it to the kernel."""

    policy: str
    scene: Scene
    victim: str
    stock: str
    settings: tuple[str, ...] = ()
    left: bool = False


_POSTGRES = "/system.slice/system-postgresql.slice/postgresql@16-main.service"
_SESSION = "/user.slice/user-1000.slice/user@1000.service/session.slice"
_APPS = "/user.slice/user-1000.slice/user@1000.service/app.slice"
_STEPD = "/system.slice/slurmstepd.scope"
_PODS = "/kubepods.slice"
_BURSTABLE = f"{_PODS}/kubepods-burstable.slice/kubepods-burstable"
_BESTEFFORT = f"{_PODS}/kubepods-besteffort.slice/kubepods-besteffort"

_JOBS = Scene(
    cgroups={
        f"{_STEPD}/job_12": {"memory.max": 28 * MIB},
        f"{_STEPD}/job_13": {"memory.max": 200 * MIB},
        f"{_STEPD}/job_14": {"memory.max": 200 * MIB},
    },
    hogs={
        "near": Hog(cgroup=f"{_STEPD}/job_12/step_0/user/task_0", size="20M"),
        "far": Hog(cgroup=f"{_STEPD}/job_13/step_0/user/task_0", size="24M"),
        "spare": Hog(cgroup=f"{_STEPD}/job_14/step_0/user/task_0", size="4M"),
        "stepd": Hog(cgroup=f"{_STEPD}/job_13/step_0/slurm", size="28M", comm="slurmstepd"),
        "slurmd": Hog(cgroup="/system.slice/slurmd.service", size="34M"),
    },
    sysrq=True,
)

EXAMPLES: dict[str, Example] = {
    "android: the heaviest of a level, not the oldest": Example(
        policy="android",
        scene=Scene(
            hogs={
                "system_server": Hog(cgroup="/system", size="40M", options={"adj": -900}),
                "com.game": Hog(cgroup="/apps/uid_10102", size="36M", uid=10102, options={"adj": 0}),
                "com.heavy": Hog(cgroup="/apps/uid_10101", size="28M", uid=10101, options={"adj": 900}),
                "com.old": Hog(cgroup="/apps/uid_10103", size="4M", uid=10103, options={"adj": 980}),
            },
            sysrq=True,
        ),
        victim="com.heavy",
        stock="com.old",
    ),
    "android: a level before the next, whatever it holds": Example(
        policy="android",
        scene=Scene(
            hogs={
                "com.large": Hog(cgroup="/apps/uid_10101", size="24M", options={"adj": 290}),
                "com.small": Hog(cgroup="/apps/uid_10102", size="4M", options={"adj": 300}),
            },
            sysrq=True,
        ),
        victim="com.small",
        stock="com.large",
    ),
    "batch_first: a batch job before what is larger, and before a liar": Example(
        policy="batch_first",
        scene=Scene(
            hogs={
                "sshd": Hog(cgroup="/system.slice/ssh.service", size="30M"),
                "systemd-logind": Hog(cgroup="/init.scope", size="26M"),
                "liar": Hog(cgroup="/user.slice/user-1000.slice", size="20M", comm="sshd", uid=1000),
                "python3": Hog(cgroup="/batch.slice/job-1", size="8M", uid=990),
            },
            sysrq=True,
        ),
        victim="python3",
        stock="sshd",
    ),
    "batch_first: a name protects only root's": Example(
        policy="batch_first",
        scene=Scene(
            hogs={
                "sshd": Hog(cgroup="/system.slice/sshd.service", size="30M"),
                "liar": Hog(cgroup="/user.slice/user-1000.slice", size="20M", comm="sshd", uid=1000),
            },
            sysrq=True,
        ),
        victim="liar",
        stock="sshd",
    ),
    "batch_first: between jobs the priority": Example(
        policy="batch_first",
        scene=Scene(
            hogs={
                "nightly": Hog(cgroup="/batch.slice/nightly", size="8M"),
                "billing": Hog(cgroup="/batch.slice/billing", size="16M"),
            },
            sysrq=True,
        ),
        settings=("priority/batch.slice/nightly=-10", "priority/batch.slice/billing=10"),
        victim="nightly",
        stock="billing",
    ),
    "batch_first: what is under protection does not count": Example(
        policy="batch_first",
        scene=Scene(
            cgroups={
                "/system.slice": {"memory.low": 34 * MIB},
                "/system.slice/db.service": {"memory.low": 34 * MIB},
            },
            hogs={
                "mysqld": Hog(cgroup="/system.slice/db.service", size="30M", uid=110),
                "nginx": Hog(cgroup="/web.slice/nginx.service", size="12M", uid=33),
            },
            sysrq=True,
        ),
        victim="nginx",
        stock="mysqld",
    ),
    "batch_first: a user's own limit is the kernel's": Example(
        policy="batch_first",
        scene=Scene(
            cgroups={"/user.slice/user-1000.slice": {"memory.max": 16 * MIB, "memory.swap.max": 0}},
            hogs={
                "small": Hog(cgroup="/user.slice/user-1000.slice/a", size="4M", uid=1000),
                "large": Hog(cgroup="/user.slice/user-1000.slice/b", size="20M", uid=0),
            },
        ),
        victim="large",
        stock="large",
        left=True,
    ),
    "ci_runner: the largest job, and in it not its shell": Example(
        policy="ci_runner",
        scene=Scene(
            hogs={
                "gitlab-runner": Hog(cgroup="/system.slice/gitlab-runner.service", options={"adj": 500}),
                "shell": Hog(cgroup="/system.slice/docker-1f.scope/init", size="180M", comm="bash"),
                "cc1plus": Hog(cgroup="/system.slice/docker-1f.scope/work", size="84M"),
                "java": Hog(cgroup="/machine.slice/libpod-2e.scope", size="200M"),
            },
            sysrq=True,
        ),
        victim="cc1plus",
        stock="gitlab-runner",
    ),
    "database: without a greedy one what is not the server's": Example(
        policy="database",
        scene=Scene(
            hogs={
                "usual": Hog(cgroup=_POSTGRES, size="24M", comm="postgres"),
                "cron": Hog(cgroup="/system.slice/cron.service", size="8M"),
            },
            sysrq=True,
        ),
        victim="cron",
        stock="usual",
    ),
    "database: a greedy query, not who has touched the buffers": Example(
        policy="database",
        scene=Scene(
            hogs={
                "postmaster": Hog(cgroup=_POSTGRES, size="4M", comm="postgres", options={"adj": -900}),
                "usual": Hog(cgroup=_POSTGRES, size="32M", comm="postgres", options={"kind": "shmem"}),
                "big": Hog(cgroup=_POSTGRES, size="20M", comm="postgres"),
                "cron": Hog(cgroup="/system.slice/cron.service", size="26M"),
            },
            sysrq=True,
        ),
        settings=("greedy=12MiB",),
        victim="big",
        stock="usual",
    ),
    "desktop: a tab, not the session": Example(
        policy="desktop",
        scene=Scene(
            hogs={
                "gnome-shell": Hog(cgroup=_SESSION, size="36M", uid=1000),
                "firefox": Hog(cgroup=f"{_APPS}/firefox.scope", size="24M", uid=1000),
                "tab": Hog(cgroup=f"{_APPS}/firefox.scope", size="6M", comm="Isolated Web Co", uid=1000),
                "networkmanager": Hog(cgroup="/system.slice/NetworkManager.service", size="30M"),
            },
            sysrq=True,
        ),
        victim="tab",
        stock="gnome-shell",
    ),
    "desktop: a build that fills half of the machine": Example(
        policy="desktop",
        scene=Scene(
            hogs={
                "firefox": Hog(cgroup=f"{_APPS}/firefox.scope", size="150M", uid=1000),
                "make": Hog(cgroup=f"{_APPS}/build.scope", size="4M", uid=1000),
                "cc1": Hog(cgroup=f"{_APPS}/build.scope", size="134M", uid=1000),
                "cc2": Hog(cgroup=f"{_APPS}/build.scope", size="126M", uid=1000),
                "cc3": Hog(cgroup=f"{_APPS}/build.scope", size="127M", uid=1000),
            },
            sysrq=True,
        ),
        victim="cc1",
        stock="firefox",
    ),
    "earlyoom: a tab counts for 30 % more": Example(
        policy="earlyoom",
        scene=Scene(
            hogs={
                "sshd": Hog(cgroup="/system.slice/ssh.service", size="44M"),
                "gnome-shell": Hog(cgroup="/user.slice", size="36M", uid=1000),
                "libreoffice": Hog(cgroup="/user.slice", size="28M", uid=1000),
                "tab": Hog(cgroup="/user.slice", size="8M", comm="Web Content", uid=1000),
            },
            sysrq=True,
        ),
        victim="tab",
        stock="sshd",
    ),
    "earlyoom: and not for more": Example(
        policy="earlyoom",
        scene=Scene(
            hogs={
                "dnf-automatic": Hog(cgroup="/system.slice", size="270M"),
                "stress": Hog(cgroup="/user.slice", size="250M", uid=1000),
                "tab": Hog(cgroup="/user.slice", size="4M", comm="Isolated Web Co", uid=1000),
            },
            sysrq=True,
        ),
        victim="stress",
        stock="dnf-automatic",
    ),
    "fair_share: who is over their share loses work, not the login": Example(
        policy="fair_share",
        scene=Scene(
            hogs={
                "nginx": Hog(cgroup="/system.slice/nginx.service", size="40M", uid=33),
                "login": Hog(
                    cgroup="/user.slice/user-1001.slice/session-3.scope", size="24M", comm="bash", uid=1001
                ),
                "R": Hog(cgroup="/user.slice/user-1001.slice/session-3.scope", size="18M", uid=1001),
                "python3": Hog(cgroup="/user.slice/user-1002.slice/session-7.scope", size="30M", uid=1002),
                "gdb": Hog(cgroup="/user.slice/user-0.slice/session-9.scope", size="34M"),
            },
            sysrq=True,
        ),
        victim="R",
        stock="nginx",
    ),
    "fair_share: a larger share allows more": Example(
        policy="fair_share",
        scene=Scene(
            hogs={
                "R": Hog(cgroup="/user.slice/user-1001.slice/session-3.scope", size="30M", uid=1001),
                "python3": Hog(cgroup="/user.slice/user-1002.slice/session-7.scope", size="20M", uid=1002),
            },
            sysrq=True,
        ),
        settings=("share/user.slice/user-1001.slice=200",),
        victim="python3",
        stock="R",
    ),
    "hpc: the job nearest to its limit, Slurm never": Example(
        policy="hpc", scene=_JOBS, victim="near", stock="slurmd"
    ),
    "hpc: a preemptible job before it": Example(
        policy="hpc",
        scene=_JOBS,
        settings=("preemptible/system.slice/slurmstepd.scope/job_14=true",),
        victim="spare",
        stock="slurmd",
    ),
    "hpc: a job at its own limit is the kernel's": Example(
        policy="hpc",
        scene=Scene(
            cgroups={f"{_STEPD}/job_11": {"memory.max": 16 * MIB, "memory.swap.max": 0}},
            hogs={
                "stepd": Hog(cgroup=f"{_STEPD}/job_11/step_0/slurm", size="20M", comm="slurmstepd"),
            },
        ),
        victim="stepd",
        stock="stepd",
        left=True,
    ),
    "invoker: in a memory cgroup the largest": Example(
        policy="invoker",
        scene=Scene(
            cgroups={"/system.slice": {"memory.max": 16 * MIB, "memory.swap.max": 0}},
            hogs={
                "mysqld": Hog(cgroup="/system.slice/a", size="10M"),
                "python3": Hog(cgroup="/system.slice/b", size="8M"),
            },
        ),
        settings=("bystander=1MiB",),
        victim="mysqld",
        stock="mysqld",
    ),
    "kubernetes: BestEffort first, the node's daemons never or last": Example(
        policy="kubernetes",
        scene=Scene(
            hogs={
                "report": Hog(cgroup=f"{_BESTEFFORT}-pod1.slice", size="6M"),
                "web": Hog(cgroup=f"{_BURSTABLE}-pod2.slice", size="14M"),
                "db": Hog(cgroup=f"{_PODS}/kubepods-pod3.slice", size="18M"),
                "chronyd": Hog(cgroup="/system.slice/chrony.service", size="22M"),
                "kubelet": Hog(cgroup="/system.slice/kubelet.service", size="26M"),
            },
            sysrq=True,
        ),
        victim="report",
        stock="kubelet",
    ),
    "kubernetes: over its request before inside it": Example(
        policy="kubernetes",
        scene=Scene(
            cgroups={
                f"{_BURSTABLE}-pod1.slice": {"memory.min": 40 * MIB},
                f"{_BURSTABLE}-pod2.slice": {"memory.min": 2 * MIB},
            },
            hogs={
                "inside": Hog(cgroup=f"{_BURSTABLE}-pod1.slice", size="24M"),
                "over": Hog(cgroup=f"{_BURSTABLE}-pod2.slice/container", size="10M"),
                "guaranteed": Hog(cgroup=f"{_PODS}/kubepods-pod3.slice", size="20M"),
            },
            sysrq=True,
        ),
        victim="over",
        stock="inside",
    ),
    "kubernetes: the lower priority class": Example(
        policy="kubernetes",
        scene=Scene(
            hogs={
                "low": Hog(cgroup=f"{_BURSTABLE}-pod1.slice/container", size="8M"),
                "high": Hog(cgroup=f"{_BURSTABLE}-pod2.slice/container", size="16M"),
            },
            sysrq=True,
        ),
        settings=(f"pod_priority{_BURSTABLE}-pod1.slice=-10",),
        victim="low",
        stock="high",
    ),
    "kubernetes: all pods at the node's limit are not left to the kernel": Example(
        policy="kubernetes",
        scene=Scene(
            cgroups={_PODS: {"memory.max": 24 * MIB, "memory.swap.max": 0}},
            hogs={
                "report": Hog(cgroup=f"{_BESTEFFORT}-pod1.slice", size="4M"),
                "db": Hog(cgroup=f"{_PODS}/kubepods-pod3.slice", size="20M"),
            },
        ),
        victim="report",
        stock="db",
    ),
    "kubernetes: a container at its limit is the kernel's": Example(
        policy="kubernetes",
        scene=Scene(
            cgroups={f"{_BURSTABLE}-pod1.slice/a.scope": {"memory.max": 16 * MIB, "memory.swap.max": 0}},
            hogs={"web": Hog(cgroup=f"{_BURSTABLE}-pod1.slice/a.scope", size="20M")},
        ),
        victim="web",
        stock="web",
        left=True,
    ),
    "oomd: the worst slice, in it the worst service": Example(
        policy="oomd",
        scene=Scene(
            cgroups={
                "/system.slice": {"memory.low": 34 * MIB},
                "/system.slice/db.service": {"memory.low": 34 * MIB},
            },
            hogs={
                "mysqld": Hog(cgroup="/system.slice/db.service", size="34M"),
                "redis": Hog(cgroup="/system.slice/cache.service", size="20M"),
                "nginx": Hog(cgroup="/workload.slice/web.service", size="10M"),
                "celery1": Hog(cgroup="/workload.slice/jobs.service", size="12M"),
                "celery2": Hog(cgroup="/workload.slice/jobs.service", size="15M"),
            },
            sysrq=True,
        ),
        victim="celery2",
        stock="mysqld",
    ),
    "oomd: omit never, avoid last": Example(
        policy="oomd",
        scene=Scene(
            hogs={
                "dbus": Hog(cgroup="/system.slice/dbus.service", size="24M"),
                "nginx": Hog(cgroup="/system.slice/web.service", size="16M"),
                "cron": Hog(cgroup="/system.slice/cron.service", size="4M"),
            },
            sysrq=True,
        ),
        settings=("omit/system.slice/dbus.service=true", "avoid/system.slice/web.service=true"),
        victim="cron",
        stock="dbus",
    ),
    "stock: as the kernel": Example(
        policy="stock",
        scene=Scene(
            hogs={
                "nginx": Hog(cgroup="/system.slice/nginx.service", size="30M"),
                "python3": Hog(cgroup="/user.slice", size="40M", uid=1000),
                "spared": Hog(cgroup="/user.slice", size="50M", options={"adj": -1000}),
            },
            sysrq=True,
        ),
        victim="python3",
        stock="python3",
    ),
    "cg_priority: the lower number, however little it holds": Example(
        policy="cg_priority",
        scene=Scene(
            hogs={
                "batch": Hog(cgroup="/batch", size="4M"),
                "new": Hog(cgroup="/new", size="20M"),
                "web": Hog(cgroup="/web", size="30M"),
            },
            sysrq=True,
        ),
        settings=("priority/batch=-5", "priority/web=20"),
        victim="batch",
        stock="web",
    ),
}
"""By what they show, those of a policy next to each other: a knob stays set for the scenes that follow.

`invoker` needs a machine that is out of memory: test_scenarios_machine.py."""
