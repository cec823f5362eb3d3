"""What a text literal looks like, for all that look at a policy's characters before or without parsing it."""

TEXT = r'"[^"\\\n]*+(?:\\[^\n][^"\\\n]*+)*+'
"""A pattern: a text literal up to its closing quote, or to the end of the line where it has none.

Possessive (`*+`): nothing is given back. A plain `*` keeps a state for each character, hundreds of bytes each.
"""
