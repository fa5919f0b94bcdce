"""A Gaussian mixture over the context that flows see and the columns."""

from __future__ import annotations

import math
from collections.abc import Mapping

from couplet._reader.library import Library, Random, Tensor


def _log_terms(o: Library, a: Mapping[str, Tensor], x: Tensor) -> Tensor:
    """The log-density of each component times its weight [components, rows], over as many of its columns as rows have."""
    xp, count = o.xp, x.shape[1]
    log_weights, lower = a["mixture.log_weights"], xp.tril(a["mixture.cholesky"][:, :count, :count])
    z = o.solve(lower, x[None, :, :] - a["mixture.mean"][:, None, :count], False)
    log_det = xp.sum(xp.log(xp.abs(xp.einsum("kii->ki", lower))), axis=1)
    log_peak = log_weights - o.log_sum_exp(log_weights) - log_det - 0.5 * count * math.log(2.0 * math.pi)
    return log_peak[:, None] - 0.5 * xp.sum(z * z, axis=2)


def log_prob(o: Library, a: Mapping[str, Tensor], y: Tensor, seen: Tensor) -> Tensor:
    """The log-density of each row, given its context."""
    of_both = o.log_sum_exp(_log_terms(o, a, o.xp.concatenate([seen, y], axis=1)))
    if seen.shape[1] == 0:
        return of_both
    return of_both - o.log_sum_exp(_log_terms(o, a, seen))


def _given_context(o: Library, a: Mapping[str, Tensor], seen: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """What the components are given context: their weights [components, rows], their means [components, rows, columns] and
    their triangles [components, columns, columns]."""
    xp, (rows, count) = o.xp, seen.shape
    mean, lower = a["mixture.mean"], xp.tril(a["mixture.cholesky"])
    log_terms = _log_terms(o, a, seen) if count > 0 else a["mixture.log_weights"][:, None]
    weights = xp.exp(log_terms - o.log_sum_exp(log_terms)[None, :])
    weights = xp.broadcast_to(weights, (weights.shape[0], rows))
    of_x = xp.broadcast_to(mean[:, None, count:], (mean.shape[0], rows, mean.shape[1] - count))
    if count > 0:
        z = o.solve(lower[:, :count, :count], seen[None, :, :] - mean[:, None, :count], False)
        of_x = of_x + xp.einsum("knj,kij->kni", z, lower[:, count:, :count])
    return weights, of_x, lower[:, count:, count:]


def cdf(o: Library, a: Mapping[str, Tensor], y: Tensor, seen: Tensor) -> Tensor:
    """The distribution function of a mixture over one column, given its context."""
    weights, means, lower = _given_context(o, a, seen)
    standard = (y[None, :, 0] - means[:, :, 0]) / o.xp.abs(lower[:, :, 0])
    return o.xp.sum(weights * o.normal_cdf(standard), axis=0)


def sample(o: Library, a: Mapping[str, Tensor], random: Random, seen: Tensor) -> Tensor:
    """A row drawn for each row of context."""
    xp, rows = o.xp, seen.shape[0]
    weights, means, lower = _given_context(o, a, seen)
    u, z = random.uniform(rows, 1), random.normal(rows, lower.shape[1])
    # The component whose part of [0, 1] has u.
    component = xp.sum(xp.cumsum(weights, axis=0)[:-1] <= u.T, axis=0)
    return means[component, o.range(rows, z)] + xp.einsum("nij,nj->ni", lower[component], z)
