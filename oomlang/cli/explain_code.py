"""`oomlang explain-code`: what a diagnostic means, with a wrong and a right example."""

from __future__ import annotations

import click

from oomlang.cli import streams
from oomlang.cli.failures import Failure

_EPILOG = """\b
Examples:
  oomlang explain-code E0204
  oomlang explain-code            list all codes
"""


def _complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    from oomlang.diagnostics import Code

    return [code.value for code in Code if code.value.startswith(incomplete.upper())]


@click.command("explain-code", epilog=_EPILOG)
@click.argument("code", required=False, shell_complete=_complete)
@click.option(
    "--format", "form", type=click.Choice(["text", "json", "markdown"]), default="text", show_default=True
)
def command(code: str | None, form: str) -> None:
    """Explain a diagnostic by its code; without one, list all codes."""
    from oomlang.diagnostics.catalogue import (
        UnknownCode,
        find_code,
        page,
        page_markdown,
        page_text,
        pages,
    )

    if code is None:
        listed = {number.value: entry.title for number, entry in pages().items()}
        if form == "json":
            streams.print_json(listed)
        elif form == "markdown":
            streams.print_text("\n".join(page_markdown(number) for number in pages()))
        else:
            streams.print_text("".join(f"{number}  {title}\n" for number, title in listed.items()))
        return
    try:
        found = find_code(code)
    except UnknownCode as error:
        raise Failure(str(error), mend="`oomlang explain-code` lists all codes") from error
    if form == "json":
        entry = page(found)
        streams.print_json(
            {
                "code": found.value,
                "title": entry.title,
                "meaning": " ".join(entry.meaning.split()),
                "why": " ".join(entry.why.split()),
                "wrong": entry.shown or entry.wrong,
                "right": entry.right,
            }
        )
    else:
        streams.print_text(page_markdown(found) if form == "markdown" else page_text(found))
