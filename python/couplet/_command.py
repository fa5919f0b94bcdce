"""The `couplet` command."""

from __future__ import annotations

import os
import signal
import sys

from couplet._couplet import run_command


def main() -> int:
    """Runs the command with the arguments of the process."""
    # Python's own handlers answer only between two of its instructions, and here there are none.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    # Where there is no session, libwayland, which Mesa loads, would print an error in our name.
    os.environ.setdefault("XDG_RUNTIME_DIR", "/nonexistent")
    stdout_is_closed = sys.stdout is None
    _open_standard_streams()
    return run_command(["couplet", *sys.argv[1:]], stdout_is_closed)


def _open_standard_streams() -> None:
    """Opens those that are closed, to nothing: the next file would take their numbers, and what is written to them."""
    for stream in range(3):
        try:
            os.fstat(stream)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
