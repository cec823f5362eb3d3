"""The running kernel and what is loaded into it: BTF, libbpf, pins, and what this machine offers.

Nothing here knows a policy or the language; this package imports `oomlang.diagnostics` and nothing else of
oomlang.
"""

from __future__ import annotations
