"""`oomlang load`: put a policy in force."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from oomlang.cli import streams
from oomlang.cli.failures import POLICY_WRONG, Failure
from oomlang.cli.files import SUFFIX, name_of, read_object, read_policy
from oomlang.cli.loading import (
    find_input,
    input_value,
    kernel_failures,
    memcg_id,
    pin_option,
    pins_at,
    split_target,
)

if TYPE_CHECKING:
    from oomlang.kernel.loader import Values
    from oomlang.objects.metadata import Metadata

_EPILOG = """\b
Examples:
  oomlang load policy.oom
  oomlang load policy.bpf.o --replace
  oomlang load policy.oom --set floor=512MiB --set priority/web.slice=50
"""


@dataclass(frozen=True, slots=True)
class _Object:
    """What is loaded."""

    image: bytes
    metadata: Metadata


@click.command("load", epilog=_EPILOG)
@click.argument("policy", type=click.Path(readable=False), metavar="POLICY|OBJECT")
@click.option("--replace", is_flag=True, help="Put it in the place of the policy that is in force.")
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="INPUT[/CGROUP]=VALUE",
    help="Begin with this value of an input; for an input per memcg, that of one cgroup. May be given again.",
)
@pin_option
def command(policy: str, replace: bool, settings: tuple[str, ...], pin: str) -> None:
    """Load a policy into the kernel, compiling it first if it is a text.

    It stays in force until `oomlang unload`, also when this command has ended.
    """
    loading = _compiled(policy) if policy.endswith(SUFFIX) else _checked(policy)
    from oomlang.kernel.loader import load

    with kernel_failures(loading=(loading.image, loading.metadata)):
        values = _values(loading, settings)
        done = load(loading.image, loading.metadata, pins_at(pin), replace=replace, values=values)
    streams.say_text(
        f'policy "{done.policy.name}" is in force'
        + (f', in place of "{done.replaced}"\n' if done.replaced is not None else "\n")
    )
    if done.left:
        streams.say(
            "warning",
            "what is left of the old policy could not be removed yet; it decides no OOM event that begins from now on",
        )
        streams.say("help", "`oomlang unload` and the next load remove what is left of it")


def _compiled(path: str) -> _Object:
    from oomlang.compiler import compile

    artifact = compile(read_policy(path), name=name_of(path))
    streams.say_diagnostics(artifact.source, artifact.diagnostics)
    return _Object(artifact.object, artifact.metadata)


def _checked(path: str) -> _Object:
    """An object that is ours, whole, and for this. Errors: `Failure` with exit code 1."""
    from oomlang.diagnostics import InternalError
    from oomlang.objects import BadFormat
    from oomlang.targets.bpf.attachments import TARGETS
    from oomlang.targets.bpf.elf_checks import check_object
    from oomlang.targets.bpf.inspect import inspect_object
    from oomlang.targets.bpf.seal import is_intact

    name = name_of(path)
    image = read_object(path)
    again = "compile the policy again with this oomlang"
    try:
        found = inspect_object(image)
    except BadFormat as error:
        raise Failure(f"{name} is refused: {error}", mend=again, code=POLICY_WRONG) from error
    if found.policy is None:
        mend = "only objects that `oomlang compile` made can be loaded"
        raise Failure(f"{name} is refused: oomlang did not make it", mend=mend, code=POLICY_WRONG)
    if not found.policy.decides:
        loadable = [target.name for target in TARGETS if target.decides]
        raise Failure(
            f"{name} is refused: it is for the target {found.policy.target}, and only {' or '.join(loadable)} can be loaded",
            mend=f"compile the policy with --target {loadable[0]}",
            code=POLICY_WRONG,
        )
    if not is_intact(image):
        what = "it is not as it was made: its digest is another"
        raise Failure(f"{name} is refused: {what}", mend=again, code=POLICY_WRONG)
    try:
        # `inspect` has held it against its own words; the compiler's reader has to agree.
        check_object(image, found.policy)
        failed = "\n".join(found.failed_checks)
    except InternalError as error:
        failed = str(error)
    if failed:
        raise Failure(
            f"{name} is refused, not as oomlang makes it:", details=failed, mend=again, code=POLICY_WRONG
        )
    return _Object(image, found.policy)


def _values(loading: _Object, settings: tuple[str, ...]) -> Values:
    from oomlang.kernel.loader import Values
    from oomlang.kernel.policy import Policy

    policy = Policy.of_object(loading.image, loading.metadata, generation=0, now=0)
    knobs: dict[str, int] = {}
    memcgs: dict[str, dict[int, int]] = {}
    for setting in settings:
        target, equals, text = setting.rpartition("=")
        name, path = split_target(target)
        if not equals:
            raise Failure(
                f"--set {setting} sets nothing", mend="write --set INPUT=VALUE or --set INPUT/CGROUP=VALUE"
            )
        declared = find_input(policy, name)
        value = input_value(declared, text)
        if declared.per_memcg and path is None:
            raise Failure(
                f"{name} is an input per memcg", mend=f"say of which one: --set {name}/CGROUP={text}"
            )
        if not declared.per_memcg and path is not None:
            raise Failure(f"{name} is one value for all cgroups", mend=f"--set {name}={text}")
        if path is None:
            knobs[name] = value
        else:
            memcgs.setdefault(name, {})[memcg_id(path)] = value
    return Values(knobs=knobs, memcgs=memcgs)
