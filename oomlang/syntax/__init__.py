"""Text → syntax tree, and text → the same text in the house format.

In: the bytes of a policy. Out: `tree.Policy` and diagnostics (`parse`), or the formatted text (`printer`).
"""
