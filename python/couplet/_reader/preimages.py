"""The real numbers that become those of a table, and what each counts for."""

from __future__ import annotations

import math
from collections.abc import Mapping

from couplet._reader.cells import GENERATOR, LATTICE, LEVELS, NARROW, POINTS, WIDTHS, cell_tables, most_points
from couplet._reader.library import Library, Tensor, zero
from couplet._reader.preprocessing import Preprocessing


class Preimages:
    """Of columns that hold other than any real numbers."""

    def __init__(self, preprocessing: Preprocessing) -> None:
        self._preprocessing, self._kinds = preprocessing, preprocessing.kinds
        self._cells = [j for j, column in enumerate(self._kinds) if column.has_cells]
        self.constants = cell_tables() if self._cells else {}

    def some_row(self, o: Library, a: Mapping[str, Tensor]) -> Tensor:
        """A row of the support."""
        middle = a.get("x.mean")
        of_columns = []
        for j, column in enumerate(self._kinds):
            y = zero(o, a) if middle is None else middle[j : j + 1]
            of_columns.append(column.image(o.xp, column.from_line(o.xp, y)))
        return o.xp.stack(of_columns, axis=1)

    def of(self, o: Library, a: Mapping[str, Tensor], x: Tensor) -> tuple[Tensor, Tensor]:
        """Real numbers that become those of each row [rows, points, columns], and the logarithms of what they count for."""
        xp = o.xp
        v = [x[:, j : j + 1] for j in range(len(self._kinds))]
        log_weight = xp.zeros_like(v[0])
        if self._cells:
            log_weight = self._fill_cells(o, a, v)
        points = log_weight.shape[1]
        v = [xp.broadcast_to(it, (x.shape[0], points)) for it in v]
        for j, column in enumerate(self._kinds):
            images, factors = [v[j]], [xp.zeros_like(log_weight)]
            if column.kind == "circular":
                turned = column.wrapped(xp, column.cut, v[j])
                images = [turned - column.period, turned, turned + column.period]
                factors = 3 * factors
            elif column.edge > 0.0:
                for bound in (column.low, column.high):
                    if bound is not None:
                        is_near = xp.abs(v[j] - bound) < column.edge
                        images.append(xp.where(is_near, 2.0 * bound - v[j], v[j]))
                        factors.append(xp.where(is_near, 0.0, -math.inf) + factors[0])
            if len(images) > 1:
                v = [xp.concatenate(images if k == j else [it] * len(images), axis=1) for k, it in enumerate(v)]
                log_weight = xp.concatenate([log_weight + factor for factor in factors], axis=1)
        return xp.stack(v, axis=2), log_weight

    def _fill_cells(self, o: Library, a: Mapping[str, Tensor], v: list[Tensor]) -> Tensor:
        """Puts numbers of the cells in place of those that have cells, by Gauss and Legendre's rule or a lattice; the
        logarithms of what they count for."""
        xp, widths = o.xp, self._preprocessing.widths(a)
        of_columns = []
        for j in self._cells:
            column, x = self._kinds[j], v[j][:, 0]
            below, above = column.is_open(xp, x)
            half = 0.5 * column.step
            # An end that is not there has any number here.
            first, last = xp.where(below, x, x - half), xp.where(above, x, x + half)
            width = column.to_line(xp, last)[0] - column.to_line(xp, first)[0]
            width = width if widths is None else width / widths[j]
            width = xp.where(below | above, math.inf, width)
            of_columns.append((j, below, above, width))
        is_wide = xp.stack([width >= NARROW for *_, width in of_columns], axis=1)
        wide = xp.sum(is_wide, axis=1)
        most = most_points(len(self._cells))
        points = o.range(most, wide)[None, :]
        rest, rank, log_weight = points + 0 * wide[:, None], 0 * wide, xp.zeros_like(v[0])
        is_lattice = wide > 3
        for k, (j, below, above, width) in enumerate(of_columns):
            column, is_one = self._kinds[j], is_wide[:, k]
            level = sum(xp.where(width < edge, 0, 1) for edge in WIDTHS)
            rule = xp.where(is_lattice, LATTICE, LEVELS * (xp.clip(wide, 1, 3) - 1) + level)
            count = o.real(xp.where(is_one, o.entries(a["cells.count"], rule), 1.0), wide)
            # Points count through the nodes of all columns, or go along the lattice.
            node = rest % count[:, None]
            factor = xp.where(rank == 0, 1, 0)
            for power in range(1, k + 1):
                factor = factor + xp.where(rank == power, GENERATOR**power % POINTS, 0)
            node = xp.where(is_lattice[:, None], (points * factor[:, None]) % POINTS, node)
            rest = xp.where(is_lattice[:, None], rest, rest // count[:, None])
            rank = rank + xp.where(is_one, 1, 0)
            entry = rule[:, None], node
            x, at = v[j], o.entries(a["cells.at"], *entry)
            # In a cell without an end nodes lie as an exponential distribution does.
            steps = o.entries(a["cells.steps"], *entry)
            is_open, is_both = (below | above)[:, None], (below & above)[:, None]
            tail = x + xp.where(below[:, None], column.step * (0.5 - steps), column.step * (steps - 0.5))
            inner = xp.where(is_open, tail, x + column.step * (at - 0.5))
            log_density = xp.where(is_open, -steps, 0.0) - math.log(column.step)
            log_density = xp.where(is_both, 0.0, log_density)
            v[j] = xp.where(is_one[:, None], xp.where(is_both, x + xp.zeros_like(steps), inner), x)
            # Of a lattice the points count for as much, once for all columns together.
            of_node = xp.where(is_lattice[:, None], 0.0, o.entries(a["cells.log_weight"], *entry))
            of_wide = of_node - log_density
            of_narrow = math.log(column.step)
            if not column.is_discrete:
                # Angles on a grid have the mean density of their cell.
                of_wide, of_narrow = of_wide - math.log(column.step), 0.0
            log_weight = log_weight + xp.where(is_one[:, None], of_wide, of_narrow)
        log_weight = log_weight - o.real(is_lattice, log_weight)[:, None] * math.log(POINTS)
        rest = xp.where(is_lattice[:, None], xp.where(points < POINTS, 0, 1), rest)
        return xp.where(rest == 0, log_weight, -math.inf)
