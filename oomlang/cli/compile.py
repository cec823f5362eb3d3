"""`oomlang compile`: a policy becomes a BPF object, its C, or a skeleton."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import click

from oomlang.cli import streams
from oomlang.cli.failures import Failure
from oomlang.cli.files import STDIN, SUFFIX, PolicyFile, called, name_of, read_policy
from oomlang.cli.output import STDOUT, same_file, write_outputs
from oomlang.targets.bpf import attachments

if TYPE_CHECKING:
    from oomlang.compiler import Target
    from oomlang.objects.btf import Btf

TARGETS = tuple(target.name for target in attachments.TARGETS)

_EPILOG = f"""\b
Examples:
  oomlang compile policy.oom
  oomlang compile policy.oom -o build/policy.bpf.o --depfile build/policy.d
  oomlang compile policy.oom --emit c -o -
  oomlang compile policy.oom --target {TARGETS[-1]} --kernel running
"""

_SUFFIXES = {"obj": ".bpf.o", "c": ".bpf.c", "skeleton": ".skel.h"}


@click.command("compile", epilog=_EPILOG)
@click.argument("policy", type=PolicyFile(), metavar="POLICY")
@click.option(
    "-o",
    "--output",
    type=click.Path(readable=False),
    help="File to write, - for standard output. Default: the policy's name with .bpf.o, .bpf.c or .skel.h, here.",
)
@click.option(
    "--target",
    type=click.Choice(TARGETS),
    default=TARGETS[0],
    show_default=True,
    help=" ".join(f"{target.name}: {target.summary}." for target in attachments.TARGETS),
)
@click.option(
    "--emit",
    type=click.Choice(list(_SUFFIXES)),
    default="obj",
    show_default=True,
    help="obj: the BPF object. c: the C it is made from. skeleton: a header for libbpf (needs bpftool).",
)
@click.option(
    "--depfile",
    type=click.Path(readable=False),
    help="Also write what the output depends on, for make and ninja.",
)
@click.option(
    "--kernel",
    type=click.Path(readable=False),
    metavar="BTF|running",
    help="Check that this kernel has all that the object needs: a file with its BTF, or the running one.",
)
def command(
    policy: str, output: str | None, target: Target, emit: str, depfile: str | None, kernel: str | None
) -> None:
    """Compile a policy; - is standard input.

    The output is written whole or not at all: whatever fails, an old file stays as it was.
    """
    data = read_policy(policy)
    chosen = output if output is not None else _default_output(policy, emit)
    _refuse_outputs(policy, chosen, depfile, emit)
    btf = _read_kernel(kernel)
    content = _content(data, name_of(policy), target, emit, kernel, btf)
    files = [(chosen, content)]
    if depfile is not None:
        from oomlang.cli.depfile import depfile_text

        inputs = [] if policy == STDIN else [policy]
        inputs += [kernel] if kernel is not None and os.path.isfile(kernel) else []
        files.append((depfile, depfile_text(chosen, inputs)))
    write_outputs(files)
    if output is None:
        streams.say_text(f"wrote {called(chosen)}\n")


def _content(data: bytes, name: str, target: Target, emit: str, kernel: str | None, btf: Btf | None) -> bytes:
    """What to write. Warnings are said on the way."""
    from oomlang.compiler import Compilation, compile

    if emit == "c" and btf is None:  # needs no clang
        compilation = Compilation(data, name)
        text = compilation.program(target).c_source
        streams.say_diagnostics(compilation.source, compilation.diagnostics)
        return text.encode()
    artifact = compile(data, name=name, target=target)
    streams.say_diagnostics(artifact.source, artifact.diagnostics)
    if kernel is not None and btf is not None:
        from oomlang.cli.kernel_fit import require_fit

        require_fit(artifact.object, Compilation(data, name).ir, kernel, btf, name=name, target=target)
    if emit == "c":
        return artifact.c_source.encode()
    if emit == "skeleton":
        from oomlang.cli.skeleton import skeleton

        return skeleton(artifact.object, _stem(name))
    return artifact.object


def _stem(path: str) -> str:
    base = os.path.basename(path)
    return base.removesuffix(SUFFIX) or base


def _default_output(policy: str, emit: str) -> str:
    if policy == STDIN:
        raise Failure(
            "a policy from standard input has no name to make the output's from", mend="give one: -o FILE"
        )
    return _stem(policy) + _SUFFIXES[emit]


def _refuse_outputs(policy: str, output: str, depfile: str | None, emit: str) -> None:
    """What would destroy something, before any work is done."""
    if output == STDOUT and emit == "obj" and streams.is_terminal(sys.stdout):
        raise Failure("an object is no text for a terminal", mend="give a file: -o FILE")
    if output == "" or depfile == "":
        raise Failure("a file's name is empty")
    if same_file(policy, output):
        raise Failure(f"the output would overwrite the policy {policy}")
    if depfile is None:
        return
    if STDOUT in (output, depfile):
        raise Failure("--depfile names the output, so both must be files", mend="-o FILE --depfile FILE")
    if same_file(depfile, output) or same_file(depfile, policy):
        raise Failure(f"the dependency file would overwrite {depfile}")


def _read_kernel(kernel: str | None) -> Btf | None:
    if kernel is None:
        return None
    from oomlang.cli.kernel_fit import read_kernel

    return read_kernel(kernel)
