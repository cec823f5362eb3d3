"""Binary formats: ELF, BTF, BPF instructions, and what an object of ours says about itself.

In: bytes of any origin. Out: plain frozen records, or a `BadFormat`. Nothing here asks the machine anything: the compiler,
`inspect` and the loader read objects with it, and `--kernel` reads a kernel's types.
"""

from __future__ import annotations


class BadFormat(Exception):
    """The bytes are not what they should be; `str()` says what is wrong, as a clause without a full stop."""
