"""`@dataclass(frozen=True, slots=True)` that costs next to nothing to declare.

In: a class with annotated fields. Out: the dataclass that `dataclasses` makes of it, with `fields`, `replace` and `match` as
they are there. The standard decorator writes every method as source text and compiles it, for each class, whenever the
program starts: half a millisecond a class, of which the tree, the typed policy and the IR have a hundred. Here the methods
are functions that go through the fields. An instance takes up to twice as long to make, a microsecond or two; so this is
for what a policy has some hundreds of, and the standard one for what is made in loops, or mutable, or ordered.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from operator import attrgetter
from typing import TYPE_CHECKING, Any, TypeVar

_T = TypeVar("_T")
_set = object.__setattr__


def _dataclass(*, frozen: bool, slots: bool, kw_only: bool = False) -> Callable[[type[_T]], type[_T]]:
    """Decorate a class. Its fields can have plain defaults, and nothing that `dataclasses.field` says."""
    if not (frozen and slots):
        raise TypeError("for mutable classes, and those without slots, there is the standard dataclass")

    def decorated(cls: type[_T]) -> type[_T]:
        cls.__doc__ = cls.__doc__ or cls.__name__  # the standard one would ask `inspect` for the signature
        made = dataclasses.dataclass(init=False, repr=False, eq=False, slots=True, kw_only=kw_only)(cls)
        for name, method in _methods(made).items():
            if name not in made.__dict__:
                setattr(made, name, method)
        return made

    return decorated


if TYPE_CHECKING:
    from dataclasses import dataclass as dataclass  # type checkers know all about this one
else:
    dataclass = _dataclass


def _methods(cls: type[Any]) -> dict[str, Callable[..., Any]]:
    fields = dataclasses.fields(cls)
    if not all(f.init and f.repr and f.compare and f.hash is None for f in fields):
        raise TypeError(f"{cls.__name__} needs the standard dataclass")
    names = tuple(f.name for f in fields)
    defaults = {f.name: f.default for f in fields if f.default is not dataclasses.MISSING}
    positional: tuple[str, ...] = cls.__match_args__
    values_of = _getter(names)
    finish = getattr(cls, "__post_init__", None)

    def init(self: object, *given: object, **values: object) -> None:
        if given:
            count = len(given) + len(values)
            values = dict(zip(positional, given, strict=False), **values)
            if len(values) != count:
                raise TypeError(f"{cls.__name__}() got too many positional values, or one twice")
        if len(values) != len(names):
            values = {**defaults, **values}
            if missing := [name for name in names if name not in values]:
                raise TypeError(f"{cls.__name__}() lacks {', '.join(missing)}")
        for name, value in values.items():
            _set(self, name, value)  # AttributeError for what is no field
        if finish is not None:
            finish(self)

    def equal(self: object, other: object) -> bool:
        return values_of(self) == values_of(other) if other.__class__ is self.__class__ else NotImplemented

    def hashed(self: object) -> int:
        return hash(values_of(self))

    def shown(self: object) -> str:
        pairs = zip(names, values_of(self), strict=True)
        return f"{self.__class__.__qualname__}({', '.join(f'{name}={value!r}' for name, value in pairs)})"

    def refuse(self: object, name: str, *value: object) -> None:
        raise dataclasses.FrozenInstanceError(f"cannot assign to or delete field {name!r}")

    def state(self: object) -> tuple[object, ...]:
        return values_of(self)

    def restore(self: object, state: tuple[object, ...]) -> None:
        for name, value in zip(names, state, strict=True):
            _set(self, name, value)

    return {
        "__init__": init,
        "__eq__": equal,
        "__hash__": hashed,
        "__repr__": shown,
        "__setattr__": refuse,
        "__delattr__": refuse,
        "__getstate__": state,  # copying and pickling would set attributes
        "__setstate__": restore,
    }


def _getter(names: tuple[str, ...]) -> Callable[[object], tuple[object, ...]]:
    """What takes the values out of an instance."""
    if len(names) > 1:
        return attrgetter(*names)
    return lambda self: tuple([getattr(self, name) for name in names])
