"""What a density asks of an array library."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

#: An array of the library's.
Tensor = Any


class Library(Protocol):
    """An array library."""

    @property
    def xp(self) -> Any:
        """torch or jax.numpy."""

    def real(self, x: Tensor, like: Tensor) -> Tensor:
        """Numbers of any type as those of `like`."""

    def range(self, count: int, like: Tensor) -> Tensor:
        """The whole numbers below `count`."""

    def take(self, x: Tensor, index: Tensor) -> Tensor:
        """The numbers with these indices along the last axis."""

    def entries(self, table: Tensor, *indices: Tensor) -> Tensor:
        """The entries of a table with these indices, one for each of its axes."""

    def solve(self, triangle: Tensor, rows: Tensor, upper: bool) -> Tensor:
        """y of T y = x for each row x; of a triangle, or of several with rows for each."""

    def log_sum_exp(self, x: Tensor) -> Tensor:
        """Over the first axis."""

    def normal_cdf(self, x: Tensor) -> Tensor:
        """The standard normal distribution function."""


class Random(Protocol):
    """Where a sample's numbers come from."""

    def uniform(self, rows: int, columns: int) -> Tensor:
        """Numbers from 0 to 1, excluding both."""

    def normal(self, rows: int, columns: int) -> Tensor:
        """Standard normal numbers."""


def zero(o: Library, a: Mapping[str, Tensor]) -> Tensor:
    """0 [1], of the type and on the device of a model's arrays."""
    return o.xp.zeros_like(next(iter(a.values())).reshape(-1)[:1])
