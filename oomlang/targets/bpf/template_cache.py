"""The byte code of the templates, kept in the user's cache folder under the hash of their text.

It only saves time: where the folder cannot be written or read, nothing is kept, and nobody has to hear of it.
"""

from __future__ import annotations

import os
from contextlib import suppress

from jinja2 import FileSystemBytecodeCache
from jinja2.bccache import Bucket

from oomlang.data import cache_path


class _TemplateCache(FileSystemBytecodeCache):
    def load_bytecode(self, bucket: Bucket) -> None:
        with suppress(OSError):
            super().load_bytecode(bucket)

    def dump_bytecode(self, bucket: Bucket) -> None:
        with suppress(OSError):
            super().dump_bytecode(bucket)


def template_cache() -> FileSystemBytecodeCache | None:
    """The cache, or None where there can be none."""
    folder = cache_path("templates")
    if folder is None:
        return None
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
    except OSError:
        return None
    return _TemplateCache(folder)
