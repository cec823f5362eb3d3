"""Policies at and near the limits of the language, as source text: a seed gives one, always the same.

A policy mixes one to three shapes. Each shape drives one measure (rules, lets, patterns, depths, lists, nesting) to `share`
of its limit; the rest of the policy is small. Little is drawn for each line, so that the largest takes milliseconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from random import Random

from oomlang.facts import types

Lines = list[str]
Shape = Callable[[Random, float], Lines]

_MEMCG_BYTES = ("usage", "peak", "limit", "min", "low", "high", "swap")
_MEMCG_NUMBERS = ("depth", "id", "oom_kills")
_TASK_BYTES = ("rss", "rss.anon", "rss.file", "rss.shmem", "swap", "pgtables", "vm", "badness")
_TASK_INTS = ("pid", "uid", "nice", "threads", "oom_score_adj")
_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789-_."


def policy(seed: int, most: float = 1.0) -> bytes:
    """The policy of a seed. most: the share of a limit that it goes to, at most."""
    random = Random(seed)
    shapes = random.sample(SHAPES, random.choice((1, 1, 2, 3)))
    share = most * random.choice((0.02, 0.1, 0.3, 0.6, 0.95, 1.0))
    lines: dict[str, None] = {}  # in their order, each once
    for number, shape in enumerate(shapes):
        # Only one of them goes as far as it may: most limits hold for all together.
        lines |= dict.fromkeys(shape(random, share if number == 0 else share / 4))
    return text(lines)


def text(statements: Iterable[str]) -> bytes:
    """A policy of statements, each once, in the order that the language asks for."""
    order = ("input", "let", "kernel", "kill nothing", "never")

    def place(line: str) -> int:
        return next((i for i, kind in enumerate(order) if line.startswith(kind)), len(order))

    lines = sorted(dict.fromkeys(statements), key=place)
    return "\n".join(['policy "limit"', *lines, "kill highest rss", ""]).encode()


def _many(limit: int, share: float) -> int:
    return max(1, int(limit * share))


def _at(random: Random) -> str:
    return random.choice(("", "", f" at depth {random.randint(1, types.MAX_DEPTH)}"))


def _memcg(random: Random, fact: str) -> str:
    at = _at(random)
    return f"(memcg.{fact}{at})" if at else f"memcg.{fact}"


def _name(random: Random, length: int) -> str:
    return "".join(random.choices(_LETTERS, k=length))


def _glob(random: Random, length: int) -> str:
    """A pattern that takes so many bytes: literal, with `?`, or with stars, few or in every other place."""
    letters = random.choices(_LETTERS, k=length)
    kind = random.randrange(5)
    for i in range(length):
        if (kind == 1 and i % 3 == 1) or (kind == 2 and i % 2):
            letters[i] = "?"
        if (kind == 3 and i % 2) or (kind == 4 and i in (0, length // 2)):
            letters[i] = "*"
    return "".join(letters) if "".join(letters).strip("*") else "a*"


def _bytes(random: Random) -> str:
    if random.random() < 0.5:
        return random.choice(_TASK_BYTES)
    return _memcg(random, random.choice(_MEMCG_BYTES))


def _condition(random: Random, number: int) -> str:
    """One that no other rule has: the number is in it."""
    size, at = number + 1, _at(random)
    return random.choice(
        (
            f"rss > {size}KiB",
            f"pid == {size}",
            f"memcg.usage{at} < {size}KiB",
            f'comm == "p{size}"',
            f"uid == {size} and age > {size}s",
            f"memcg.oom_kills{at} == {size}",
            f"(swap > {size}KiB or memcg.swap{at} > {size}KiB)",
        )
    )


def many_rules(random: Random, share: float) -> Lines:
    kinds = random.sample(("never", "first", "highest", "event", "step", "last"), random.randint(1, 6))
    found = []
    for i in range(_many(types.MAX_RULES - 1, share)):
        condition = _condition(random, i)
        match kinds[i % len(kinds)]:
            case "never":
                found.append(f"never kill when {condition}")
            case "first" | "last" as end:
                found.append(f"kill {end} when {condition}")
            case "highest":
                found.append(f"kill highest {_bytes(random)} + {i}KiB when {condition}")
            case "event":
                found.append(f"kernel decides when oom.total == {i + 1}MiB and oom.order == {i % 9}")
            case _:
                found.append(f"kill lowest {_bytes(random)} / {i + 2} step {i + 1}KiB when {condition}")
    return found


def many_lets(random: Random, share: float) -> Lines:
    """Lets that use those before them, each used, at one depth or many."""
    count = _many(types.MAX_LETS, share)
    back = random.choice((0, 1, 3, 20))
    pure = random.random() < 0.5  # of facts of cgroups only, so that they stand at any depth
    found, chain = [], [0] * count
    for i in range(count):
        value = f"memcg.{random.choice(_MEMCG_BYTES)}" if pure else _bytes(random)
        other = max(0, i - random.randint(1, back)) if back else i
        if back and i and chain[other] < 100:
            chain[i] = chain[other] + 3
            value = random.choice(
                (f"max(v{other}, {value})", f"v{other} / 2 + {value}", f"clamp({value}, v{other}, 1GiB)")
            )
        found.append(f"let v{i} = {value} * {i % 7 + 2} + {i}KiB")
    depths = random.choice((1, 4, types.MAX_DEPTH)) if pure else 1
    uses = random.randint(1, 4)
    for i in range(0, count, max(1, count // min(count, 1000))):
        for use in range(uses if i < 200 else 1):
            at = f" at depth {(i + use) % depths + 1}" if pure and use else ""
            found.append(f"kill highest v{i}{at} step {i + use + 1}KiB")
    if pure:
        found += [
            f"kill highest v{count - 1 - i} at each depth"
            for i in range(min(count, random.choice((0, 3, 16))))
        ]
    return found[: count + types.MAX_RULES - 2]


def many_comm_patterns(random: Random, share: float) -> Lines:
    globs = {_glob(random, random.choice((1, 2, 7, 15, 15))) for _ in range(_many(types.MAX_PATTERNS, share))}
    return _texts(random, "comm", sorted(globs))


def many_names(random: Random, share: float) -> Lines:
    long = random.choice((4, 16, 60, types.CGROUP_NAME_BYTES))
    globs = {
        _glob(random, random.randint(max(1, long // 2), long))
        for _ in range(_many(types.MAX_PATTERNS, share))
    }
    return _texts(random, f"memcg.name{_at(random)}", sorted(globs))


def _texts(random: Random, fact: str, globs: Lines) -> Lines:
    size = random.choice((1, 7, types.MAX_LIST))
    found = []
    for i in range(0, len(globs), size):
        texts = ", ".join(f'"{g}"' for g in globs[i : i + size])
        found.append(f"kill {random.choice(('first', 'last'))} when {fact} in ({texts})")
    return found


def many_paths(random: Random, share: float) -> Lines:
    long = random.choice((3, 12, 40, 255))
    names = [_glob(random, random.randint(1, long)) for _ in range(30)]
    found, used = [], set(names)
    for i in range(_many(types.MAX_PATTERNS, share)):
        parts = random.choices(names, k=random.randint(1, types.PATH_COMPONENTS - 1))
        path = "/" + "/".join((*parts, f"n{i}"))
        used |= {path, f"n{i}"}
        if len(used) > types.MAX_PATTERNS:
            break
        if random.random() < 0.1:
            found.append(f'kernel decides when oom.memcg under "{path}"')
        else:
            found.append(f'kill {random.choice(("first", "last"))} when memcg{_at(random)} under "{path}"')
    return found


def long_lists(random: Random, share: float) -> Lines:
    count = _many(types.MAX_LIST, share)
    found = []
    for i in range(random.choice((1, 10, 60))):
        step = random.choice((1, 2, 7, 1001))
        values = ", ".join(str(i * 10 + n * step) for n in range(count))
        texts = ", ".join(f'"q{i}x{n}"' for n in range(count))
        found.append(f"never kill when uid in ({values})")
        found.append(f"never kill when comm in ({texts})")
        found.append(f"never kill when memcg.id{_at(random)} in ({values})")
    return found


def every_depth(random: Random, share: float) -> Lines:
    """All facts at all depths, and all that a rule at each depth can read."""
    depths = range(1, _many(types.MAX_DEPTH, share) + 1)
    facts = [*(f"memcg.{f}" for f in _MEMCG_BYTES), *(f"memcg.{f}" for f in _MEMCG_NUMBERS)]
    found = [f"kill highest {fact} at depth {d}" for d in depths for fact in facts]
    found += [f"kill last when memcg.oom_group at depth {d}" for d in depths]
    for i in range(_many(types.MAX_EACH_DEPTH, share)):
        values = " + ".join(f"memcg.{f} / {i + n + 2}" for n, f in enumerate(_MEMCG_BYTES))
        found.append(f"kill highest {values} at each depth when pid != {i + 1}")
    random.shuffle(found)
    return found


def many_inputs(random: Random, share: float) -> Lines:
    found = []
    for i in range(_many(types.MAX_INPUTS, share)):
        per = random.random() < 0.5
        found.append(f"input i{i}{' per memcg' if per else ''}: bytes = {i}KiB")
        depths = random.choice((0, 1, 4, 16)) if per else 0
        found.append(f"kill highest rss + i{i}")
        found += [f"kill highest rss + i{i} at depth {d}" for d in range(1, depths + 1)]
        if per and i < types.MAX_EACH_DEPTH // 2:
            found.append(f"kill highest i{i} at each depth")
    return found


_WRAPS = (
    "({0} + {1})",
    "({1} + {0})",
    "({0} - {1})",
    "({1} - {0})",
    "({0} / 3 + {1})",
    "max({0}, {1})",
    "min({1}, {0})",
    "abs({0} - {1})",
    "clamp({0}, 1KiB, {1} + 1MiB)",
    "({0} if {1} > 4KiB else {1})",
    "({1} if {0} > 4KiB else 1MiB)",
    "{0} * 50%",
    "({1} * ({0} / ({1} + 1KiB)))",
)


def deep_nesting(random: Random, share: float) -> Lines:
    found = []
    for _ in range(random.choice((1, 5, 40))):
        wraps = random.sample(_WRAPS, random.choice((1, 2, len(_WRAPS))))
        text = _bytes(random)
        for _ in range(int((types.MAX_NESTING - 8) * share / random.choice((1, 2, 3)))):
            text = random.choice(wraps).format(text, _bytes(random))
            if len(text) > types.MAX_STATEMENT // 8:
                break
        found.append(f"kill highest {text}")
        logic = f"rss > {random.randint(1, 99)}KiB"
        for i in range(int((types.MAX_NESTING - 8) * share / 2)):
            logic = random.choice(("({0} and {1})", "({1} or {0})", "not ({0} or {1})")).format(
                logic, _condition(random, i)
            )
        found.append(f"kill first when {logic}")
    return found


def wide(random: Random, share: float) -> Lines:
    """One statement with very many operands."""
    count = _many(1500, share)
    join = random.choice((" or ", " and "))
    found = [f"kill first when {join.join(_condition(random, i) for i in range(count))}"]
    found.append("kill highest " + " + ".join(f"{_bytes(random)} / {i + 2}" for i in range(min(count, 110))))
    arguments = [
        ", ".join(f"{_bytes(random)} / {i + 1 + n}" for i in range(_many(types.MAX_ARGUMENTS, share)))
        for n in range(30)
    ]
    found += [f"kill lowest max({a}, rss)" for a in arguments if a.count(",") < types.MAX_ARGUMENTS - 1]
    return found


SHAPES: tuple[Shape, ...] = (
    many_rules,
    many_lets,
    many_comm_patterns,
    many_names,
    many_paths,
    long_lists,
    every_depth,
    many_inputs,
    deep_nesting,
    wide,
)
