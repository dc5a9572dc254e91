"""CALF: which automatic metrics for long-form answers agree with people.

    >>> import calf
    >>> run = calf.evaluate("rouge-l", "sample")
    >>> run.table()

Everything heavy is imported when it is used.
"""

from __future__ import annotations

__version__ = "0.1.0"
