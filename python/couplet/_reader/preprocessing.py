"""What is done to a row before flows see it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from couplet._reader.library import Library, Tensor
from couplet._reader.number_column import NumberColumn


class Preprocessing:
    """The `preprocessing` of a model file."""

    def __init__(self, metadata: Mapping[str, Any]) -> None:
        #: Numbers that never change, in f64.
        self.constants: dict[str, NDArray[np.float64]] = {}
        context = metadata.get("context") or {"columns": []}
        #: The columns of context: those of modelled categories, then those that are given.
        self.context: list[dict[str, Any]] = context["columns"]
        #: What the columns of numbers hold, where that is not any real numbers in all of them.
        self.kinds = [NumberColumn.of(entry) for entry in metadata.get("kinds") or []]
        self._tails = {"x": self._keep_steps("x", metadata), "context": self._keep_steps("context", context)}
        if regression := context.get("regression"):
            self.constants["regression.slopes"] = np.array(regression["slopes"])

    def _keep_steps(self, prefix: str, steps: Mapping[str, Any]) -> float | None:
        """Keeps what standardizes and whitens; the bound beyond which numbers are compressed."""
        if standardize := steps.get("standardize"):
            self.constants[f"{prefix}.mean"] = np.array(standardize["mean"])
            self.constants[f"{prefix}.deviation"] = np.array(standardize["deviation"])
        if whiten := steps.get("whiten"):
            count = len(whiten["lower"])
            self.constants[f"{prefix}.lower"] = np.array([row + [0.0] * (count - len(row)) for row in whiten["lower"]])
        tails = steps.get("tails")
        return tails["bound"] if tails else None

    def seen_context(self, o: Library, a: Mapping[str, Tensor], given: Tensor) -> Tensor:
        """What flows see of context: numbers prepared, a column for each level, the cosine and the sine of angles."""
        xp, numbers = o.xp, [j for j, it in enumerate(self.context) if not it.get("levels") and not it.get("period")]
        if numbers:
            seen, _ = self._steps(o, a, "context", given[:, numbers], self._tails["context"])
        parts = []
        for j, column in enumerate(self.context):
            if levels := column.get("levels"):
                parts.append(o.real(given[:, j : j + 1] == o.range(len(levels), given)[None, :], given))
            elif period := column.get("period"):
                angle = given[:, j : j + 1] * (2.0 * math.pi / period)
                parts += [xp.cos(angle), xp.sin(angle)]
            else:
                k = numbers.index(j)
                parts.append(seen[:, k : k + 1])
        return xp.concatenate(parts, axis=1) if parts else given

    def _steps(self, o: Library, a: Mapping[str, Tensor], prefix: str, x: Tensor, bound: float | None) -> tuple[Tensor, Tensor]:
        """Standardizes, whitens and compresses; the log-determinant."""
        xp, log_det = o.xp, o.xp.zeros_like(x[:, 0])
        if (deviation := a.get(f"{prefix}.deviation")) is not None:
            x, log_det = (x - a[f"{prefix}.mean"]) / deviation, log_det - xp.sum(xp.log(deviation))
        if (lower := a.get(f"{prefix}.lower")) is not None:
            x, log_det = o.solve(lower, x, False), log_det - xp.sum(xp.log(xp.diagonal(lower)))
        if bound is not None:
            log_excess = xp.log1p(xp.clip(xp.abs(x) - bound, 0.0, None))
            x, log_det = xp.clip(x, -bound, bound) + xp.sign(x) * log_excess, log_det - xp.sum(log_excess, axis=1)
        return x, log_det

    def to_flow(self, o: Library, a: Mapping[str, Tensor], v: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
        """Numbers of the columns' intervals as flows see them, and the log-determinant."""
        log_det = o.xp.zeros_like(v[:, 0])
        if self.kinds:
            pairs = [column.to_line(o.xp, v[:, j]) for j, column in enumerate(self.kinds)]
            v, log_det = o.xp.stack([y for y, _ in pairs], axis=1), sum(slope for _, slope in pairs)
        if (slopes := a.get("regression.slopes")) is not None:
            v = v - seen @ slopes.T
        y, of_steps = self._steps(o, a, "x", v, self._tails["x"])
        return y, log_det + of_steps

    def from_flow(self, o: Library, a: Mapping[str, Tensor], y: Tensor, seen: Tensor) -> Tensor:
        """The numbers of the table, from those that flows see."""
        xp, bound = o.xp, self._tails["x"]
        if bound is not None:
            excess = xp.expm1(xp.clip(xp.abs(y) - bound, 0.0, None))
            y = xp.clip(y, -bound, bound) + xp.sign(y) * excess
        if (lower := a.get("x.lower")) is not None:
            y = y @ lower.T
        if (deviation := a.get("x.deviation")) is not None:
            y = y * deviation + a["x.mean"]
        if (slopes := a.get("regression.slopes")) is not None:
            y = y + seen @ slopes.T
        if self.kinds:
            columns = enumerate(self.kinds)
            y = xp.stack([column.image(xp, column.from_line(xp, y[:, j])) for j, column in columns], axis=1)
        return y

    def widths(self, a: Mapping[str, Tensor]) -> Tensor | None:
        """The width on the line, of each column given those before it, that flows see as 1."""
        widths = a.get("x.deviation")
        if widths is not None and (lower := a.get("x.lower")) is not None:
            widths = widths * lower.diagonal()
        return widths
