"""The running kernel and what is loaded into it: libbpf, pins, what this machine offers, and whether a kernel fits.

Nothing here knows the language or a target: what there is to know of a policy stands in its object's metadata.
"""

from __future__ import annotations
