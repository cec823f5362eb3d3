"""OOM events of the past decided again, by a policy.

In: the kernel's reports (`oomlang.host.reports`) and the IR of a policy. Out: what the policy would have done, how that
stands to what the kernel did, and a summary.
"""

from oomlang.replay.events import Outcome, Replayed, Summary, replay
from oomlang.replay.machines import machine, total_bounds, why_no_total

__all__ = ["Outcome", "Replayed", "Summary", "machine", "replay", "total_bounds", "why_no_total"]
