"""Did-you-mean."""

from __future__ import annotations

from collections.abc import Iterable


def closest(word: str, known: Iterable[str]) -> str | None:
    """The known word nearest to a misspelt one, or None where none is near."""
    import difflib  # 7 ms that only a wrong policy pays for

    matches = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return matches[0] if matches else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`did you mean `…`?`, or an empty text."""
    guess = closest(word, known)
    return f"did you mean `{guess}`?" if guess else ""
