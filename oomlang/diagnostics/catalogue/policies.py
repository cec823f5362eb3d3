"""Pages of the codes E04: what the policy as a whole says."""

from __future__ import annotations

from oomlang.diagnostics.catalogue.page import Page
from oomlang.diagnostics.codes import Code

PAGES = (
    Page(
        code=Code.NEVER_DECIDES,
        title="this rule can never decide",
        meaning="""
            Rules are asked from top to bottom, and the first one that tells two candidates apart decides. Two
            candidates that a rule above leaves equal are equal for this rule too, so it is never the one that
            decides.
        """,
        why="""
            The rule is without effect where it stands. Mostly the two have to change places: the coarse one first,
            the fine one for what it leaves open.
        """,
        wrong="kill highest rss\nkill highest rss step 64MiB\n",
        right="kill highest rss step 64MiB\nkill highest rss\n",
    ),
    Page(
        code=Code.COVERS_ALL,
        title="nothing could be killed any more",
        meaning="""
            The `never kill` rules cover every task together. No OOM event would find a victim.
        """,
        why="""
            In an OOM of the whole machine the kernel panics when nothing can be killed ("System is deadlocked on
            memory"). In a cgroup the task that needs memory fails or tries again and again. To stop kills for some
            events on purpose, write `kill nothing when …`.
        """,
        wrong="never kill when uid == 0\nnever kill when uid > 0\n",
        right="never kill when uid == 0\nkill last when uid < 1000\n",
    ),
    Page(
        code=Code.NEVER_REACHED,
        title="this rule is never reached",
        meaning="""
            An event rule above already takes every event for which this one holds, or every event at all.
        """,
        why="""
            The first event rule that holds settles the event. What stands below it for the same events is without
            effect.
        """,
        wrong="kernel decides when oom.global\nkill nothing when oom.global and oom.sysrq\n\nkill highest rss\n",
        right="kill nothing when oom.global and oom.sysrq\nkernel decides when oom.global\n\nkill highest rss\n",
    ),
)
