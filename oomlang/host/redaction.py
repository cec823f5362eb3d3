"""A machine's facts without its names, to be shared.

comm and the components of cgroup paths become hashes: the same name the same hash, so that the structure stays, with a
secret that is thrown away, so that nobody can try names. Of a systemd unit's name the kind (`.slice`, `.service`, …)
stays. Everything else stays, too: sizes, uids, pids, limits.
"""

from __future__ import annotations

import dataclasses
import hashlib
import secrets

from oomlang.host.model import MachineFacts, MemcgPath

_KINDS = (
    b".slice",
    b".service",
    b".scope",
    b".mount",
    b".socket",
    b".swap",
    b".timer",
    b".automount",
    b".path",
)
_DIGITS = 12  # with a letter before them they fit a comm


def redact(machine: MachineFacts, *, secret: bytes | None = None) -> MachineFacts:
    """The machine with its names hashed. secret: to give the same name the same hash in several snapshots; a fresh one
    where there is none.
    """
    key = secret if secret is not None else secrets.token_bytes(32)

    def hashed(name: bytes, letter: bytes) -> bytes:
        digest = hashlib.blake2b(name, key=key[:64], person=letter, digest_size=16).hexdigest()
        return letter + digest[:_DIGITS].encode()

    def component(name: bytes) -> bytes:
        kind = next((kind for kind in _KINDS if name.endswith(kind)), b"")
        return hashed(name, b"g") + kind

    def path(whole: MemcgPath) -> MemcgPath:
        return tuple(map(component, whole))

    memcgs = [dataclasses.replace(memcg, path=path(memcg.path)) for memcg in machine.memcgs.values()]
    return dataclasses.replace(
        machine,
        redacted=True,
        memcgs={memcg.path: memcg for memcg in memcgs},
        tasks=tuple(
            dataclasses.replace(
                task,
                comm=hashed(task.comm, b"t") if task.comm is not None else None,
                memcg=path(task.memcg) if task.memcg is not None else None,
            )
            for task in machine.tasks
        ),
        unseen=tuple(
            dataclasses.replace(unseen, memcgs=tuple(map(path, unseen.memcgs))) for unseen in machine.unseen
        ),
    )
