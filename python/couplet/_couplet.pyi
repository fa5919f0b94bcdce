"""The native half of the package."""

import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

__version__: str

__all__ = [
    "Flow",
    "Picture",
    "Reader",
    "Table",
    "__version__",
    "calibration",
    "fit",
    "has_gpu",
    "pictures",
    "run_command",
    "settings",
]

_Array = NDArray[np.float64]

@final
class Table:
    """A table to fit to."""

    @staticmethod
    def from_blocks(blocks: Iterable[_Array], rows: int, columns: int) -> Table:
        """Of blocks of rows, `rows` in all."""

    @staticmethod
    def join(tables: list[Table], prefixes: list[str]) -> Table:
        """The columns of several tables side by side."""

    @property
    def columns(self) -> list[str]:
        """The names of the columns."""

    def __len__(self) -> int: ...

@final
class Reader:
    """A table whose columns have names, and perhaps categories, read part by part."""

    def __new__(
        cls,
        source: Any,
        name: str,
        *,
        given: list[str] | None = ...,
        weights: str | None = None,
        categories: list[str] = ...,
        flow: Flow | None = None,
        columns: str = ...,
    ) -> Reader: ...
    def read(self) -> tuple[Table, list[str]]:
        """All of it, to fit to, and what the user should know of how it was read."""

    def __iter__(self) -> Iterator[_Array]: ...
    def __next__(self) -> _Array: ...

@final
class Flow:
    """A trained flow."""

    @staticmethod
    def load(path: str | os.PathLike[str], device: str, threads: int | None) -> Flow:
        """Reads a model file."""

    @staticmethod
    def from_bytes(file: bytes, device: str, threads: int | None) -> Flow:
        """Of the bytes of a model file."""

    def to_bytes(self) -> bytes:
        """The bytes of its model file."""

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the model file atomically."""

    @property
    def columns(self) -> list[str]:
        """The names of the modelled columns."""

    @property
    def order(self) -> list[int]:
        """Where they stand in the table that it was fitted to: its first column, its second, ..."""

    @property
    def kinds(self) -> list[tuple[list[str], str]]:
        """The levels of each of them, none of one of numbers, and its kind."""

    @property
    def context_columns(self) -> list[str]:
        """The names of the columns of context."""

    @property
    def named(self) -> bool:
        """Whether the names come from the table that it was fitted to."""

    def settings(self) -> str:
        """The settings that it was trained with, as JSON."""

    def log_prob(self, rows: _Array, given: _Array) -> _Array:
        """The log-density of each row, in nats."""

    def sample(self, first: int, end: int, seed: int, given: _Array) -> _Array:
        """Rows of the sample of a seed."""

    def forward(self, rows: _Array, given: _Array) -> tuple[_Array, _Array]:
        """The latent of each row, and log |det dz/dx|."""

    def inverse(self, z: _Array, given: _Array) -> _Array:
        """The rows that latents come from."""

    def spread(self, rows: _Array, given: _Array) -> _Array:
        """The standard deviation of each row's log-density over the flows of an ensemble."""

    def cdf(self, rows: _Array, given: _Array) -> _Array:
        """The probability below each number, of a flow over one column."""

    def quantiles(self, given: _Array, probabilities: list[float]) -> _Array:
        """A row of quantiles for each row of context, of a flow over one column."""

    def mean(self, given: _Array) -> _Array:
        """The mean given each row of context, of a flow over one column."""

@final
class Picture:
    """A picture of a flow. A notebook shows it."""

    @property
    def name(self) -> str:
        """A word for what it is: corner, density, latent, ..."""

    @property
    def caption(self) -> str:
        """What it shows, in a sentence or two."""

    def svg(self) -> str:
        """The picture as an SVG document."""

    def png(self, scale: float = 2.0) -> bytes:
        """The picture as a PNG file, with `scale` pixels for each unit of the SVG."""

    def save(self, path: str | os.PathLike[str], *, scale: float = 2.0) -> None:
        """Writes it to a file, which is a PNG if its name ends so, with `scale` pixels for each unit of the SVG."""

    def _repr_svg_(self) -> str: ...

def fit(
    table: Table,
    settings: str,
    *,
    given: list[str],
    weights: str | None,
    start: Flow | None,
    threads: int | None,
    on_event: Callable[..., bool],
) -> tuple[Flow | None, dict[str, Any] | None, BaseException | None]:
    """Fits a flow to a table."""

def pictures(flow: Flow, rows: _Array | None, contexts: _Array | None, columns: list[int]) -> list[Picture]:
    """The pictures that there can be of a flow, in the order to look at them."""

def calibration(label: str, caption: str, probabilities: _Array) -> Picture:
    """A picture of probabilities that are uniform where a model is calibrated: a histogram that is flat then."""

def settings() -> list[tuple[str, str, str]]:
    """The settings of a configuration, in its order: key, what it takes, what it is."""

def has_gpu() -> bool:
    """Whether there is a hardware GPU."""

def run_command(args: list[str], stdout_is_closed: bool) -> int:
    """The command line: returns its exit code."""
