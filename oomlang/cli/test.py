"""`oomlang test`: run the test blocks of policies."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from oomlang.cli import failures, reporting, streams
from oomlang.cli.files import PolicyFile, name_of, policies
from oomlang.cli.tested import Tested

if TYPE_CHECKING:
    pass

_EPILOG = """\b
Examples:
  oomlang test policy.oom
  oomlang test --coverage --fail-under 100 policies/*.oom
  oomlang test -k shell policy.oom              tests with "shell" in their name
  oomlang test --format junit *.oom >junit.xml
"""


@click.command("test", epilog=_EPILOG)
@click.argument("files", nargs=-1, required=True, type=PolicyFile(), metavar="FILE...")
@click.option("-k", "wanted", metavar="TEXT", help="Run only the tests with TEXT in their name, in any case.")
@click.option("--coverage", "with_coverage", is_flag=True, help="Show for each rule which tests it decides.")
@click.option(
    "--fail-under", type=click.FloatRange(0, 100), metavar="PERCENT",
    help="Fail where the tests of a policy show less of its rules at work.",
)  # fmt: skip
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "junit"]),
    default="text",
    show_default=True,
    help="junit is the XML that CI systems read.",
)
def command(
    files: tuple[str, ...], wanted: str | None, with_coverage: bool, fail_under: float | None, form: str
) -> int:
    """Run the test blocks of policies; - is standard input.

    Needs no root, no special kernel and no compiler. Ends with 0 if all tests pass, with 1 if one fails or a policy
    is wrong.
    """
    from oomlang.diagnostics import OomlangError
    from oomlang.diagnostics.visible import visible

    tested: list[Tested] = []
    unread, wrong = 0, False
    for path, data in policies(files):
        if isinstance(data, failures.Failure):
            unread = reporting.say_failure(data)
            continue
        try:
            tested.append(_run(data, name_of(path), wanted))
        except OomlangError as error:
            streams.say_diagnostics(error.source, error.diagnostics)
            wrong = True
    if wanted is not None and tested and not any(t.outcomes for t in tested) and any(t.all for t in tested):
        raise failures.Failure(f"no test has `{wanted}` in its name")

    _print(tested, form, with_coverage or fail_under is not None)
    for item in tested:
        if not item.all and form == "text":
            streams.say_text(f"{visible(item.source.name)}: no tests\n")
        if fail_under is not None and item.coverage.share * 100 < fail_under:
            wrong = True
            streams.say(
                "error",
                f"{item.source.name}: the tests show {_percent(item.coverage.share)} of the rules at work, "
                f"less than {fail_under:g}%",
            )
    return unread or (failures.POLICY_WRONG if wrong or any(t.failed for t in tested) else 0)


def _run(data: bytes, name: str, wanted: str | None) -> Tested:
    from oomlang.compiler import Compilation
    from oomlang.targets.interp.expectations import coverage, run
    from oomlang.test_cases import cases

    compilation = Compilation(data, name)
    meaning = compilation.ir
    found = cases(compilation.policy)
    outcomes = tuple(
        run(meaning, case) for case in found if wanted is None or wanted.lower() in case.name.lower()
    )
    return Tested(
        source=compilation.source,
        policy=meaning.name,
        outcomes=outcomes,
        coverage=coverage(meaning, outcomes),
        all=len(found),
    )


def _print(tested: list[Tested], form: str, with_coverage: bool) -> None:
    if form == "json":
        from oomlang.cli.test_formats import to_json

        streams.print_json(to_json(tested))
    elif form == "junit":
        from oomlang.cli.test_formats import to_junit

        streams.print_bytes(to_junit(tested))
    else:
        from oomlang.cli.test_text import print_outcomes

        print_outcomes(tested, with_coverage)


def _percent(share: float) -> str:
    """Rounded down, so that only all of the rules are 100%."""
    return f"{int(share * 1000) / 10:g}%"
