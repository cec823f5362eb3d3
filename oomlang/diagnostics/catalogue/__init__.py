"""The pages of the diagnostics: `oomlang explain-code E0204`, and the reference in docs/.

In: a code. Out: its page, as an object, as text for a terminal or as Markdown. Every example on a page is checked by a
test: the wrong one gives the code, the right one gives nothing.
"""

from __future__ import annotations

import functools

from oomlang.diagnostics.catalogue.page import Page
from oomlang.diagnostics.codes import Code
from oomlang.diagnostics.visible import piece, wrapped

__all__ = ["Page", "UnknownCode", "find_code", "page", "page_markdown", "page_text", "pages"]

_WIDTH = 80


class UnknownCode(LookupError):
    """There is no such code; the message says which one could have been meant."""


@functools.cache
def pages() -> dict[Code, Page]:
    """All pages, in the order of the codes."""
    from oomlang.diagnostics.catalogue import names, policies, scenarios, syntax, values, warnings

    families = (syntax, names, values, policies, scenarios, warnings)
    found = {entry.code: entry for family in families for entry in family.PAGES}
    return {code: found[code] for code in Code}


def page(code: Code) -> Page:
    """The page of a code."""
    return pages()[code]


def find_code(text: str) -> Code:
    """A code as a person writes it: `E0204`, `e0204`, `error[E0204]` or `0204`. Raises `UnknownCode`."""
    word = text.strip().removeprefix("error").removeprefix("warning").strip("[]: ").upper()
    for code in Code:
        if word in (code.value, code.value[1:], code.name):
            return code
    import difflib

    near = difflib.get_close_matches(word, [code.value for code in Code], n=3, cutoff=0.75)
    choice = " or ".join([", ".join(near[:-1]), near[-1]] if len(near) > 1 else near)
    mend = f"did you mean {choice}?" if near else f"codes look like {Code.UNIT_MISMATCH.value}"
    raise UnknownCode(f"unknown code `{text}`: {mend}")


def page_text(code: Code) -> str:
    """A page for a terminal, at most 80 columns wide where the examples are."""
    entry = page(code)
    parts = [f"{code.value}: {entry.title}", *_paragraphs(entry.meaning), *_paragraphs(entry.why)]
    parts = ["\n".join(wrapped(part, _WIDTH)) for part in parts]
    parts += ["Wrong:", _indented(_example(entry.shown or entry.wrong))]
    parts += ["Right:", _indented(_example(entry.right))]
    return "\n\n".join(parts) + "\n"


def page_markdown(code: Code) -> str:
    """A page as a section of a Markdown document, under a heading of level 2."""
    entry = page(code)
    parts = [f"## {code.value}: {entry.title}", *_paragraphs(entry.meaning), *_paragraphs(entry.why)]
    parts += ["Wrong:", f"```oomlang\n{_example(entry.shown or entry.wrong)}\n```"]
    parts += ["Right:", f"```oomlang\n{_example(entry.right)}\n```"]
    return "\n\n".join(parts) + "\n"


def _indented(text: str) -> str:
    return "\n".join(f"    {line}".rstrip() for line in text.split("\n"))


def _paragraphs(text: str) -> list[str]:
    return [" ".join(paragraph.split()) for paragraph in text.strip().split("\n\n")]


def _example(policy: str) -> str:
    return "".join(char if char == "\n" else piece(char) for char in policy.strip("\n"))
