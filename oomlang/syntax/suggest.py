"""Did-you-mean."""

from __future__ import annotations

from collections.abc import Iterable

_LONGEST = 255


def closest(word: str, known: Iterable[str]) -> str | None:
    """The known word nearest to a misspelt one, or None where none is near."""
    if len(word) > _LONGEST:
        return None  # difflib takes the square of its length
    import difflib  # 7 ms that only a wrong policy pays for

    # `RSS` is as near to `rss` as can be; difflib would see three wrong letters.
    by_case = {k.lower(): k for k in reversed(list(known))}
    matches = difflib.get_close_matches(word.lower(), list(by_case), n=1, cutoff=0.6)
    return by_case[matches[0]] if matches else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`did you mean `…`?`, or an empty text."""
    guess = closest(word, known)
    return f"did you mean `{guess}`?" if guess else ""
