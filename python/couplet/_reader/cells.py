"""Which numbers stand for all those of a cell."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

#: Numbers of a cell, for one column with cells in a row, for two, and for three; of each a few in cells narrower than the
#: first of `WIDTHS`, more in those narrower than the next, and the last in those without an end. Of more columns points of a
#: lattice.
_NODES = [[8, 24, 48, 48], [4, 8, 16, 24], [4, 6, 8, 12]]
WIDTHS = [0.2, 0.5, math.inf]
LEVELS = len(WIDTHS) + 1
LATTICE = LEVELS * len(_NODES)
POINTS = 128
GENERATOR = 37
#: Cells narrower than this, as flows see them, have the density of their middles.
NARROW = 0.02


def cell_tables() -> dict[str, NDArray[np.float64]]:
    """What stands for all numbers of a cell: row LEVELS * i + l has the rule for i + 1 columns with cells and level l of
    their width, row LATTICE the lattice. `cells.at` are numbers from 0 to 1, `cells.steps` the same as steps from the inner
    end of a cell without another, `cells.log_weight` and `cells.count` what they count for and how many there are."""
    rules = LATTICE + 1
    at, log_weight, count = np.full((rules, POINTS), 0.5), np.zeros((rules, POINTS)), np.zeros(rules)
    for i, nodes in enumerate(_NODES):
        for level, number in enumerate(nodes):
            x, weight = np.polynomial.legendre.leggauss(number)
            # From 0 on up, as the command has them.
            rule = LEVELS * i + level
            at[rule, :number] = 0.5 * (1.0 + x)
            log_weight[rule, :number] = np.log(0.5 * weight)
            count[rule] = number
    lattice = (np.arange(POINTS) + 0.5) / POINTS
    at[LATTICE], log_weight[LATTICE], count[LATTICE] = 1.0 - np.abs(2.0 * lattice - 1.0), -math.log(POINTS), POINTS
    return {
        "cells.at": at,
        "cells.steps": -np.log1p(-at),
        "cells.log_weight": log_weight,
        "cells.count": count,
    }


def most_points(columns: int) -> int:
    """The most numbers that stand for the cells of a row with so many columns that have cells."""
    products: list[int] = [nodes[-1] ** (i + 1) for i, nodes in enumerate(_NODES[:columns])]
    return max([1, *products, *([POINTS] if columns > len(_NODES) else [])])
