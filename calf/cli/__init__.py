"""The command line. Exit codes:

- 0 done; 1 done, but some judgments failed; 2 a user's mistake; 3 stopped early, the same command continues;
- 130 interrupted, the same command continues; 70 an error of CALF's own.
"""

from __future__ import annotations

import os
import sys

from calf.errors import CalfError

__all__ = ["main"]


def main() -> None:
    """Runs the command line and exits."""
    try:
        from calf.cli.app import app

        app()
    except CalfError as error:
        print(f"calf: {error}", file=sys.stderr)  # noqa: T201  # this is the place where errors are shown
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader has gone; say nothing more
        sys.exit(1)
    except Exception:  # a mistake of ours: show it whole
        import traceback

        traceback.print_exc()
        print("calf: this is an error of CALF's own; please report it with the lines above", file=sys.stderr)  # noqa: T201  # as above
        sys.exit(70)
