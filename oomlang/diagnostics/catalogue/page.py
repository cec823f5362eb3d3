"""What a page of the catalogue holds."""

from __future__ import annotations

from dataclasses import dataclass

from oomlang.diagnostics.codes import Code


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """The page of one code.

    title: what is wrong, in a few words. meaning: when the diagnostic appears. why: what would happen without it. Both
    are paragraphs with an empty line between them, however their lines are broken. wrong, right: whole policies;
    checking `wrong` gives this code and no other error, checking `right` gives nothing. A byte that is not UTF-8 stands
    in them as `os.fsdecode` writes it. shown: what to print for `wrong` where that is too long to read.
    """

    code: Code
    title: str
    meaning: str
    why: str
    wrong: str
    right: str
    shown: str = ""

    @property
    def wrong_bytes(self) -> bytes:
        """The wrong example as a file would hold it."""
        return self.wrong.encode("utf-8", "surrogateescape")

    @property
    def right_bytes(self) -> bytes:
        """The right example as a file would hold it."""
        return self.right.encode("utf-8")
