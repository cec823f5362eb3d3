"""Pages of the codes W06: doubtful, and compiled all the same."""

from __future__ import annotations

from oomlang.diagnostics.catalogue.page import Page
from oomlang.diagnostics.codes import Code

PAGES = (
    Page(
        code=Code.DIVISOR_ZERO,
        title="this can divide by 0",
        meaning="""
            The divisor can be 0, and `x / 0` is 0 in this language, on every target. The policy compiles.
        """,
        why="""
            A share of nothing reads as 0 and ranks lowest, which may or may not be what you want for the root
            cgroup or an empty one. `max(divisor, 1B)` makes such a share large instead, and settles the question.
        """,
        wrong="kill highest rss / memcg.usage\n",
        right="kill highest rss / max(memcg.usage, 1B)\n",
    ),
    Page(
        code=Code.UNUSED,
        title="declared and never used",
        meaning="""
            No rule uses this input or let, neither directly nor through another let. The policy compiles.
        """,
        why="""
            Somebody may set an unused input and expect something to happen. Remove it, or use it in the rule that
            it was made for.
        """,
        wrong="let used = rss + swap\n\nkill highest rss\n",
        right="let used = rss + swap\n\nkill highest used\n",
    ),
)
