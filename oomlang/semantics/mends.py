"""How to mend a mistake of types and units, in the words of a message."""

from __future__ import annotations

from oomlang.facts import Type
from oomlang.semantics import model


def example(type: Type) -> str:
    """A literal of a type."""
    return {
        Type.BYTES: "64MiB",
        Type.RATIO: "90%",
        Type.DURATION: "30s",
        Type.BOOL: "true",
        Type.TEXT: '"sshd"',
    }.get(type, "10")


def with_unit(value: int, given: Type, wanted: Type) -> str:
    """How to write a literal as a value of another type; an empty text where its number cannot be kept."""
    if wanted is Type.BOOL:
        return "write `true` or `false`"
    if given is Type.TEXT:
        return f"write a number without quotes, such as {example(wanted)}"
    if given is not Type.INT:
        return "leave the unit out" if wanted is Type.INT else f"write a value such as {example(wanted)}"
    if wanted is Type.BYTES:
        return f"give the number a unit: {value}KiB, {value}MiB or {value}B" if value else "write 0B"
    if wanted is Type.RATIO:
        return f"write a ratio in per cent: {value}%"
    if wanted is Type.DURATION:
        return f"give the number a unit: {value}s, {value}m or {value}ms" if value else "write 0s"
    return ""


def one_unit(left: model.Expression, left_text: str, right: model.Expression, right_text: str) -> str:
    """How two values of different types become ones of the same."""
    sides = ((left, left_text, right), (right, right_text, left))
    for literal, _, other in sides:
        if isinstance(literal, model.Constant) and literal.type is Type.INT and other.type is not Type.BOOL:
            return with_unit(literal.value, Type.INT, other.type)
    for condition, text, other in sides:
        if condition.type is Type.BOOL:
            bit = isinstance(other, model.Constant) and other.value in (0, 1)
            return f"write `{text}` or `not {text}`" if bit else f"`{text}` is true or false"
    for literal, _, other in sides:
        if isinstance(literal, model.Constant) and other.type is Type.INT:
            return "leave the unit out"
    return "; ".join(
        f"`{text}` goes with {side.type.phrase}, such as {example(side.type)}" for side, text, _ in sides
    )


def arithmetic(operator: str, left: model.Expression, right: model.Expression, plain: str) -> str:
    """How to mend `left operator right`, whose units do not fit; plain: the text of a side that has no unit."""
    types = (left.type, right.type)
    if operator in "+-":
        if Type.INT not in types:
            return f"both sides of `{operator}` need the same unit"
        number, other = (left, right.type) if left.type is Type.INT else (right, left.type)
        if isinstance(number, model.Constant):
            return with_unit(number.value, Type.INT, other)
        one = {Type.BYTES: "1MiB", Type.RATIO: "1%", Type.DURATION: "1s"}[other]
        return f"say how much one is worth, such as {plain} * {one}"
    if operator == "*":
        return "a size or duration can be multiplied with a plain number or with a ratio (90%)"
    if left.type is Type.INT:
        return "a plain number can only be divided by a plain number"
    return "divide by a plain number, or by a value of the same unit, which makes a ratio"
