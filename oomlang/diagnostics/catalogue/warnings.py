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
    Page(
        code=Code.MIXED_DEPTH,
        title="only one side of this comparison is read at a depth",
        meaning="""
            `at depth` binds to the side that it stands behind. The other side reads the task's own cgroup. The policy
            compiles.
        """,
        why="""
            `memcg.usage > memcg.low at depth 2` sounds as if both were read two levels below the root; only
            `memcg.low` is. Put the comparison in parentheses to read both there, or write a depth behind each side.
        """,
        wrong="kill first when memcg.usage > memcg.low at depth 2\n",
        right="kill first when (memcg.usage > memcg.low) at depth 2\n",
    ),
)
