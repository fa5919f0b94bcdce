"""Which numbers stand for all those of a cell."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

#: Numbers of a cell, for one column with cells in a row, for two, and for three; of each a few in cells narrower than the
#: first of `WIDTHS`, more in those narrower than the second, and the last in others. Of more columns points of a lattice.
_NODES = [[8, 24, 48], [4, 8, 12], [3, 4, 6]]
WIDTHS = [0.2, 1.0]
POINTS = 128
GENERATOR = 37
#: Cells narrower than this, as flows see them, have the density of their middles.
NARROW = 0.02


def cell_tables() -> dict[str, NDArray[np.float64]]:
    """What stands for all numbers of a cell: row 3 i + l has the rule for i + 1 columns with cells and level l of their width,
    row 9 the lattice. `cells.at` are numbers from 0 to 1, `cells.from_above` and `cells.from_below` the same as deviations in
    cells without a lower and an upper end, `cells.log_weight` and `cells.count` what they count for and how many there are."""
    at, log_weight, count = np.full((10, POINTS), 0.5), np.zeros((10, POINTS)), np.zeros(10)
    for i, nodes in enumerate(_NODES):
        for level, number in enumerate(nodes):
            x, weight = np.polynomial.legendre.leggauss(number)
            # From 0 on up, as the command has them.
            at[3 * i + level, :number] = 0.5 * (1.0 + x)
            log_weight[3 * i + level, :number] = np.log(0.5 * weight)
            count[3 * i + level] = number
    lattice = (np.arange(POINTS) + 0.5) / POINTS
    at[9], log_weight[9], count[9] = 1.0 - np.abs(2.0 * lattice - 1.0), -math.log(POINTS), POINTS
    normal = np.vectorize(NormalDist().inv_cdf)
    return {
        "cells.at": at,
        "cells.from_above": normal(0.5 * at),
        "cells.from_below": normal(0.5 * (1.0 - at)),
        "cells.log_weight": log_weight,
        "cells.count": count,
    }


def most_points(columns: int) -> int:
    """The most numbers that stand for the cells of a row with so many columns that have cells."""
    products: list[int] = [nodes[-1] ** (i + 1) for i, nodes in enumerate(_NODES[:columns])]
    return max([1, *products, *([POINTS] if columns > len(_NODES) else [])])
