"""Coupling flows: layers, their conditioners, and the base."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from couplet._reader.library import Library, Random, Tensor, zero
from couplet._reader.spline import softplus, spline


class CouplingFlow:
    """The structure of the flows of a model, whose tensors have the flow's prefix before their names. They see columns and
    context that are prepared."""

    def __init__(self, spec: Mapping[str, Any], names: Iterable[str]) -> None:
        self._spec, self._names = spec, set(names)
        self._dims: int = spec["dims"]
        self._terms: dict[int, list[list[tuple[int, int]]]] = {}

    def log_prob(self, o: Library, a: Mapping[str, Tensor], prefix: str, y: Tensor, seen: Tensor) -> Tensor:
        """The log-density of each row."""
        xp = o.xp
        z, log_det = self.forward(o, a, prefix, y, seen)
        location, spread = self._base(o, a, prefix)
        standard = (z - location) / spread
        if "logistic" in self._spec["base"]:
            of_base = -xp.abs(standard) - 2.0 * xp.log1p(xp.exp(-xp.abs(standard)))
        else:
            of_base = -0.5 * standard * standard - 0.5 * math.log(2.0 * math.pi)
        return log_det + xp.sum(of_base - xp.log(spread), axis=1)

    def cdf(self, o: Library, a: Mapping[str, Tensor], prefix: str, y: Tensor, seen: Tensor) -> Tensor:
        """The distribution function of a flow over one column: its map is increasing."""
        z, _ = self.forward(o, a, prefix, y, seen)
        location, spread = self._base(o, a, prefix)
        standard = ((z - location) / spread)[:, 0]
        is_logistic = "logistic" in self._spec["base"]
        return 0.5 * (1.0 + o.xp.tanh(0.5 * standard)) if is_logistic else o.normal_cdf(standard)

    def _base(self, o: Library, a: Mapping[str, Tensor], prefix: str) -> tuple[Tensor, Tensor]:
        """The base's location, and its deviation or scale."""
        if f"{prefix}base.mean" in self._names:
            variance = softplus(o.xp, a[f"{prefix}base.raw_variance"])
            return a[f"{prefix}base.mean"], o.xp.sqrt(variance)
        if f"{prefix}base.location" in self._names:
            return a[f"{prefix}base.location"], softplus(o.xp, a[f"{prefix}base.raw_scale"])
        location = zero(o, a)
        return location, location + 1.0

    def sample_base(self, o: Library, a: Mapping[str, Tensor], random: Random, rows: int, prefix: str) -> Tensor:
        """Latents drawn from the base."""
        location, spread = self._base(o, a, prefix)
        if "logistic" in self._spec["base"]:
            u = random.uniform(rows, self._dims)
            return location + spread * (o.xp.log(u) - o.xp.log1p(-u))
        return location + spread * random.normal(rows, self._dims)

    def _layer(self, layer: int) -> tuple[slice, slice]:
        """The columns that a coupling transforms, and those that it leaves."""
        first, second = slice(0, self._dims // 2), slice(self._dims // 2, self._dims)
        if self._dims == 1:
            return slice(0, 1), slice(0, 0)
        return (first, second) if layer % 2 == 0 else (second, first)

    def forward(self, o: Library, a: Mapping[str, Tensor], prefix: str, x: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
        """Latents of a flow, and the log-determinant."""
        log_det = o.xp.zeros_like(x[:, 0])
        for layer in range(self._spec["layers"]):
            name = f"{prefix}layers.{layer}"
            if f"{name}.mix.lower" in self._names:
                lower, upper = self._mixing(o, a, name)
                x, log_det = x @ (lower @ upper).T, log_det + o.xp.sum(a[f"{name}.mix.log_diagonal"])
            active, frozen = self._layer(layer)
            inputs = o.xp.concatenate([x[:, frozen], seen], axis=1)
            moved, gain = self._couple(o, a, name, x[:, active], inputs, inverse=False)
            x, log_det = _joined(o.xp, moved, x, active), log_det + gain
        return x, log_det

    def inverse(self, o: Library, a: Mapping[str, Tensor], prefix: str, z: Tensor, seen: Tensor) -> Tensor:
        """The rows that latents come from."""
        for layer in reversed(range(self._spec["layers"])):
            name = f"{prefix}layers.{layer}"
            active, frozen = self._layer(layer)
            inputs = o.xp.concatenate([z[:, frozen], seen], axis=1)
            moved, _ = self._couple(o, a, name, z[:, active], inputs, inverse=True)
            z = _joined(o.xp, moved, z, active)
            if f"{name}.mix.lower" in self._names:
                lower, upper = self._mixing(o, a, name)
                z = o.solve(upper, o.solve(lower, z, False), True)
        return z

    def _mixing(self, o: Library, a: Mapping[str, Tensor], name: str) -> tuple[Tensor, Tensor]:
        """The two triangles of what stands in front of a coupling."""
        diagonal = o.xp.diag(o.xp.exp(a[f"{name}.mix.log_diagonal"]))
        unit = o.xp.diag(o.xp.ones_like(a[f"{name}.mix.log_diagonal"]))
        return unit + o.xp.tril(a[f"{name}.mix.lower"], -1), diagonal + o.xp.triu(a[f"{name}.mix.upper"], 1)

    def _couple(
        self, o: Library, a: Mapping[str, Tensor], name: str, x: Tensor, inputs: Tensor, inverse: bool
    ) -> tuple[Tensor, Tensor]:
        """The active columns after a coupling, or before it, and the log-determinant of the coupling."""
        xp, spec, count = o.xp, self._spec, x.shape[1]
        if spec["transform"] == "spline":
            u = xp.reshape(self._conditioner(o, a, name, ("net", "s"), inputs), (x.shape[0], count, -1))
            x, log_slope = spline(o, x, u, spec["bins"], spec["spline_bound"], inverse)
            return x, xp.sum(log_slope, axis=1)
        if spec["transform"] == "additive":
            t = self._conditioner(o, a, name, ("t", "net"), inputs)
            return (x - t if inverse else x + t), xp.zeros_like(x[:, 0])
        if self._has(name, "t"):
            s, t = (self._conditioner(o, a, name, (part,), inputs) for part in ("s", "t"))
        else:
            both = self._conditioner(o, a, name, ("net",), inputs)
            s, t = both[:, :count], both[:, count:]
        if (bound := spec["scale_bound"]) > 0.0:
            s = bound * xp.tanh(s / bound)
        return ((x - t) * xp.exp(-s) if inverse else x * xp.exp(s) + t), xp.sum(s, axis=1)

    def _has(self, name: str, part: str) -> bool:
        return f"{name}.{part}.0.weight" in self._names or f"{name}.{part}.coefficients" in self._names

    def _conditioner(self, o: Library, a: Mapping[str, Tensor], name: str, parts: tuple[str, ...], inputs: Tensor) -> Tensor:
        """What a conditioner makes of its inputs: the first of its parts that there is."""
        if f"{name}.parameters" in self._names:
            alone = o.xp.reshape(a[f"{name}.parameters"], (1, -1))
            return o.xp.broadcast_to(alone, (inputs.shape[0], alone.shape[1]))
        part = next(part for part in parts if self._has(name, part))
        if f"{name}.{part}.coefficients" in self._names:
            return self._polynomials(o, inputs) @ a[f"{name}.{part}.coefficients"]
        x, k = inputs, 0
        while f"{name}.{part}.{k}.weight" in self._names:
            if k > 0:
                x = _activation(o.xp, self._spec["activation"], x)
            x, k = x @ a[f"{name}.{part}.{k}.weight"].T + a[f"{name}.{part}.{k}.bias"], k + 1
        return x

    def _polynomials(self, o: Library, x: Tensor) -> Tensor:
        """Products of orthonormal polynomials of the inputs, in graded order."""
        xp, spec, count = o.xp, self._spec, x.shape[1]
        if (bound := spec["input_bound"]) > 0.0:
            x = bound * xp.tanh(x / bound)
        if count not in self._terms:
            self._terms[count] = _terms(count, spec["degree"], spec["total_degree"])
        of_degree = [xp.ones_like(x), x]
        for k in range(1, spec["degree"]):
            before, last = of_degree[-2:]
            if spec["conditioner"] == "hermite":
                of_degree.append((x * last - math.sqrt(k) * before) / math.sqrt(k + 1))
            else:
                of_degree.append(((2 * k + 1) * x * last - k * before) / (k + 1))
        if spec["conditioner"] == "legendre":
            of_degree = [math.sqrt(2 * n + 1) * p for n, p in enumerate(of_degree)]
        products = []
        for term in self._terms[count]:
            product = xp.ones_like(x[:, 0])
            for dimension, n in term:
                product = product * of_degree[n][:, dimension]
            products.append(product)
        return xp.stack(products, axis=1)


def _joined(xp: Any, moved: Tensor, x: Tensor, active: slice) -> Tensor:
    """All columns, with those of a coupling in their place."""
    return xp.concatenate([x[:, : active.start], moved, x[:, active.stop :]], axis=1)


def _activation(xp: Any, name: str, x: Tensor) -> Tensor:
    if name == "tanh":
        return xp.tanh(x)
    if name == "relu":
        return xp.clip(x, 0.0, None)
    if name == "silu":
        return x * 0.5 * (1.0 + xp.tanh(0.5 * x))
    return 0.5 * x * (1.0 + xp.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * x * x * x)))


def _terms(dims: int, degree: int, total_degree: int) -> list[list[tuple[int, int]]]:
    """The degrees of products of polynomials in graded order, without the zeros: (0, 0), (1, 0), (0, 1), (2, 0), (1, 1), ..."""

    def of_total(dimension: int, left: int) -> list[list[tuple[int, int]]]:
        if left == 0:
            return [[]]
        if left > degree * (dims - dimension):
            return []
        heads = [(n, of_total(dimension + 1, left - n)) for n in range(min(degree, left), 0, -1)]
        terms = [[(dimension, n), *rest] for n, all_rest in heads for rest in all_rest]
        return terms + of_total(dimension + 1, left)

    return [term for total in range(min(total_degree, degree * dims) + 1) for term in of_total(0, total)]
