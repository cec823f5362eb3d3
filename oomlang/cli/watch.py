"""`oomlang watch`: a line for what the policy in force counts, as it counts it."""

from __future__ import annotations

import time
from collections.abc import Mapping

import click

from oomlang.cli import streams
from oomlang.cli.failures import ENVIRONMENT, Failure
from oomlang.cli.loading import kernel_failures, pin_option, pins_at, time_text
from oomlang.cli.status import COUNTERS, GUARDS

_EPILOG = """\b
Examples:
  oomlang watch
  oomlang watch --interval 0.1
  oomlang watch --count 1 && notify-send "the OOM killer ran"
"""


@click.command("watch", epilog=_EPILOG)
@click.option(
    "--interval", type=click.FloatRange(0.01, 3600), default=0.5, show_default=True, metavar="SECONDS",
    help="How often to look. Events that fall into one interval are counted in one line.",
)  # fmt: skip
@click.option("--count", type=click.IntRange(1), metavar="N", help="End after N lines.")
@pin_option
def command(interval: float, count: int | None, pin: str) -> None:
    """Follow the OOM events that the policy in force decides.

    It shows what was counted; whom the kernel killed stands in the kernel's log.
    """
    from oomlang.kernel.status import policy_in_force, read_counters

    pins = pins_at(pin)
    shown = 0
    before: dict[str, int] = {}
    generation = 0
    while count is None or shown < count:
        with kernel_failures():
            policy = policy_in_force(pins)
            if policy is None:
                raise Failure("no policy is in force", mend="load one: oomlang load POLICY", code=ENVIRONMENT)
            now = _flat(read_counters(pins, policy))
        if policy.generation != generation:
            generation, before = policy.generation, now
            streams.say_text(f'policy "{policy.name}"\n')
        if now["events"] != before["events"]:
            streams.print_text(_line(before, now))
            streams.flush()
            shown += 1
            before = now
        else:
            time.sleep(interval)


def _line(before: Mapping[str, int], now: Mapping[str, int]) -> str:
    grown = {name: now[name] - before.get(name, 0) for name in now}
    words = [f"{grown.pop('events')} OOM events"]
    texts = {**COUNTERS, **GUARDS}
    words += [f"{number} {texts.get(name, name)}" for name, number in grown.items() if number]
    return f"{time_text(time.time())}  {', '.join(words)}\n"


def _flat(counters: Mapping[str, int | Mapping[str, int]]) -> dict[str, int]:
    """Guards beside the other counters."""
    found: dict[str, int] = {}
    for name, value in counters.items():
        found.update(value if isinstance(value, Mapping) else {name: value})
    return found
