"""Syntax tree → typed policy: names, types, units, intervals, test blocks.

In: `tree.Policy`. Out: `model.Policy` in which every expression has a type and an interval that it cannot leave, and
diagnostics for everything that is wrong.
"""
