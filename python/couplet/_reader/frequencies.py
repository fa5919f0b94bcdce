"""The probabilities of levels: smoothed frequencies in a chain."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from couplet._reader.library import Library, Random, Tensor


class Frequencies:
    """The distribution of some columns of levels, perhaps given others, which follow them."""

    def __init__(self, chain: list[dict[str, Any]], levels: list[int], tensors: Mapping[str, NDArray[np.float64]]) -> None:
        self._chain, self._levels = chain, levels
        rows = tensors["frequencies.levels"]
        #: The different rows of levels, column by column a column for each level; and how many there are of each.
        self.constants = {"frequencies.counts": tensors["frequencies.counts"]}
        for j, count in enumerate(levels):
            self.constants[f"frequencies.{j}"] = (rows[:, j : j + 1] == np.arange(count)).astype(np.float64)

    def log_prob(self, o: Library, a: Mapping[str, Tensor], levels: Tensor) -> Tensor:
        """The log-probability of the modelled levels of each row, given the others."""
        log_prob = 0.0
        for j in range(len(self._chain)):
            all_levels = self._probabilities(o, a, j, [levels[:, i] for i in range(levels.shape[1])])
            is_it = self._one_hot(o, a, j, levels[:, j])
            log_prob = log_prob + o.xp.log(o.xp.sum(all_levels * is_it, axis=1))
        return log_prob

    def sample(self, o: Library, a: Mapping[str, Tensor], given: Tensor, random: Random) -> Tensor:
        """Modelled levels for each row of given ones."""
        rows = given.shape[0]
        uniform = random.uniform(rows, len(self._chain))
        modelled: list[Tensor] = []
        of_given = [given[:, i] for i in range(given.shape[1])]
        for j in range(len(self._chain)):
            unknown = [None] * (len(self._chain) - j)
            below = o.xp.cumsum(self._probabilities(o, a, j, [*modelled, *unknown, *of_given], rows), axis=1)
            modelled.append(o.real(o.xp.sum(uniform[:, j : j + 1] >= below[:, :-1], axis=1), uniform))
        return o.xp.stack(modelled, axis=1)

    def _one_hot(self, o: Library, a: Mapping[str, Tensor], j: int, levels: Tensor) -> Tensor:
        counts = a["frequencies.counts"]
        return o.real(levels[:, None] == o.real(o.range(self._levels[j], counts), levels)[None, :], counts)

    def _probabilities(
        self, o: Library, a: Mapping[str, Tensor], j: int, levels: list[Tensor | None], rows: int | None = None
    ) -> Tensor:
        """The probability of each level of a column, given the levels of others in each row."""
        xp, counts, of_column = o.xp, a["frequencies.counts"], a[f"frequencies.{j}"]
        if rows is None:
            first = levels[0]
            assert first is not None
            rows = first.shape[0]
        p = xp.broadcast_to(xp.ones_like(of_column[:1, :]) / self._levels[j], (rows, self._levels[j]))
        # Which of the different rows have the levels of the columns so far.
        is_equal = xp.broadcast_to(xp.ones_like(counts[None, :]), (rows, counts.shape[0]))
        parents = [None, *self._chain[j]["given"]]
        for parent, smoothing in zip(parents, self._chain[j]["smoothing"], strict=True):
            if parent is not None:
                is_equal = is_equal * (self._one_hot(o, a, parent, levels[parent]) @ a[f"frequencies.{parent}"].T)
            n = (is_equal * counts[None, :]) @ of_column
            total = xp.sum(n, axis=1)[:, None]
            # Where no row has them, the coarser frequencies stand.
            p = (n + smoothing * p) / (total + smoothing)
        return p
