"""A decision in words, as data and as a page: what `test`, `explain` and `replay` show of it.

In: a `Decision` of the interpreter. Out: sentences fit for a terminal (`Words`), a plain structure for programs
(`structure`), and an `Explanation` that holds everything somebody may want to know about one event.
"""

from oomlang.explanation.readable import name_text, path_text, quantities, quantity, size
from oomlang.explanation.reasons import Words

__all__ = ["Words", "name_text", "path_text", "quantities", "quantity", "size"]
