"""What went wrong and where: spans, diagnostics and the exception roots.

In: nothing. Out: the types that every other layer reports with. `catalogue` holds a page for each code,
`render` turns diagnostics into text, JSON and SARIF; neither is imported unless something has to be shown.
"""

from oomlang.diagnostics.codes import Code
from oomlang.diagnostics.model import (
    Diagnostic,
    Diagnostics,
    EnvironmentLacks,
    InternalError,
    Label,
    OomlangError,
    Source,
    Span,
)

__all__ = [
    "Code",
    "Diagnostic",
    "Diagnostics",
    "EnvironmentLacks",
    "InternalError",
    "Label",
    "OomlangError",
    "Source",
    "Span",
]
