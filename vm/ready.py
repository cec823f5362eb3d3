"""The command line of vm/prepare: packages, the test kernel, Debian's kernel and the guest's image.

After it no test has to wait for any of them, and none is skipped for want of a package.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence

from vm import debian, image, kernel
from vm.machine import (
    EXIT_ENVIRONMENT,
    EXIT_OURS,
    BuildFailed,
    EnvironmentLacks,
    end_like_an_interrupt,
    install_packages,
    say,
)
from vm.recipe import FRAGMENTS


def main(argv: Sequence[str] | None = None) -> int:
    """Exit with 3 if this machine lacks something, with 4 if what we build does not build."""
    parser = argparse.ArgumentParser(
        prog="vm/prepare", description="Get ready all that the tests in virtual machines need."
    )
    parser.parse_args(argv)
    end_like_an_interrupt()
    try:
        install_packages(tuple(dict.fromkeys((*kernel.PACKAGES, *debian.PACKAGES, *image.PACKAGES))))
        flavour = os.environ.get("OOMLANG_FLAVOUR", "")
        kernel.ensure(flavour if flavour in FRAGMENTS else "default")
        debian.ensure()
        image.ensure()
    except EnvironmentLacks as exc:
        say(str(exc))
        return EXIT_ENVIRONMENT
    except BuildFailed as exc:
        say(str(exc))
        return EXIT_OURS
    return 0
