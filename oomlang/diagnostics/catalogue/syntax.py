"""Pages of the codes E01: text and syntax."""

from __future__ import annotations

from oomlang.diagnostics.catalogue.page import Page
from oomlang.diagnostics.codes import Code

PAGES = (
    Page(
        code=Code.NOT_TEXT,
        title="the file is not UTF-8",
        meaning="""
            A policy is a UTF-8 text, and this file holds a byte that no UTF-8 text has at this place. It was saved
            in another encoding (Latin-1, UTF-16), or it is no text at all.
        """,
        why="""
            Names are compared byte by byte with what the kernel has. Guessing an encoding could make a rule match
            other tasks than the ones you wrote, or none. Save the file as UTF-8, or write the single byte as an
            escape: `"caf\\xe9"`.
        """,
        wrong='never kill when comm == "caf\udce9"\n',
        right='never kill when comm == "café"\n',
    ),
    Page(
        code=Code.SYNTAX,
        title="something stands where the language does not expect it",
        meaning="""
            The statement begins well, and then comes a word or a character that cannot follow. The message says
            what could stand there instead. Each statement with a mistake is reported once, at its first mistake.

            The most frequent ones: `=` for the comparison `==`, `&&` and `||` for `and` and `or`, a `;` at the end
            of a line, single quotes.
        """,
        why="""
            A policy that is read the wrong way kills the wrong process, so nothing is skipped and nothing is
            guessed.
        """,
        wrong="never kill when uid = 0\n",
        right="never kill when uid == 0\n",
    ),
    Page(
        code=Code.UNKNOWN_STATEMENT,
        title="no statement begins with this word",
        meaning="""
            Every line of a policy begins with `policy`, `input`, `let`, `kernel decides`, `kill nothing`, `never
            kill`, `kill first`, `kill last`, `kill highest`, `kill lowest` or `test` (and the first one may be
            `oomlang 1`). Inside a test it is `memory`, `swap`, `order`, `scope`, `invoker`, `set`, `memcg`, `task`
            or `expect`.
        """,
        why="""
            Other tools say `prefer` and `avoid`. Here a rule says what happens, `kill first` or `kill last`, so
            that nobody has to ask whether the preferred ones are kept or killed.
        """,
        wrong='avoid when comm == "postgres"\n',
        right='kill last when comm == "postgres"\n',
    ),
    Page(
        code=Code.BAD_STRING,
        title="a text in quotes cannot be read",
        meaning=r"""
            The closing quote is missing, an escape is unknown, or the text holds a NUL byte. A text begins and ends
            with `"` on the same line. Its escapes are `\"`, `\\`, `\n`, `\t` and `\xNN`, one byte in hexadecimal.
        """,
        why="""
            Without its closing quote a text would swallow the rest of the line, and an unknown escape has no one
            meaning. A NUL byte ends a name in the kernel, so that what follows it could never match.
        """,
        wrong='never kill when comm == "sshd\n',
        right='never kill when comm == "sshd"\n',
    ),
    Page(
        code=Code.BAD_NUMBER,
        title="this is not a number that the language knows",
        meaning="""
            Numbers are whole, in decimal, and fit into 64 bits; `_` may stand between digits. There are no
            fractions: write the number in a smaller unit, as the message shows.
        """,
        why="""
            The kernel computes with integers. A fraction would have to be rounded somewhere, and you would not see
            where.
        """,
        wrong="kill last when rss < 1.5GiB\n",
        right="kill last when rss < 1536MiB\n",
    ),
    Page(
        code=Code.UNKNOWN_UNIT,
        title="unknown unit",
        meaning="""
            The letters behind a number are none of the units: B, KiB, MiB, GiB and TiB for sizes, % for ratios, ms,
            s, m, h and d for durations. Units are case-sensitive.
        """,
        why="""
            `64MB` is 64,000,000 bytes to some and 67,108,864 to others. The message gives both in a spelling that
            has one meaning.
        """,
        wrong="kill first when rss > 64MB\n",
        right="kill first when rss > 64MiB\n",
    ),
    Page(
        code=Code.UNKNOWN_VERSION,
        title="this version of the language does not exist",
        meaning="""
            `oomlang N` at the top of a policy fixes the version of the language that it is written in. This
            compiler knows version 1.
        """,
        why="""
            A policy for a newer language could mean something else in this one. Upgrade oomlang, or write the
            policy in version 1.
        """,
        wrong="oomlang 2\n\nkill highest rss\n",
        right="oomlang 1\n\nkill highest rss\n",
    ),
    Page(
        code=Code.VERSION_NOT_FIRST,
        title="the language version has to come first",
        meaning="""
            `oomlang 1` stands before every other statement, and once. Only comments and empty lines may come
            before.
        """,
        why="""
            It says how to read what follows. Somewhere below, half of the policy would have been read without it.
        """,
        wrong="kill highest rss\n\noomlang 1\n",
        right="oomlang 1\n\nkill highest rss\n",
    ),
    Page(
        code=Code.TOO_DEEP,
        title="an expression nests too deep",
        meaning="""
            An expression may nest 128 levels deep, and so may brackets. Nobody writes that by hand; a program that
            generates policies may.
        """,
        why="""
            The limit keeps the compiler from running out of stack, and the C compiler behind it. Give parts of the
            expression names with `let`, or write several rules.
        """,
        wrong="never kill when " + "not " * 130 + "invoker\n",
        shown="never kill when not not not not … invoker    # 130 times `not`\n",
        right="never kill when invoker\n",
    ),
    Page(
        code=Code.UNCLOSED,
        title="a bracket is never closed",
        meaning="""
            A `(` or `{` has no partner. The message points at the bracket that was opened. A list in `( )` may go
            on over several lines; a test ends with a `}` on a line of its own.
        """,
        why="""
            The compiler cannot know where the statement was meant to end. It reads on at the next line that begins
            with a statement's first word, so that the rest of the file is still checked.
        """,
        wrong='never kill when comm in ("sshd", "systemd*"\n',
        right='never kill when comm in ("sshd", "systemd*")\n',
    ),
    Page(
        code=Code.CHAINED,
        title="comparisons cannot be chained",
        meaning="""
            `a < b < c` is not written in one go here: a comparison gives true or false, which cannot be compared
            with a size again.
        """,
        why="""
            In some languages the chain means `a < b and b < c`, in others something useless that still runs.
            Written with `and` it has one meaning.
        """,
        wrong="kill last when 1MiB < rss < 64MiB\n",
        right="kill last when 1MiB < rss and rss < 64MiB\n",
    ),
)
