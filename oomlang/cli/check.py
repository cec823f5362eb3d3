"""`oomlang check`: say what is wrong with policies."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from oomlang.cli import failures, reporting, streams
from oomlang.cli.files import PolicyFile, name_of, policies

if TYPE_CHECKING:
    from oomlang.diagnostics import Diagnostic, Source

_EPILOG = """\b
Examples:
  oomlang check policy.oom
  oomlang check --format sarif policies/*.oom >oomlang.sarif
  git show HEAD:policy.oom | oomlang check -
"""


@click.command("check", epilog=_EPILOG)
@click.argument("files", nargs=-1, required=True, type=PolicyFile(), metavar="FILE...")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "sarif"]),
    default="text",
    show_default=True,
    help="text for people, on standard error; json or sarif for programs, on standard output.",
)
@click.option("--deny-warnings", is_flag=True, help="Fail for warnings too.")
def command(files: tuple[str, ...], form: str, deny_warnings: bool) -> int:
    """Say what is wrong with policies; - is standard input.

    Ends with 0 if there are no errors; warnings are said and do not fail.
    """
    from oomlang.compiler import check

    checked = []
    unread = 0
    drawn = False
    for path, data in policies(files):
        if isinstance(data, failures.Failure):
            unread = reporting.say_failure(data)
            continue
        source, diagnostics = check(data, name_of(path))
        if form == "text" and diagnostics:
            if drawn:
                streams.say_text("\n")
            streams.say_diagnostics(source, diagnostics, with_summary=False)
            drawn = True
        checked.append((source, diagnostics))

    if form == "json":
        from oomlang.diagnostics.json_output import report_to_json

        streams.print_json(report_to_json(checked))
    elif form == "sarif":
        from oomlang.diagnostics.sarif import to_sarif

        streams.print_json(to_sarif(checked))
    elif checked:
        _conclude([source for source, _ in checked], [item for _, found in checked for item in found])

    severities = {item.severity for _, diagnostics in checked for item in diagnostics}
    wrong = "error" in severities or (deny_warnings and "warning" in severities)
    return unread or (failures.POLICY_WRONG if wrong else 0)


def _conclude(sources: list[Source], diagnostics: list[Diagnostic]) -> None:
    """The last line: on standard error below the diagnostics, on standard output where there are none."""
    where = f" in {len(sources)} files" if len(sources) > 1 else ""
    if not diagnostics:
        from oomlang.diagnostics.visible import visible

        streams.print_text(f"no errors{where or f' in {visible(sources[0].name)}'}\n")
        return
    from oomlang.diagnostics.render import summary

    streams.say_text(f"\n{summary(diagnostics)}{where}\n")
