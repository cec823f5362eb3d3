"""The kernel's OOM reports out of its log, however that was kept.

In: what `dmesg`, `journalctl -k` or syslog wrote, plain or compressed. Out: `Report`s.
"""

from oomlang.host.reports.model import Counter, Kill, Report, TaskRow
from oomlang.host.reports.scan import read_reports
from oomlang.host.reports.streams import LogError

__all__ = ["Counter", "Kill", "LogError", "Report", "TaskRow", "read_reports"]
