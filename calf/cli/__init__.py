"""The command line. Exit codes:

- 0 done; 1 done, but some judgments failed; 2 a user's mistake; 3 stopped early, the same command continues;
- 130 interrupted, the same command continues; 70 an error of CALF's own.
"""

from __future__ import annotations

import io
import os
import sys

from calf.errors import CalfError

__all__ = ["main"]


def main() -> None:
    """Runs the command line and exits."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that cannot show a character shows a question mark
    try:
        from calf.cli.app import app

        app()
    except CalfError as error:
        print("calf:", *str(error).split("\n"), file=sys.stderr)  # noqa: T201  # this is the place where errors are shown
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader has gone; say nothing more
        sys.exit(1)
    except OSError as error:  # a disk that is full, a folder that cannot be read: the user's to mend
        where = "" if error.filename is None else f" {error.filename}:"
        print(f"calf:{where} {error.strerror or error}", file=sys.stderr)  # noqa: T201  # as above
        sys.exit(2)
    except Exception:  # a mistake of ours: show it whole
        import traceback

        traceback.print_exc()
        print("calf: this is an error of CALF's own; please report it with the lines above", file=sys.stderr)  # noqa: T201  # as above
        sys.exit(70)
