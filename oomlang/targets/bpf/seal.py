"""The digest that an object carries of itself, so that a changed byte is noticed.

In: an object whose section `.oomlang` has room for it (`UNSEALED`). Out: the same with the SHA-256 of the whole file, taken
while that room was still unwritten. It tells damage and tampering by accident; whoever wants to forge an object can seal
it again.
"""

from __future__ import annotations

import hashlib

from oomlang.objects.elf import ElfError, read_object

UNSEALED = "0" * 64
"""What stands in the metadata's `digest` before sealing."""

_SECTION = ".oomlang"
_KEY = b'"digest":"'  # a quotation mark inside a string of JSON has a backslash before it, so nothing else reads so


def seal(image: bytes) -> bytes:
    """The image with its digest. Errors: `ValueError` for an image without room for one."""
    at = _place(image)
    if at is None or image[at : at + len(UNSEALED)] != UNSEALED.encode():
        raise ValueError("the object has no room for its digest")
    return image[:at] + hashlib.sha256(image).hexdigest().encode() + image[at + len(UNSEALED) :]


def digest(image: bytes) -> str | None:
    """The digest that an image says it has; None for none."""
    at = _place(image)
    return None if at is None else image[at : at + len(UNSEALED)].decode("ascii", "replace")


def is_intact(image: bytes) -> bool:
    """Whether an image has the digest that it says it has."""
    at = _place(image)
    if at is None:
        return False
    unsealed = image[:at] + UNSEALED.encode() + image[at + len(UNSEALED) :]
    return image[at : at + len(UNSEALED)] == hashlib.sha256(unsealed).hexdigest().encode()


def _place(image: bytes) -> int | None:
    """Where the digest begins."""
    try:
        elf = read_object(image)
        section = elf.section(_SECTION)
        content = elf.contents(section) if section is not None else b""
    except ElfError:
        return None
    if section is None or content.count(_KEY) != 1:
        return None
    at = content.index(_KEY) + len(_KEY)
    return section.offset + at if at + len(UNSEALED) <= len(content) else None
