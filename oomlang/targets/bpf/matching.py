"""C functions that match texts and cgroup paths.

comm is read once per candidate into two words and matched in registers. A cgroup's name is matched where it lies: a literal
by reading one byte more than it has, a glob part by part.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from oomlang.facts.patterns import ANY, Glob, PathPattern
from oomlang.targets.bpf.escape import c_comment

_WORD = 8
_TWO_WORDS = 16


def words(part: bytes, count: int) -> list[tuple[str, str]]:
    """(value, mask) of each 8-byte little-endian word; `?` and what lies behind the part are masked out."""
    pairs = []
    for start in range(0, count * _WORD, _WORD):
        chunk = part[start : start + _WORD]
        value = int.from_bytes(bytes(0 if b == ANY else b for b in chunk), "little")
        mask = int.from_bytes(bytes(0 if b == ANY else 0xFF for b in chunk), "little")
        pairs.append((f"0x{value:x}ULL", f"0x{mask:x}ULL"))
    return pairs


def masked(word: str, value: str, mask: str) -> str | None:
    """The C test of one word, or None where every word passes."""
    if mask == "0x0ULL":
        return None
    return f"{word} == {value}" if mask == "0xffffffffffffffffULL" else f"({word} & {mask}) == {value}"


@dataclass(slots=True)
class Matchers:
    """The matching functions of one program, each pattern once; `loops` are those with a bounded loop."""

    functions: list[str] = field(default_factory=list)
    loops: list[str] = field(default_factory=list)
    uses_paths: bool = False
    _literals: dict[bytes, str] = field(default_factory=dict)
    _globs: dict[Glob, str] = field(default_factory=dict)
    _comms: dict[Glob, str] = field(default_factory=dict)
    _paths: dict[PathPattern, str] = field(default_factory=dict)
    _needs_length: bool = False
    _has_shifts: bool = False

    def comm_call(self, pattern: Glob) -> str:
        """A test on the candidate's comm: its two words."""
        if pattern.literal is not None:
            (low, _), (high, _) = words(pattern.literal, 2)
            return f"(c->comm[0] == {low} && c->comm[1] == {high})"
        if pattern not in self._comms:
            self._comms[pattern] = f"comm_like_{len(self._comms) + 1}"
            self._comm_glob(self._comms[pattern], pattern)
        return f"{self._comms[pattern]}(c->comm[0], c->comm[1], c->comm_length)"

    def text_call(self, pattern: Glob, text: str, length: str) -> str:
        """A call that tells whether a kernel text (pointer, and length without the NUL) matches."""
        if pattern.literal is not None:
            return f"{self._literal(pattern.literal)}((u64){text})"
        return f"{self._glob(pattern)}((u64){text}, {length})"

    def path_call(self, pattern: PathPattern, cgroup: str) -> str:
        """A call that tells whether a cgroup is under a path."""
        if pattern not in self._paths:
            self._paths[pattern] = f"under_{len(self._paths) + 1}"
            self._path(self._paths[pattern], pattern)
        return f"{self._paths[pattern]}((u64){cgroup})"

    def length_call(self, text: str) -> str:
        """A call that gives the length of a cgroup's name."""
        if not self._needs_length:
            self._needs_length = True
            self.functions.append(_LENGTH)
        return f"name_length((u64){text})"

    def _literal(self, literal: bytes) -> str:
        if literal in self._literals:
            return self._literals[literal]
        name = self._literals[literal] = f"equals_{len(self._literals) + 1}"
        # Room for one byte more than the text and its NUL: a longer text must not look the same when it is cut.
        count = (len(literal) + 2 + _WORD - 1) // _WORD
        tests = [f"text[{i}] == {value}" for i, (value, _) in enumerate(words(literal, count))]
        self.functions.append(
            f"/* {c_comment(_shown(literal))} */\n"
            f"__noinline int {name}(u64 name)\n"
            "{\n"
            f"\tu64 text[{count}] = {{}};\n\n"
            "\tbpf_probe_read_kernel_str(text, sizeof(text), (void *)name);\n"
            f"\treturn {_join(tests)};\n"
            "}"
        )
        return name

    def _comm_glob(self, name: str, pattern: Glob) -> None:
        """Match in registers: the text is two words, and what has been matched is shifted out of them."""
        parts, declared = pattern.parts, ""
        body = [f"\tif (length < {pattern.shortest})\n\t\treturn false;\n"]
        if len(parts) == 1:
            body = [f"\treturn length == {len(parts[0])}{_and(_two_words(parts[0]))};\n"]
        else:
            first, *middle, last = parts
            if tests := _two_words(first):
                body.append(f"\tif (!({' && '.join(tests)}))\n\t\treturn false;\n")
            if middle or last:
                body.insert(
                    0, "\tstruct text text = { low, high };\n" + ("\tint i;\n" if middle else "") + "\n"
                )
                body.append(_dropped(len(first)))
                self._shifts()
            for part in middle:
                tests = _two_words(part, "text.")
                body.append(
                    f"\tfor (i = 0; i < {_TWO_WORDS}; i++) {{\n"
                    f"\t\tif (length < {len(part) + len(last)})\n\t\t\treturn false;\n"
                    f"\t\tif ({' && '.join(tests) or 'true'})\n\t\t\tbreak;\n"
                    "\t\tdrop(&text, 1);\n"
                    "\t\tlength--;\n"
                    "\t}\n" + _dropped(len(part))
                )
                self.loops.append(name)
            if last:
                body.append(f"\tif (length < {len(last)})\n\t\treturn false;\n")
                body.append(f"\tdrop(&text, length - {len(last)});\n")
                body.append(f"\treturn {' && '.join(_two_words(last, 'text.')) or 'true'};\n")
            else:
                body.append("\treturn true;\n")
        self.functions.append(
            f"/* {c_comment(_shown(pattern.text))} */\n"
            f"__noinline int {name}(u64 low, u64 high, u64 length)\n{{\n{declared}{_KEEP}{''.join(body)}}}"
        )

    def _shifts(self) -> None:
        if not self._has_shifts:
            self._has_shifts = True
            self.functions.append(_DROP)

    def _glob(self, pattern: Glob) -> str:
        if pattern in self._globs:
            return self._globs[pattern]
        name = self._globs[pattern] = f"like_{len(self._globs) + 1}"
        parts = pattern.parts
        helpers = {p: f"{name}_part_{i + 1}" for i, p in enumerate(dict.fromkeys(p for p in parts if p))}
        text = [_part(function, part) for part, function in helpers.items()]
        body = [f"\tif (length < {pattern.shortest})\n\t\treturn false;\n"]
        if len(parts) == 1:
            body = [f"\treturn length == {len(parts[0])} && {helpers[parts[0]]}(text);\n"]
        else:
            first, *middle, last = parts
            if first:
                body.append(f"\tif (!{helpers[first]}(text))\n\t\treturn false;\n")
            if middle:
                body.insert(0, f"\tu64 at = {len(first)}, end = length - {len(last)};\n\tint i;\n\n")
                self.loops.append(name)
            for part in middle:
                body.append(
                    "\tfor (i = 0; i < 256; i++) {\n"
                    f"\t\tif (at + {len(part)} > end)\n\t\t\treturn false;\n"
                    f"\t\tif ({helpers[part]}(text + at))\n\t\t\tbreak;\n"
                    "\t\tat++;\n"
                    "\t}\n"
                    f"\tat += {len(part)};\n"
                )
            body.append(
                f"\treturn {helpers[last]}(text + length - {len(last)});\n" if last else "\treturn true;\n"
            )
        text.append(
            f"/* {c_comment(_shown(pattern.text))} */\n"
            f"__noinline int {name}(u64 text, u64 length)\n{{\n{''.join(body)}}}"
        )
        self.functions.append("\n\n".join(text))
        return name

    def _path(self, name: str, pattern: PathPattern) -> None:
        self.uses_paths = True
        depth = len(pattern.components)
        tests = []
        for level in range(depth, 0, -1):  # the last component first: it tells most cgroups apart
            glob = pattern.components[level - 1]
            if glob.matches_all:
                continue
            ancestor_name = f"cgroup_name(ancestor(cgroup, {level}))"
            length = "0" if glob.literal is not None else self.length_call(ancestor_name)
            tests.append(self.text_call(glob, ancestor_name, length))
        result = _join(tests) if tests else "true"
        self.functions.append(
            f"/* {c_comment(_shown(pattern.text))} and everything below it */\n"
            f"__noinline int {name}(u64 path)\n"
            "{\n"
            "\tstruct cgroup *cgroup = (void *)path;\n\n"
            f"\tif (BPF_CORE_READ(cgroup, level) < {depth})\n\t\treturn false;\n"
            f"\treturn {result};\n"
            "}"
        )


def _two_words(part: bytes, prefix: str = "") -> list[str]:
    """Tests that the two words at hand begin with a part."""
    names = (f"{prefix}low", f"{prefix}high")
    return [t for n, (v, m) in zip(names, words(part, 2), strict=True) if (t := masked(n, v, m)) is not None]


def _and(tests: list[str]) -> str:
    return "".join(f" && {t}" for t in tests)


def _dropped(count: int) -> str:
    return f"\tdrop(&text, {count});\n\tlength -= {count};\n" if count else ""


def _part(name: str, part: bytes) -> str:
    count = (len(part) + _WORD - 1) // _WORD
    tests = [
        t for i, (v, m) in enumerate(words(part, count)) if (t := masked(f"word[{i}]", v, m)) is not None
    ]
    return (
        f"static __always_inline bool {name}(u64 at)\n"
        "{\n"
        f"\tu64 word[{count}] = {{}};\n\n"
        f"\treturn !bpf_probe_read_kernel(word, {len(part)}, (void *)at)"
        + "".join(f" &&\n\t       {t}" for t in tests)
        + ";\n}"
    )


def _join(tests: list[str]) -> str:
    return " &&\n\t       ".join(tests)


def _shown(text: bytes) -> str:
    return '"' + text.decode("utf-8", "backslashreplace") + '"'


# An argument that the function does not need would not be passed, and the verifier asks for all that the types name.
_KEEP = "\tbarrier_var(low);\n\tbarrier_var(high);\n\tbarrier_var(length);\n"

_DROP = """/* A comm as a number of 128 bits, its first byte the lowest. */
struct text {
	u64 low, high;
};

/* Take away the first `count` bytes, at most 15. */
static __always_inline void drop(struct text *text, u64 count)
{
	u64 bits = (count & 7) * 8;

	if (count & 8) {
		text->low = text->high;
		text->high = 0;
	}
	if (bits) {
		text->low = text->low >> bits | text->high << (64 - bits);
		text->high >>= bits;
	}
}"""

# Not on the stack: half of that would go to this one name.
_LENGTH = """char name_buffer[256];

/* The length of a cgroup's name, at most 255. */
__noinline u64 name_length(u64 name)
{
	long size = bpf_probe_read_kernel_str(name_buffer, sizeof(name_buffer), (void *)name);

	return size > 0 ? size - 1 : 0;
}"""
