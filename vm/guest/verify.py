"""Runs in the guest: does this kernel's verifier take an object?

    verify.py OBJECT...

Out: JSON, by path: null for a load that went well, else libbpf's or the verifier's words.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from oomlang.kernel.libbpf import LibbpfError, open_object


def main() -> None:
    """Load each object, attach nothing."""
    said: dict[str, str | None] = {}
    for path in sys.argv[1:]:
        try:
            with open_object(Path(path).read_bytes(), name="verify") as loaded:
                loaded.load()
            said[path] = None
        except LibbpfError as error:
            said[path] = str(error)
    json.dump(said, sys.stdout)


if __name__ == "__main__":
    main()
