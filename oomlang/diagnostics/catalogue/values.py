"""Pages of the codes E03: values and limits."""

from __future__ import annotations

from oomlang.diagnostics.catalogue.page import Page
from oomlang.diagnostics.codes import Code

PAGES = (
    Page(
        code=Code.OUT_OF_RANGE,
        title="a value that the fact never has",
        meaning="""
            The literal lies outside the range of what it is compared with, so the comparison always comes out the
            same. `oomlang facts` lists each fact's range.
        """,
        why="""
            Mostly a slip: a zero too many, the wrong unit, or -17 from the old `oom_adj`. The rule would hold for
            everybody or for nobody.
        """,
        wrong="kill last when oom_score_adj == -5000\n",
        right="kill last when oom_score_adj == -500\n",
    ),
    Page(
        code=Code.ALWAYS_TRUE,
        title="this condition is always true",
        meaning="""
            No candidate and no event can make this false: the ranges of the values show it. The same goes for a
            pattern that matches every name, and for `under "/"`.
        """,
        why="""
            A condition that excludes nothing was meant to exclude something. Often `>=` was meant to be `>`, or the
            bound is the end of the range.
        """,
        wrong="kill first when nice >= -20\n",
        right="kill first when nice > 0\n",
    ),
    Page(
        code=Code.ALWAYS_FALSE,
        title="this condition is never true",
        meaning="""
            No candidate and no event can make this true: the ranges of the values show it, or the list is empty.
        """,
        why="""
            The rule would do nothing. If it was to protect something, that would go unprotected, and nobody would
            be told.
        """,
        wrong="kill last when oom_score_adj > 1000\n",
        right="kill last when oom_score_adj > 900\n",
    ),
    Page(
        code=Code.OVERFLOW,
        title="a calculation can leave the 64-bit range",
        meaning="""
            The compiler knows the range of every fact and follows it through the expression. Here the result could
            be too large for 64 bits. The labels give the ranges of both sides.
        """,
        why="""
            In the kernel a number that is too large wraps round, and the largest task would become the smallest. A
            policy that compiles cannot overflow. Bound an operand with `min`, `max` or `clamp`, or divide before
            you multiply.
        """,
        wrong="kill highest rss * threads\n",
        right="kill highest rss * min(threads, 1000)\n",
    ),
    Page(
        code=Code.TEXT_TOO_LONG,
        title="this text is longer than the name can be",
        meaning="""
            The kernel keeps the first 15 bytes of a task's name (`comm`). A longer text never equals it. `ps -o
            comm` shows the names as the kernel has them. A `*` in a pattern may stand for no byte at all, so only
            the rest counts. A `memcg.name` has at most 255 bytes.
        """,
        why="""
            The rule looks right and protects nobody. This is the most frequent mistake in the patterns of other
            tools.
        """,
        wrong='never kill when comm == "gnome-session-binary"\n',
        right='never kill when comm == "gnome-session-b"\n',
    ),
    Page(
        code=Code.DEPTH_LIMIT,
        title="this depth is out of reach",
        meaning="""
            A depth is a plain number from 1, the level right below the root, to 16.
        """,
        why="""
            In the kernel each level costs a step of a loop whose length has to be known beforehand. Trees of
            cgroups are rarely deeper than 6.
        """,
        wrong="kill highest memcg.usage at depth 17\n",
        right="kill highest memcg.usage at depth 2\n",
    ),
    Page(
        code=Code.TOO_MANY,
        title="more than a policy may have",
        meaning="""
            A policy has at most 2048 rules, 64 inputs and 1024 lets, a list `in (…)` at most 256 elements, a
            statement at most 262144 characters and the name of a let or an input at most 255. The message names the
            limit.
        """,
        why="""
            The kernel's verifier accepts programs up to a certain size, and every rule is looked at for every task.
            Patterns (`"postgres*"`), ranges (`uid >= 1000 and uid < 2000`) and `memcg under` say more in less.
        """,
        wrong="kill last when uid in (" + ", ".join(map(str, range(1000, 1257))) + ")\n",
        shown="kill last when uid in (1000, 1001, …, 1256)    # 257 elements\n",
        right="kill last when uid >= 1000 and uid <= 1256\n",
    ),
    Page(
        code=Code.BAD_PATH,
        title="this path cannot name a cgroup",
        meaning="""
            A cgroup path begins with `/` at the root of the cgroup hierarchy (not of the file system: leave
            `/sys/fs/cgroup` out), does not end with `/`, and has no empty component, no `.` and no `..`. `*` and
            `?` match inside one component. It has at most 16 components.
        """,
        why="""
            Such a path never matches, and the rule would do nothing. The right one stands behind `0::` in
            `/proc/PID/cgroup`.
        """,
        wrong='kill last when memcg under "system.slice"\n',
        right='kill last when memcg under "/system.slice"\n',
    ),
    Page(
        code=Code.BAD_POLICY_NAME,
        title="the policy cannot be called that",
        meaning="""
            A policy's name has 1 to 15 bytes: letters, digits and ASCII punctuation, without blanks, commas, `=`,
            quotes and backslashes. A policy that gives itself no name is called `oomlang`.
        """,
        why="""
            The kernel prints the name among the other fields of its report of every OOM kill, and has 15 bytes of
            room for it. A comma or a line end in it could forge a field or a line of the log.
        """,
        wrong='policy "batch jobs die first"\n\nkill first when memcg under "/batch.slice"\n',
        right='policy "batch_first"\n\nkill first when memcg under "/batch.slice"\n',
    ),
    Page(
        code=Code.BAD_PATTERN,
        title="a pattern stands where a plain text belongs",
        meaning="""
            `==` and `!=` compare letter by letter, and this text holds a `*` or a `?`. Patterns go with `like`, or
            with `in (…)`.
        """,
        why="""
            A task that is really called `systemd*` does not exist, so the rule would cover nobody.
        """,
        wrong='never kill when comm == "systemd*"\n',
        right='never kill when comm like "systemd*"\n',
    ),
)
