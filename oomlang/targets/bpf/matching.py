"""C functions that match texts and cgroup paths.

A text in the kernel is matched where it lies: a literal by reading one byte more than it has, a glob part by part. comm is
read once per candidate into two words, so that a literal there is two comparisons.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from oomlang.facts.patterns import ANY, Glob, PathPattern
from oomlang.targets.bpf.escape import c_comment

_WORD = 8


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


def comm_test(pattern: Glob) -> str | None:
    """A test on `c->comm` for a literal, or None for a glob."""
    literal = pattern.literal
    if literal is None:
        return None
    low, high = (int.from_bytes(literal[i : i + _WORD], "little") for i in (0, _WORD))
    return f"(c->comm[0] == 0x{low:x}ULL && c->comm[1] == 0x{high:x}ULL)"


@dataclass(slots=True)
class Matchers:
    """The matching functions of one program, each pattern once; `loops` are those with a bounded loop."""

    functions: list[str] = field(default_factory=list)
    loops: list[str] = field(default_factory=list)
    uses_paths: bool = False
    _literals: dict[bytes, str] = field(default_factory=dict)
    _globs: dict[Glob, str] = field(default_factory=dict)
    _paths: dict[PathPattern, str] = field(default_factory=dict)
    _needs_length: bool = False

    def text_call(self, pattern: Glob, text: str, length: str) -> str:
        """A call that tells whether a kernel text (pointer, and length without the NUL) matches."""
        if pattern.literal is not None:
            return f"{self._literal(pattern.literal)}({text})"
        return f"{self._glob(pattern)}({text}, {length})"

    def path_call(self, pattern: PathPattern, cgroup: str) -> str:
        """A call that tells whether a cgroup is under a path."""
        if pattern not in self._paths:
            self._paths[pattern] = f"under_{len(self._paths) + 1}"
            self._path(self._paths[pattern], pattern)
        return f"{self._paths[pattern]}({cgroup})"

    def length_call(self, text: str) -> str:
        """A call that gives the length of a cgroup's name."""
        if not self._needs_length:
            self._needs_length = True
            self.functions.append(_LENGTH)
        return f"name_length({text})"

    def _literal(self, literal: bytes) -> str:
        if literal in self._literals:
            return self._literals[literal]
        name = self._literals[literal] = f"equals_{len(self._literals) + 1}"
        # Room for one byte more than the text and its NUL: a longer text must not look the same when it is cut.
        count = (len(literal) + 2 + _WORD - 1) // _WORD
        tests = [f"text[{i}] == {value}" for i, (value, _) in enumerate(words(literal, count))]
        self.functions.append(
            f"/* {c_comment(_shown(literal))} */\n"
            f"static __noinline bool {name}(const char *name)\n"
            "{\n"
            f"\tu64 text[{count}] = {{}};\n\n"
            "\tbpf_probe_read_kernel_str(text, sizeof(text), name);\n"
            f"\treturn {_join(tests)};\n"
            "}"
        )
        return name

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
            f"static __noinline bool {name}(const char *text, u64 length)\n{{\n{''.join(body)}}}"
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
            f"static __noinline bool {name}(struct cgroup *cgroup)\n"
            "{\n"
            f"\tif (BPF_CORE_READ(cgroup, level) < {depth})\n\t\treturn false;\n"
            f"\treturn {result};\n"
            "}"
        )


def _part(name: str, part: bytes) -> str:
    count = (len(part) + _WORD - 1) // _WORD
    tests = [
        t for i, (v, m) in enumerate(words(part, count)) if (t := masked(f"word[{i}]", v, m)) is not None
    ]
    return (
        f"static __always_inline bool {name}(const char *at)\n"
        "{\n"
        f"\tu64 word[{count}] = {{}};\n\n"
        f"\treturn !bpf_probe_read_kernel(word, {len(part)}, at)"
        + "".join(f" &&\n\t       {t}" for t in tests)
        + ";\n}"
    )


def _join(tests: list[str]) -> str:
    return " &&\n\t       ".join(tests)


def _shown(text: bytes) -> str:
    return '"' + text.decode("utf-8", "backslashreplace") + '"'


_LENGTH = """/* The length of a cgroup's name, at most 255. */
static __noinline u64 name_length(const char *name)
{
	char text[256];
	long size = bpf_probe_read_kernel_str(text, sizeof(text), name);

	return size > 0 ? size - 1 : 0;
}"""
