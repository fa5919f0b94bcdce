"""Columns that hold other than any real numbers (docs/columns.md): which real numbers become those of the table."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

#: Beyond it the exponential function is not finite.
_FARTHEST = 700.0
#: Where the logarithm of a number of steps ends.
_MOST_STEPS = 34.0


@dataclass(frozen=True)
class NumberColumn:
    """One of the `kinds` of a model file."""

    kind: str
    low: float | None = None
    high: float | None = None
    period: float = 0.0
    step: float = 0.0
    origin: float = 0.0
    edge: float = 0.0
    logarithmic: bool = False
    scale: float = 0.0
    cut: float = 0.0
    start: float = 0.0

    @classmethod
    def of(cls, entry: dict[str, Any]) -> NumberColumn:
        """From an entry of `kinds` in the metadata: "bounded(0,)" is the kind of a column with a lower bound alone."""
        kind, _, inside = entry["kind"].partition("(")
        numbers = [float(text) if text.strip() else None for text in inside.rstrip(")").split(",")] if inside else []
        others = {key: value for key, value in entry.items() if key != "kind"}
        if kind == "circular":
            return cls(kind, period=numbers[0] or 0.0, **others)
        low, high = numbers if numbers else (None, None)
        return cls(kind, low, high, **others)

    @property
    def is_discrete(self) -> bool:
        """Whether its numbers have a probability each."""
        return self.kind == "integer"

    @property
    def has_cells(self) -> bool:
        """Whether each of its numbers stands for all real ones of a cell."""
        return self.step > 0.0

    def contains(self, xp: Any, x: Any) -> Any:
        """Whether numbers are the column's."""
        if self.kind == "positive":
            return x > 0.0
        if self.kind == "integer":
            return self.image(xp, x) == x
        inside = x == x
        if self.kind == "bounded" and self.low is not None:
            inside = inside & ((x >= self.low) if self.edge > 0.0 else (x > self.low))
        if self.kind == "bounded" and self.high is not None:
            inside = inside & ((x <= self.high) if self.edge > 0.0 else (x < self.high))
        return inside

    def _end(self) -> tuple[float, float] | None:
        """The only end of what its real numbers lie in, and 1 where they lie above it, else -1."""
        if self.kind == "positive":
            return 0.0, 1.0
        if self.kind == "bounded" and self.high is None and self.low is not None:
            return self.low - self.edge, 1.0
        if self.kind == "bounded" and self.low is None and self.high is not None:
            return self.high + self.edge, -1.0
        return None

    def _inner_end(self) -> tuple[float, float] | None:
        """Of whole numbers that go by their logarithm: where the bound's cell ends, and 1 where they lie above it, else -1."""
        if self.kind != "integer" or not self.logarithmic:
            return None
        if self.low is not None:
            return self.low + 0.5 * self.step, 1.0
        assert self.high is not None
        return self.high - 0.5 * self.step, -1.0

    def to_line(self, xp: Any, v: Any) -> tuple[Any, Any]:
        """Numbers of the column's interval on the whole line, and the logarithm of the map's slope."""
        if (end := self._end()) is not None:
            t = end[1] * (v - end[0])
            if self.scale == 0.0:
                return end[1] * xp.log(t), -xp.log(t)
            log_part = xp.log(-xp.expm1(-t / self.scale))
            return end[1] * (t + self.scale * log_part), -log_part
        if self.kind == "bounded":
            low, high = (self.low or 0.0) - self.edge, (self.high or 0.0) + self.edge
            below, above = xp.log(v - low), xp.log(high - v)
            return below - above, math.log(high - low) - below - above
        if (end := self._inner_end()) is not None:
            t = end[1] * (v - end[0]) / self.step
            far = xp.log1p(xp.clip(t, 0.0, None))
            return end[1] * xp.where(t > 0.0, far, t), -far - math.log(self.step)
        return v, xp.zeros_like(v)

    def from_line(self, xp: Any, y: Any) -> Any:
        """Numbers of the column's interval, from those on the whole line."""
        if (end := self._end()) is not None:
            y = end[1] * y
            if self.scale == 0.0:
                return end[0] + end[1] * xp.exp(xp.clip(y, -_FARTHEST, _FARTHEST))
            u = xp.clip(y / self.scale, -_FARTHEST, None)
            return end[0] + end[1] * self.scale * (xp.clip(u, 0.0, None) + xp.log1p(xp.exp(-xp.abs(u))))
        if self.kind == "bounded":
            low, high = (self.low or 0.0) - self.edge, (self.high or 0.0) + self.edge
            part = xp.exp(-xp.clip(xp.abs(y), None, _FARTHEST))
            off = (high - low) * part / (1.0 + part)
            return xp.where(y < 0.0, low + off, high - off)
        if (end := self._inner_end()) is not None:
            y = end[1] * y
            t = xp.where(y > 0.0, xp.expm1(xp.clip(y, 0.0, _MOST_STEPS)), y)
            return end[0] + end[1] * t * self.step
        return y

    def wrapped(self, xp: Any, start: float, x: Any) -> Any:
        """The numbers from `start` to a period above it that are whole periods from x."""
        return x - self.period * xp.floor((x - start) / self.period)

    def image(self, xp: Any, v: Any) -> Any:
        """The numbers of the table that real ones become."""
        if self.kind == "bounded":
            if self.low is not None:
                v = xp.where(v < self.low, 2.0 * self.low - v, v)
            if self.high is not None:
                v = xp.where(v > self.high, 2.0 * self.high - v, v)
            # Where no row has a bound, it has no density.
            low = self.low if self.low is None or self.edge > 0.0 else math.nextafter(self.low, math.inf)
            high = self.high if self.high is None or self.edge > 0.0 else math.nextafter(self.high, -math.inf)
            return xp.clip(v, low, high)
        if self.kind == "integer":
            low = None if self.low is None else math.ceil((self.low - self.origin) / self.step)
            high = None if self.high is None else math.floor((self.high - self.origin) / self.step)
            steps = xp.round((v - self.origin) / self.step)
            steps = steps if low is None and high is None else xp.clip(steps, low, high)
            return steps * self.step + self.origin
        if self.kind == "circular":
            v = xp.round(v / self.step) * self.step if self.step > 0.0 else v
            return self.wrapped(xp, self.start, v)
        return v

    def is_open(self, xp: Any, x: Any) -> tuple[Any, Any]:
        """Whether the cells of numbers have no lower end, and no upper one: those of the bounds."""
        never = x != x
        below = never if self.low is None else x - self.step < self.low
        above = never if self.high is None else x + self.step > self.high
        return below, above
