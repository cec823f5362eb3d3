"""Parser reductions → syntax tree: one method for each rule of the grammar.

The parser keeps all tokens, so a node's span is that of its first child to its last. What a literal gets wrong (a unit,
an escape) becomes a diagnostic here and a harmless value in the tree.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from lark import Token
from lark.visitors import Transformer_NonRecursive

from oomlang.diagnostics import Code, Diagnostics, Span
from oomlang.facts import UNITS, Type, spell
from oomlang.facts.interval import INT64_MAX
from oomlang.facts.types import MAX_NAME, MAX_NESTING
from oomlang.facts.units import DECIMAL_BYTES, UNIT_WORDS
from oomlang.syntax import tree
from oomlang.syntax.suggest import closest

Children = list[Any]
_NUMBER = re.compile(r"([0-9][0-9_]*)(\.[0-9]+)?([A-Za-z%].*)?")
_ESCAPE = re.compile(r"\\(x[0-9A-Fa-f]{2}|[^\n])")
_HEXADECIMAL = re.compile(r"[xX][0-9A-Fa-f]{1,16}")
_SHALLOW = (0, None)
_REPORTED = 1_000_000
_SIMPLE_ESCAPES = {'"': b'"', "\\": b"\\", "n": b"\n", "t": b"\t"}


class Builder(Transformer_NonRecursive[Token, Any]):
    """Makes the nodes of one parse. Not recursive: a hostile text may nest as deep as it likes."""

    def __init__(self, diagnostics: Diagnostics) -> None:
        super().__init__()
        self._diagnostics = diagnostics
        # By the node's id, with the node itself, so that no id is used again while the builder lives.
        self._depth: dict[int, tuple[int, Any]] = {}

    # Spans and depth

    def _span(self, children: Children) -> Span:
        return _span_of(children[0]).to(_span_of(children[-1]))

    def _nested(self, node: Any, *operands: Any) -> Any:
        """Note how deep an expression nests: later passes recurse over it."""
        depth = 1 + max((self._depth.get(id(o), _SHALLOW)[0] for o in operands), default=0)
        if depth > _REPORTED:  # part of an expression that is too deep, which has been said
            return self._replaced(node)
        if depth > MAX_NESTING:
            self._diagnostics.error(
                Code.TOO_DEEP,
                node.span,
                f"this expression nests more than {MAX_NESTING} levels deep",
                help="give a part of it a name with `let`",
            )
            return self._replaced(node)
        self._depth[id(node)] = (depth, node)
        return node

    def _replaced(self, node: tree.Node) -> tree.Unreadable:
        shallow = tree.Unreadable(span=node.span)
        self._depth[id(shallow)] = (_REPORTED, shallow)
        return shallow

    # Literals

    def number(self, children: Children) -> tree.Number | tree.Unreadable:
        return self._number(children[0])

    def _number(self, token: Token, sign: int = 1, span: Span | None = None) -> tree.Number | tree.Unreadable:
        span = span or _span_of(token)
        if len(token) > 40:  # Python refuses to read numbers that are much longer
            return self._bad_number(span, "this number does not fit into 64 bits")
        match = _NUMBER.fullmatch(token)
        if match is None:
            return self._bad_number(span, f"`{token}` is not a number")
        whole, fraction, suffix = int(match[1].replace("_", "")), match[2], match[3] or ""
        if match[1].endswith("_") or "__" in match[1]:
            return self._bad_number(span, f"`{token}` is not a number", "`_` may only stand between digits")
        if suffix and suffix not in UNITS:
            return self._unknown_unit(span, match[1] + (fraction or ""), suffix)
        unit = UNITS.get(suffix)
        if fraction:
            return self._fraction(span, whole, fraction, suffix)
        if whole * (unit.scale if unit else 1) > INT64_MAX:
            return self._bad_number(span, f"`{token}` does not fit into 64 bits")
        if unit is None:
            return tree.Number(span=span, value=sign * whole, type=Type.INT)
        return tree.Number(span=span, value=sign * whole * unit.scale, type=unit.type)

    def _bad_number(self, span: Span, message: str, help: str = "") -> tree.Unreadable:
        self._diagnostics.error(Code.BAD_NUMBER, span, message, help=help)
        return tree.Unreadable(span=span)

    def _fraction(self, span: Span, whole: int, fraction: str, suffix: str) -> tree.Unreadable:
        help = "write a whole number"
        unit = UNITS.get(suffix)
        if unit is not None:
            digits = fraction[1:]
            scaled = (whole * 10 ** len(digits) + int(digits)) * unit.scale
            value, rest = divmod(scaled, 10 ** len(digits))
            smaller = spell(value, unit.type)
            if rest == 0 and "." not in smaller:
                help = f"write `{smaller}`"
        return self._bad_number(span, f"`{whole}{fraction}{suffix}` has a fraction; numbers are whole", help)

    def _unknown_unit(self, span: Span, digits: str, suffix: str) -> tree.Unreadable:
        units = ", ".join(UNITS)
        help = f"the units are {units}"
        if suffix in DECIMAL_BYTES and digits.replace("_", "").isdigit():
            count = int(digits.replace("_", ""))
            binary = {
                "kB": "KiB",
                "KB": "KiB",
                "MB": "MiB",
                "GB": "GiB",
                "TB": "TiB",
                "K": "KiB",
                "M": "MiB",
                "G": "GiB",
            }
            help = f"write `{digits}{binary[suffix]}`"
            if suffix.endswith("B"):
                help += f", or `{count * DECIMAL_BYTES[suffix]}B` if you mean exactly that many bytes"
        elif digits == "0" and _HEXADECIMAL.fullmatch(suffix):
            help = f"numbers are decimal: {int(suffix[1:], 16)}"
        elif guess := UNIT_WORDS.get(suffix.lower()) or closest(suffix, UNITS):
            help = f"did you mean `{digits}{guess}`? {help}"
        self._diagnostics.error(Code.UNKNOWN_UNIT, span, f"unknown unit `{suffix}`", help=help)
        return tree.Unreadable(span=span)

    def text(self, children: Children) -> tree.Text:
        token = children[0]
        if isinstance(token, tree.Text):
            return token
        start = token.start_pos
        value, last = bytearray(), 1
        for match in _ESCAPE.finditer(token, 1, len(token) - 1):
            value += token[last : match.start()].encode()
            last = match.end()
            body = match[1]
            if body in _SIMPLE_ESCAPES:
                value += _SIMPLE_ESCAPES[body]
            elif body.startswith("x") and len(body) == 3:
                value.append(int(body[1:], 16))
            else:
                where = Span(start + match.start(), start + match.end())
                self._diagnostics.error(
                    Code.BAD_STRING,
                    where,
                    f"unknown escape `{match[0]}`",
                    help=r"the escapes are \" \\ \n \t and \xNN (one byte in hexadecimal)",
                )
        value += token[last : len(token) - 1].encode()
        span = _span_of(token)
        if b"\0" in value:
            self._diagnostics.error(Code.BAD_STRING, span, "a text cannot hold a NUL byte", help="remove it")
            value = value.replace(b"\0", b"")
        return tree.Text(span=span, value=bytes(value))

    def true(self, children: Children) -> tree.Truth:
        return tree.Truth(span=_span_of(children[0]), value=True)

    def false(self, children: Children) -> tree.Truth:
        return tree.Truth(span=_span_of(children[0]), value=False)

    def negative_number(self, children: Children) -> tree.Number | tree.Unreadable:
        sign = -1 if children[0] == "-" else 1
        return self._number(children[1], sign, self._span(children))

    # Expressions

    def name(self, children: Children) -> tree.Name:
        return self._name(children[0])

    def _name(self, token: Token) -> tree.Name:
        span = _span_of(token)
        if len(token) > MAX_NAME:
            self._diagnostics.error(
                Code.TOO_MANY, span, f"this name has {len(token)} characters; the limit is {MAX_NAME}"
            )
        return tree.Name(span=span, name=str(token)[:MAX_NAME])

    def group(self, children: Children) -> Any:
        # The parentheses are part of what is said: without them the text of a rule would end before its last one.
        node = replace(children[1], span=self._span(children))
        self._depth[id(node)] = (self._depth.get(id(children[1]), _SHALLOW)[0], node)
        return node

    def call(self, children: Children) -> Any:
        arguments = _nodes(children[1:])
        node = tree.Call(
            span=self._span(_present(children)), function=self._name(children[0]), arguments=arguments
        )
        return self._nested(node, *arguments)

    def negative(self, children: Children) -> Any:
        sign, operand = children
        span = self._span(children)
        if sign == "+":
            self._diagnostics.error(Code.SYNTAX, _span_of(sign), "there is no unary `+`", help="leave it out")
            return operand
        if isinstance(operand, tree.Unreadable):
            return operand
        if isinstance(operand, tree.Number) and operand.value > 0:
            return tree.Number(span=span, value=-operand.value, type=operand.type)
        return self._nested(tree.Negative(span=span, operand=operand), operand)

    def arithmetic(self, children: Children) -> Any:
        left, operator, right = children
        node = tree.Arithmetic(span=self._span(children), operator=str(operator), left=left, right=right)
        return self._nested(node, left, right)

    def compare(self, children: Children) -> Any:
        left, operator, right = children
        node = tree.Compare(
            span=self._span(children),
            operator=str(operator),
            operator_span=_span_of(operator),
            left=left,
            right=right,
        )
        return self._nested(node, left, right)

    def in_(self, children: Children) -> Any:
        items = _nodes(children[2:])
        node = tree.In(span=self._span(_present(children)), subject=children[0], items=items)
        return self._nested(node, children[0], *items)

    def like(self, children: Children) -> Any:
        node = tree.Like(span=self._span(children), subject=children[0], pattern=children[2])
        return self._nested(node, children[0], children[2])

    def under(self, children: Children) -> Any:
        node = tree.Under(span=self._span(children), subject=children[0], pattern=children[2])
        return self._nested(node, children[0], children[2])

    def at_depth(self, children: Children) -> Any:
        operand, _, depth = children
        return self._nested(
            tree.AtDepth(span=self._span(children), operand=operand, depth=self._number(depth)), operand
        )

    def either(self, children: Children) -> Any:
        return self._logical("or", children)

    def both(self, children: Children) -> Any:
        return self._logical("and", children)

    def _logical(self, operator: str, children: Children) -> Any:
        operands = _nodes(children)
        node = tree.Logical(span=self._span(children), operator=operator, operands=operands)
        return self._nested(node, *operands)

    def not_(self, children: Children) -> Any:
        return self._nested(tree.Not(span=self._span(children), operand=children[1]), children[1])

    def conditional(self, children: Children) -> Any:
        then, _, condition, _, otherwise = children
        node = tree.Conditional(
            span=self._span(children), then=then, condition=condition, otherwise=otherwise
        )
        return self._nested(node, then, condition, otherwise)

    # Statements

    def language(self, children: Children) -> tree.Language:
        return tree.Language(span=self._span(children), version=self._number(children[1]))

    def policy_name(self, children: Children) -> tree.PolicyName:
        return tree.PolicyName(span=self._span(children), name=self.text(children[1:]))

    def per_memcg(self, children: Children) -> bool:
        return True

    def input(self, children: Children) -> tree.Input:
        _, name, _, type, _, default = (c for c in children if c is not True)
        return tree.Input(
            span=self._span(children),
            name=self._name(name),
            per_memcg=any(c is True for c in children),
            type=self._name(type),
            default=default,
        )

    def let(self, children: Children) -> tree.Let:
        return tree.Let(span=self._span(children), name=self._name(children[1]), value=children[3])

    def kernel_decides(self, children: Children) -> tree.KernelDecides:
        return tree.KernelDecides(span=self._span(children), condition=children[-1])

    def kill_nothing(self, children: Children) -> tree.KillNothing:
        return tree.KillNothing(span=self._span(children), condition=children[-1])

    def never_kill(self, children: Children) -> tree.NeverKill:
        return tree.NeverKill(span=self._span(children), condition=children[-1])

    def kill_first(self, children: Children) -> tree.KillFlag:
        return tree.KillFlag(span=self._span(children), first=True, condition=children[-1])

    def kill_last(self, children: Children) -> tree.KillFlag:
        return tree.KillFlag(span=self._span(children), first=False, condition=children[-1])

    def step(self, children: Children) -> tuple[str, Span, Any]:
        return ("step", self._span(children), children[1])

    def when(self, children: Children) -> tuple[str, Span, Any]:
        return ("when", self._span(children), children[1])

    def kill_highest(self, children: Children) -> tree.KillBy:
        return self._kill_by(True, children)

    def kill_lowest(self, children: Children) -> tree.KillBy:
        return self._kill_by(False, children)

    def _kill_by(self, highest: bool, children: Children) -> tree.KillBy:
        parts = {c[0]: c[2] for c in children if isinstance(c, tuple)}
        each = next((c for c in children if isinstance(c, Token) and c.type == "AT_EACH_DEPTH"), None)
        return tree.KillBy(
            span=self._span(_present(children)),
            highest=highest,
            value=children[2],
            each_depth=_span_of(each) if each is not None else None,
            step=parts.get("step"),
            when=parts.get("when"),
        )

    # Tests

    def test(self, children: Children) -> tree.Test:
        statements: Any = tuple(c for c in children[3:] if isinstance(c, tree.Node))
        return tree.Test(span=self._span(children), name=self.text(children[1:]), statements=statements)

    def test_memory(self, children: Children) -> tree.TestMemory:
        return tree.TestMemory(span=self._span(children), size=children[1])

    def test_swap(self, children: Children) -> tree.TestSwap:
        return tree.TestSwap(span=self._span(children), size=children[1])

    def test_order(self, children: Children) -> tree.TestOrder:
        return tree.TestOrder(span=self._span(children), order=children[1])

    def test_scope(self, children: Children) -> tree.TestScope:
        return tree.TestScope(span=self._span(children), path=self.text(children[1:]))

    def test_invoker(self, children: Children) -> tree.TestInvoker:
        return tree.TestInvoker(span=self._span(children), task=self.text(children[1:]))

    def test_set(self, children: Children) -> tree.TestSet:
        return tree.TestSet(span=self._span(children), name=self._name(children[1]), value=children[3])

    def test_memcg(self, children: Children) -> tree.TestMemcg:
        present = _present(children)
        entries = present[-1].entries if isinstance(present[-1], _Entries) else ()
        return tree.TestMemcg(span=self._span(present), path=self.text(children[1:]), entries=entries)

    def test_task(self, children: Children) -> tree.TestTask:
        present = _present(children)
        entries = present[-1].entries if isinstance(present[-1], _Entries) else ()
        comm, *rest = [self.text([c]) for c in present if isinstance(c, Token) and c.type == "STRING"]
        return tree.TestTask(
            span=self._span(present),
            comm=comm,
            id=rest[0] if len(rest) == 2 else None,
            path=rest[-1],
            entries=entries,
        )

    def entries(self, children: Children) -> _Entries:
        return _Entries(self._span(children), tuple(c for c in children if isinstance(c, tree.Entry)))

    def entry(self, children: Children) -> tree.Entry:
        return tree.Entry(span=self._span(children), name=self._name(children[0]), value=children[1])

    def expect_victim(self, children: Children) -> tree.ExpectVictim:
        return tree.ExpectVictim(span=self._span(children), task=self.text(children[2:]))

    def expect_order(self, children: Children) -> tree.ExpectOrder:
        tasks = tuple(self.text([c]) for c in children[2:] if c.type == "STRING")
        return tree.ExpectOrder(span=self._span(children), tasks=tasks)

    def expect_safe(self, children: Children) -> tree.ExpectSafe:
        return tree.ExpectSafe(span=self._span(children), task=self.text(children[2:]))

    def expect_none(self, children: Children) -> tree.ExpectNone:
        return tree.ExpectNone(span=self._span(children))

    def expect_kernel(self, children: Children) -> tree.ExpectKernel:
        return tree.ExpectKernel(span=self._span(children))

    def expect_nothing(self, children: Children) -> tree.ExpectNothing:
        return tree.ExpectNothing(span=self._span(children))

    def policy(self, children: Children) -> tuple[tree.Statement, ...]:
        return tuple(c for c in children if isinstance(c, tree.Node))  # type: ignore[misc]  # only statements are nodes


class _Entries:
    """The braces of a test's memcg or task, on their way into it."""

    __slots__ = ("entries", "span")

    def __init__(self, span: Span, entries: tuple[tree.Entry, ...]) -> None:
        self.span = span
        self.entries = entries


def _span_of(item: Any) -> Span:
    if isinstance(item, Token):
        assert item.start_pos is not None
        assert item.end_pos is not None
        return Span(item.start_pos, item.end_pos)
    if isinstance(item, tuple):  # `step` and `when` on their way into their rule
        return item[1]  # type: ignore[no-any-return]  # see Builder.step
    return item.span  # type: ignore[no-any-return]  # a node


def _present(children: Children) -> Children:
    return [c for c in children if c is not None]


def _nodes(children: Children) -> tuple[Any, ...]:
    return tuple(c for c in children if isinstance(c, tree.Node))
