"""Rational-quadratic splines (Durkan et al. 2019, "Neural spline flows")."""

from __future__ import annotations

import math
from typing import Any

from couplet._reader.library import Library, Tensor


def spline(o: Library, x: Tensor, u: Tensor, bins: int, bound: float, inverse: bool) -> tuple[Tensor, Tensor]:
    """A spline on [-bound, bound] and the identity outside, or its inverse, and the logarithm of the spline's slope (eq. 4
    to 8): `u` has 3 bins - 1 numbers for each of x."""
    xp, least = o.xp, 1e-3

    def knots(u: Tensor) -> tuple[Tensor, Tensor]:
        part = xp.exp(u - xp.amax(u, axis=-1, keepdims=True))
        part = part / xp.sum(part, axis=-1, keepdims=True)
        sizes = 2.0 * bound * (least + (1.0 - least * bins) * part)
        inner = xp.cumsum(sizes, axis=-1)[..., :-1] - bound
        end = xp.zeros_like(inner[..., :1])
        return xp.concatenate([end - bound, inner, end + bound], axis=-1), sizes

    (left, widths), (bottom, heights) = knots(u[..., :bins]), knots(u[..., bins : 2 * bins])
    inner = least + softplus(xp, u[..., 2 * bins :] + math.log(math.expm1(1.0 - least)))
    end = xp.ones_like(inner[..., :1])
    slopes = xp.concatenate([end, inner, end], axis=-1)
    is_tail = xp.abs(x) >= bound
    # Where it is the identity any number serves.
    x_inside = xp.where(is_tail, 0.0, x)
    k = xp.sum(x_inside[..., None] >= (bottom if inverse else left)[..., 1:-1], axis=-1)[..., None]
    w, h, x0, y0 = (o.take(of_bins, k)[..., 0] for of_bins in (widths, heights, left, bottom))
    d0, d1 = o.take(slopes, k)[..., 0], o.take(slopes, k + 1)[..., 0]
    s = h / w
    curve = d1 + d0 - 2.0 * s
    if inverse:
        off = x_inside - y0
        qa = h * (s - d0) + off * curve
        qb, qc = h * d0 - off * curve, -s * off
        t = 2.0 * qc / (-qb - xp.sqrt(xp.clip(qb * qb - 4.0 * qa * qc, 0.0, None)))
        moved = x0 + w * t
    else:
        t = (x_inside - x0) / w
    below = s + curve * t * (1.0 - t)
    if not inverse:
        moved = y0 + h * (s * t * t + d0 * t * (1.0 - t)) / below
    slope = s * s * (d1 * t * t + 2.0 * s * t * (1.0 - t) + d0 * (1.0 - t) * (1.0 - t)) / (below * below)
    return xp.where(is_tail, x, moved), xp.where(is_tail, 0.0, xp.log(slope))


def softplus(xp: Any, u: Tensor) -> Tensor:
    """ln(1 + exp(u))."""
    return xp.clip(u, 0.0, None) + xp.log1p(xp.exp(-xp.abs(u)))
