from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TextIO


@dataclass(frozen=True)
class Progress:
    """How far a fit is."""

    #: Steps taken, and those that there are at most: of all flows of an ensemble together.
    step: int
    steps: int
    #: Mean loss of the latest steps, and the loss of the rows held out, if any, in nats.
    nll: float
    validation_nll: float | None
    #: Time since training began.
    seconds: float

    def __str__(self) -> str:
        held_out = "" if self.validation_nll is None else f", held out {self.validation_nll:.4f}"
        return f"step {self.step:,} of {self.steps:,}: NLL {self.nll:.4f}{held_out} nats, {self.seconds:.0f} s"


class Line:
    """Shows progress in one line of a terminal, again and again; in a file now and then, in a line each."""

    #: Seconds between two lines of a file.
    INTERVAL = 10.0

    def __init__(self, out: TextIO | None = None) -> None:
        self._out = sys.stderr if out is None else out
        self._is_terminal = self._out.isatty()
        self._width = 0
        self._shown_at = 0.0

    def __call__(self, progress: Progress) -> None:
        line = str(progress)
        if self._is_terminal:
            self._write("\r" + line.ljust(self._width))
            self._width = len(line)
        elif progress.seconds >= self._shown_at + self.INTERVAL or progress.step == progress.steps:
            self._write(line + "\n")
            self._shown_at = progress.seconds

    def end(self) -> None:
        """Leaves the line as it is."""
        if self._width > 0:
            self._write("\n")

    def _write(self, text: str) -> None:
        self._out.write(text)
        self._out.flush()


class Notebook:
    """Shows progress below the cell of a notebook."""

    def __init__(self, display: Any) -> None:
        self._display = display
        self._handle: Any = None

    def __call__(self, progress: Progress) -> None:
        bar = f"<progress value={progress.step} max={max(progress.steps, 1)}></progress> {progress}"
        shown = self._display.HTML(bar)
        if self._handle is None:
            self._handle = self._display.display(shown, display_id=True)
        else:
            self._handle.update(shown)

    def end(self) -> None:
        """Leaves it as it is."""


def reporter(wish: bool | Callable[[Progress], object] | None) -> Reporter:
    """What shows the progress of a fit: as a user asks, where the user looks."""
    if callable(wish):
        return Reporter(wish, None)
    if not wish:
        return Reporter(None, None)
    show = _notebook() or Line()
    return Reporter(show, show)


def _notebook() -> Notebook | None:
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    # Only a kernel, not IPython in a terminal, has this trait.
    if not hasattr(shell, "kernel"):
        return None
    import IPython.display as display

    return Notebook(display)


class Reporter:
    """Turns what the native half says into calls of a function."""

    def __init__(self, function: Callable[[Progress], object] | None, shown: Line | Notebook | None) -> None:
        self._function = function
        self._shown = shown
        self._begin = time.monotonic()

    def __call__(self, step: int, steps: int, nll: float, validation_nll: float | None) -> bool:
        """Whether the function asks for the end."""
        if self._function is None:
            return False
        seconds = time.monotonic() - self._begin
        return self._function(Progress(step, steps, nll, validation_nll, seconds)) is True

    def end(self) -> None:
        """There will be no more."""
        if self._shown is not None:
            self._shown.end()
