"""Pages of the codes E02: names and types."""

from __future__ import annotations

from oomlang.diagnostics.catalogue.page import Page
from oomlang.diagnostics.codes import Code

PAGES = (
    Page(
        code=Code.UNKNOWN_NAME,
        title="unknown name",
        meaning="""
            The name is not a fact, and no `input` or `let` of this policy declares it. `oomlang facts` lists all
            facts. Facts of a cgroup begin with `memcg.`, those of the event with `oom.`.
        """,
        why="""
            A misspelt name must not read as 0, or the rule would hold for nobody, and you would find out in the
            middle of an outage.
        """,
        wrong="kill highest rrs\n",
        right="kill highest rss\n",
    ),
    Page(
        code=Code.UNKNOWN_FUNCTION,
        title="unknown function",
        meaning="""
            The functions are `min` and `max` (two or more values), `abs` (one value) and `clamp` (value, lowest,
            highest). A fact takes no parentheses.
        """,
        why="""
            A policy runs inside the kernel while memory is short. It can compute and compare, and call nothing
            else.
        """,
        wrong="kill highest maximum(rss, swap)\n",
        right="kill highest max(rss, swap)\n",
    ),
    Page(
        code=Code.WRONG_OPERAND,
        title="an operator got a value that it cannot work with",
        meaning="""
            Arithmetic and `<` need numbers; `like` and quoted texts need a text fact; `and`, `or` and `not` need
            conditions. Texts and conditions can be equal or not, but have no order.
        """,
        why="""
            Nothing is converted in silence: a name that is not a number has no right place in a ranking.
        """,
        wrong='kill first when comm > "m"\n',
        right='kill first when comm like "m*"\n',
    ),
    Page(
        code=Code.UNIT_MISMATCH,
        title="values of different units are compared",
        meaning="""
            Both sides of a comparison have one unit: bytes with bytes, a duration with a duration, a plain number
            with a plain number. A number without a unit is a plain number and not a number of bytes. The same holds
            for the arguments of `min`, `max` and `clamp`.
        """,
        why="""
            `rss > 1024` could mean bytes, KiB or pages; other tools read it in one of the three ways each. With a
            unit there is nothing to remember.
        """,
        wrong="never kill when rss < 1024\n",
        right="never kill when rss < 1024KiB\n",
    ),
    Page(
        code=Code.BAD_ARITHMETIC,
        title="these units do not go together in a calculation",
        meaning="""
            `+` and `-` take two values of one unit. `*` takes a plain number or a ratio on one side. `/` takes a
            plain number, or a value of the same unit, which makes a ratio.
        """,
        why="""
            A sum of bytes and points depends on how much one point is worth. Say it, by multiplying the points with
            a size.
        """,
        wrong="kill highest rss + oom_score_adj\n",
        right="kill highest rss + oom_score_adj * 4MiB\n",
    ),
    Page(
        code=Code.ARGUMENT_COUNT,
        title="a function got too few or too many arguments",
        meaning="""
            `min` and `max` take two or more values, `abs` takes one, `clamp` takes three: a value, the lowest and
            the highest that it may become.
        """,
        why="""
            A missing bound would have to be invented.
        """,
        wrong="kill highest clamp(rss, 1GiB)\n",
        right="kill highest clamp(rss, 0B, 1GiB)\n",
    ),
    Page(
        code=Code.NOT_A_CONDITION,
        title="a condition is needed here",
        meaning="""
            What follows `when`, `if`, `and`, `or` and `not` has to be true or false: a comparison, `in`, `like`,
            `under`, or a fact that is a condition, such as `invoker`.
        """,
        why="""
            A size is not true or false. Is a task with 4 KiB of memory one that `when rss` covers? Compare it with
            something, and it is plain.
        """,
        wrong="kill first when swap\n",
        right="kill first when swap > 0B\n",
    ),
    Page(
        code=Code.NOT_RANKABLE,
        title="only numbers can be ranked",
        meaning="""
            `kill highest` and `kill lowest` order the candidates by a number: a size, a plain number, a ratio or a
            duration. For a condition, write `kill first when` or `kill last when`.
        """,
        why="""
            There is no highest name, and the highest of true and false says less clearly what `kill first when`
            says.
        """,
        wrong="kill highest invoker\n",
        right="kill first when invoker\n",
    ),
    Page(
        code=Code.PATH_MISUSE,
        title="a cgroup path can only be used with `under`",
        meaning="""
            `memcg` and `oom.memcg` are places in the tree of cgroups. They stand on the left of `under`, and
            nothing else does. `memcg under "/a"` holds for `/a` and for everything below it. The last component
            alone is the text `memcg.name`.
        """,
        why="""
            An `==` on a path would miss the sub-groups that a service makes for itself, and with them most of the
            tasks that were meant.
        """,
        wrong='never kill when memcg == "/system.slice"\n',
        right='never kill when memcg under "/system.slice"\n',
    ),
    Page(
        code=Code.DEPTH_MISUSE,
        title="`at depth` has nothing to do here",
        meaning="""
            `at depth N` reads the cgroup facts of an expression from the ancestor N levels below the root, and `at
            each depth` walks down the tree level by level. Both need an expression that reads a cgroup fact or an
            input per memcg, and one cannot stand inside the other.
        """,
        why="""
            `rss at depth 1` would be the task's own memory all the same, and not the memory of the whole subtree
            that its author had in mind. That is `memcg.usage at depth 1`.
        """,
        wrong="kill highest rss at depth 1\n",
        right="kill highest memcg.usage at depth 1\n",
    ),
    Page(
        code=Code.BAD_STEP,
        title="a step has to be a positive literal of the ranked unit",
        meaning="""
            `step S` ranks in whole steps of S, so that smaller differences do not decide. S is a literal above 0,
            of the unit of what is ranked: bytes for bytes, a plain number for a plain number.
        """,
        why="""
            A step of 0 divides nothing, and a step without a unit could be bytes or megabytes.
        """,
        wrong="kill highest rss step 64\n",
        right="kill highest rss step 64MiB\n",
    ),
    Page(
        code=Code.UNKNOWN_TYPE,
        title="an input cannot have this type",
        meaning="""
            An input is an `int`, `bytes`, `ratio`, `duration` or `bool`.
        """,
        why="""
            The type says which unit the values have that are written while the policy runs, and `oomlang input`
            checks them against it. Texts and paths stand in the policy itself.
        """,
        wrong="input floor: size = 256MiB\n\nkill last when rss < floor\n",
        right="input floor: bytes = 256MiB\n\nkill last when rss < floor\n",
    ),
    Page(
        code=Code.LET_CYCLE,
        title="a let is defined by itself",
        meaning="""
            Following the names in the let's expression leads back to the let. The message shows the way round.
        """,
        why="""
            Such a value does not exist. A let is a name for an expression; it cannot be changed, and nothing loops.
        """,
        wrong="let used = swap + total\nlet total = rss + used\n\nkill highest total\n",
        right="let used = swap + pgtables\nlet total = rss + used\n\nkill highest total\n",
    ),
    Page(
        code=Code.DUPLICATE,
        title="the same thing twice",
        meaning="""
            Two declarations have one name (policy, inputs and lets, tests, or the tasks and cgroups of one test),
            or a list or a pair of braces holds the same entry twice. The message points at the first one.
        """,
        why="""
            One of the two would be without effect, and you could not tell which by looking.
        """,
        wrong="let used = rss\nlet used = rss + swap\n\nkill highest used\n",
        right="let used = rss + swap\n\nkill highest used\n",
    ),
    Page(
        code=Code.TAKEN_NAME,
        title="this name is taken",
        meaning="""
            An input or a let cannot be called like a fact, a function, or a word of the language.
        """,
        why="""
            If `rss` could be redefined, no rule that reads `rss` would be sure to mean what it says.
        """,
        wrong="let rss = rss.anon + swap\n\nkill highest rss\n",
        right="let private = rss.anon + swap\n\nkill highest private\n",
    ),
    Page(
        code=Code.EVENT_RULE_FACT,
        title="an event rule can only look at the event",
        meaning="""
            `kernel decides` and `kill nothing` are settled once for the whole event, before any candidate is looked
            at. Their conditions may use the facts that begin with `oom.`, and inputs that are not per memcg.
        """,
        why="""
            There is no task yet whose memory could be read. And letting the kernel rank some candidates of an event
            and this policy the others cannot work: the kernel's scores mean nothing for a task that the policy has
            chosen.
        """,
        wrong="kernel decides when rss < 1GiB\n\nkill highest rss\n",
        right='kernel decides when oom.memcg under "/user.slice"\n\nkill highest rss\n',
    ),
    Page(
        code=Code.INPUT_DEFAULT,
        title="an input's default does not fit its type",
        meaning="""
            The value behind `=` is a literal of the input's type: `256MiB` for bytes, `30s` for a duration, `90%`
            for a ratio, `true` or `false` for bool.
        """,
        why="""
            The default is what the policy works with until somebody writes another value, and what it falls back to
            for a cgroup that nobody has set.
        """,
        wrong="input floor: bytes = 256\n\nkill last when rss < floor\n",
        right="input floor: bytes = 256MiB\n\nkill last when rss < floor\n",
    ),
    Page(
        code=Code.BRANCH_MISMATCH,
        title="the branches of `if … else` have different units",
        meaning="""
            `A if C else B` is one value, so A and B have one unit. Give a plain 0 the unit of the other branch.
        """,
        why="""
            Otherwise the unit of the whole would depend on the candidate.
        """,
        wrong="kill highest swap if uid != 0 else 0\n",
        right="kill highest swap if uid != 0 else 0B\n",
    ),
    Page(
        code=Code.NOT_A_LITERAL,
        title="a literal is needed here",
        meaning="""
            The elements of `in (…)`, the patterns of `like` and the paths of `under` are written out in the policy.
            They cannot be computed or read from a fact. To compare two facts, use `==`.
        """,
        why="""
            Patterns are prepared when the policy is compiled, so that the kernel has nothing to parse while memory
            is short.
        """,
        wrong="kill last when uid in (0, pid)\n",
        right="kill last when uid == 0 or uid == pid\n",
    ),
)
