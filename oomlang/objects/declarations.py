"""BTF types written as C declarations, for messages.

In: a type id and a name to declare. Out: `struct task_struct *task`. What a reader does not need is
shortened: anonymous types are `{…}`, the parameters of a function pointer `(…)`, type tags are left out.
"""

from __future__ import annotations

from oomlang.objects.type_table import MODIFIERS, BtfError, Kind, TypeTable

_MAX_NESTING = 32
_WORDS = {
    Kind.STRUCT: "struct ",
    Kind.UNION: "union ",
    Kind.FWD: "struct ",
    Kind.ENUM: "enum ",
    Kind.ENUM64: "enum ",
}


def declare(table: TypeTable, type_id: int, name: str = "") -> str:
    """A type as C writes it, with `name` where a declaration has it. Errors: `BtfError` for nesting without
    end.
    """
    for _ in range(_MAX_NESTING):
        match table.kind(type_id):
            case Kind.PTR:
                name = f"*{name}"
                type_id = table.target(type_id)
                if table.kind(table.skip_modifiers(type_id, MODIFIERS)) in (Kind.ARRAY, Kind.FUNC_PROTO):
                    name = f"({name})"
            case Kind.ARRAY:
                shape = table.array(type_id)
                name = f"{name}[{shape.length or ''}]"
                type_id = shape.element_type
            case Kind.FUNC_PROTO:
                name = f"{name}(…)"
                type_id = table.target(type_id)
            case Kind.TYPE_TAG:
                type_id = table.target(type_id)
            case Kind.CONST | Kind.VOLATILE | Kind.RESTRICT as kind:
                qualifier = kind.name.lower()
                type_id = table.target(type_id)
                # A qualifier of a pointer stands behind its star; anywhere else it reads better in front.
                if table.kind(table.skip_modifiers(type_id, MODIFIERS)) != Kind.PTR:
                    return f"{qualifier} {declare(table, table.skip_modifiers(type_id, MODIFIERS), name)}"
                name = f"{qualifier} {name}".rstrip()
            case kind:
                own = "void" if kind == Kind.VOID else table.name(type_id) or "{…}"
                return f"{_WORDS.get(kind, '')}{own} {name}".rstrip()
    raise BtfError(f"types are nested more than {_MAX_NESTING} deep, or in a ring")
