"""`python -m oomlang`."""

from __future__ import annotations

from oomlang.cli import main

if __name__ == "__main__":
    main()
