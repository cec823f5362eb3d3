"""The intermediate representation: guards and keys, with one written meaning that every target shares.

In: nothing. Out: `nodes` (what a policy is, for targets), `reach` (what its rules say together) and `text` (a printed form).
"""
