"""The names of a policy: what is declared, and what a name in an expression means."""

from __future__ import annotations

from dataclasses import dataclass, field

from oomlang.facts import FACTS, Type
from oomlang.operations import FUNCTIONS
from oomlang.semantics import model
from oomlang.syntax import tree
from oomlang.syntax.suggest import did_you_mean

INPUT_TYPES = {t.value: t for t in (Type.INT, Type.BYTES, Type.RATIO, Type.DURATION, Type.BOOL)}

# Words that begin statements or stand inside them: a let or an input of that name would read badly.
WORDS = frozenset(
    [
        "oomlang",
        "policy",
        "input",
        "per",
        "let",
        "kernel",
        "decides",
        "kill",
        "nothing",
        "never",
        "first",
        "last",
        "highest",
        "lowest",
        "each",
        "depth",
        "test",
        "memory",
        "order",
        "scope",
        "invoker",
        "set",
        "memcg",
        "task",
        "expect",
        "victim",
        "safe",
        "none",
        "oom",
    ]
)


@dataclass(slots=True)
class Names:
    """What the policy declares. `broken` holds names whose declaration could not be read or typed: their uses say
    nothing more.
    """

    inputs: dict[str, model.Input] = field(default_factory=dict)
    lets: dict[str, tree.Let] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)
    used: set[str] = field(default_factory=set)

    def known(self) -> list[str]:
        """All names that an expression could have meant."""
        return [*FACTS, *self.inputs, *self.lets]

    def knows(self, name: str) -> bool:
        """Whether a name is a fact or declared, rightly or not."""
        return name in FACTS or name in self.inputs or name in self.lets or name in self.broken

    def suggestion(self, name: str) -> str:
        """How to mend an unknown name."""
        if name == "memcg.path":
            return "write `memcg under …`"
        if name in _FOREIGN:
            return f"write `{_FOREIGN[name]}`"
        if name in FUNCTIONS:
            return f"`{name}` is a function: {name}(…)"
        return did_you_mean(name, self.known()) or "`oomlang facts` lists what a policy can ask"


# Names of the same thing elsewhere: cgroupfs, /proc, OOM reports, the kernel's structures.
_FOREIGN = {name: fact.name for fact in FACTS.values() for name in fact.elsewhere}
