from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import lgamma
from typing import Any

import numpy as np

from couplet import _tables
from couplet._flow import Flow
from couplet._tables import Array

#: Degrees of freedom of what is wider than the flow: its tails are heavier than those of most densities.
_FREEDOM = 4.0
#: Rows of the flow that tell how wide it is.
_ROWS_FOR_WIDTH = 4000


@dataclass(frozen=True)
class Importance:
    """Rows drawn from a proposal, with weights that make them rows of another density, and that density's evidence."""

    #: The rows, as a table of the kind that the flow was fitted to.
    samples: Any
    #: Their weights, smoothed, which add up to 1.
    weights: Array
    #: The logarithms of the density over the proposal's, as they are.
    log_ratios: Array
    #: How many rows drawn from the density itself the weighted ones are worth (Kish).
    effective_sample_size: float
    #: The shape of the largest ratios' distribution: below 0.7 the weights are good, above 1 they have no mean (Vehtari et al.
    #: 2024, "Pareto smoothed importance sampling").
    pareto_k: float
    #: ln of the integral of the density, and its standard error.
    log_evidence: float
    log_evidence_error: float

    def resample(self, n: int, random_state: Any = None) -> Array:
        """Indices of n rows, drawn by their weights: rows of the density, some of them several times."""
        rng = np.random.default_rng(random_state)
        # Systematic: each row comes as often as its weight says, or once more.
        points = (np.arange(n) + rng.uniform()) / n
        chosen = np.searchsorted(np.cumsum(self.weights), points).clip(max=len(self.weights) - 1)
        return rng.permutation(chosen)

    def __repr__(self) -> str:
        return (
            f"{len(self.weights)} rows worth {self.effective_sample_size:.0f}, Pareto k {self.pareto_k:.2f}, "
            f"log evidence {self.log_evidence:.4f} +- {self.log_evidence_error:.4f}"
        )


def importance(
    flow: Flow,
    log_density: Callable[[Any], Any],
    n: int = 10_000,
    *,
    given: Any = None,
    defensive: float = 0.1,
    widening: float = 2.0,
    random_state: Any = None,
) -> Importance:
    """Draws from a flow, and weights the rows so that they are of another density, such as the posterior that it was fitted to.

    Parameters
    ----------
    flow : couplet.Flow
        The proposal.
    log_density : function
        The logarithm of the density, up to a constant or with it, of each row of a table like those that `flow.sample` returns.
        Its integral is the evidence.
    n : int
        Rows to draw.
    given : table of one row, or a mapping of names to values
        The context, of a flow that has one.
    defensive : fraction
        The part of the rows that is drawn from a wider distribution in place of the flow: a t distribution with the flow's mean
        and covariance, so that no ratio is large where the flow has missed something (Hesterberg 1995). 0 for a flow over whole
        numbers, angles or categories, whose rows are not those of a t distribution.
    widening : factor
        How many times as wide as the flow that one is.
    random_state : int, numpy.random.Generator or None
        As for `Flow.sample`.
    """
    if n < 20:
        raise ValueError(f"n={n}: must be at least 20")
    if not 0.0 <= defensive < 1.0:
        raise ValueError(f"defensive={defensive}: must be at least 0 and below 1")
    native = flow._fitted()
    has_numbers_alone = all(kind.partition("(")[0] in ("real", "positive", "bounded") for _, kind in native.kinds)
    defensive = defensive if has_numbers_alone else 0.0
    rng = np.random.default_rng(random_state)
    wide = round(defensive * n)
    samples = flow.sample(n - wide, int(rng.integers(2**63)), given=given)
    log_proposal = flow.score_samples(samples, given=given)
    if wide > 0:
        some = flow._modelled(flow.sample(_ROWS_FOR_WIDTH, int(rng.integers(2**63)), given=given), given)
        t = _Wider(some, widening)
        drawn = t.sample(wide, rng)
        all_rows = np.concatenate([flow._modelled(samples, given), drawn])
        samples = _tables.like(flow._kind, native, flow._types, all_rows)
        of_drawn = flow.score_samples(_tables.like(flow._kind, native, flow._types, drawn), given=given)
        of_flow = np.concatenate([log_proposal, of_drawn])
        part = wide / n
        log_proposal = np.logaddexp(np.log1p(-part) + of_flow, np.log(part) + t.log_prob(all_rows))
    of_density = np.asarray(log_density(samples), dtype=np.float64)
    if of_density.shape != (n,):
        raise ValueError(f"log_density: {n} numbers are needed, one for each row, and it returned {of_density.shape}")
    log_ratios = of_density - log_proposal
    if np.isnan(log_ratios).any() or (log_ratios == np.inf).any():
        raise ValueError(
            f"log_density: row {int(np.argmax(~(log_ratios < np.inf)))} of its table gives no number below infinity"
        )
    if (log_ratios == -np.inf).all():
        raise ValueError("log_density: it is minus infinity at every row drawn; the flow is where the density is not")
    most = log_ratios.max()
    ratios = np.exp(log_ratios - most)
    mean = ratios.mean()
    smoothed, k = _smoothed(log_ratios)
    weights = np.exp(smoothed - np.logaddexp.reduce(smoothed))
    return Importance(
        samples=samples,
        weights=weights,
        log_ratios=log_ratios,
        effective_sample_size=float(1.0 / (weights**2).sum()),
        pareto_k=k,
        log_evidence=float(np.log(mean) + most),
        log_evidence_error=float(ratios.std(ddof=1) / np.sqrt(n) / mean),
    )


class _Wider:
    """A multivariate t distribution with the mean and a multiple of the covariance of rows."""

    def __init__(self, rows: Array, widening: float) -> None:
        self._mean = rows.mean(axis=0)
        deviation = rows.std(axis=0)
        scale = np.where(deviation > 0.0, deviation, 1.0)
        covariance = np.cov((rows / scale).T, ddof=1).reshape(rows.shape[1], rows.shape[1])
        # Columns that follow from one another have some width of their own.
        self._lower = scale[:, None] * np.linalg.cholesky(covariance + 1e-9 * np.eye(len(covariance)))
        self._lower *= widening * np.sqrt((_FREEDOM - 2.0) / _FREEDOM)

    def sample(self, n: int, rng: np.random.Generator) -> Array:
        z = rng.normal(size=(n, len(self._mean)))
        drawn: Array = self._mean + z @ self._lower.T / np.sqrt(rng.chisquare(_FREEDOM, size=(n, 1)) / _FREEDOM)
        return drawn

    def log_prob(self, rows: Array) -> Array:
        dims = len(self._mean)
        z = np.linalg.solve(self._lower, (rows - self._mean).T)
        constant = lgamma(0.5 * (_FREEDOM + dims)) - lgamma(0.5 * _FREEDOM) - 0.5 * dims * np.log(_FREEDOM * np.pi)
        constant -= np.log(np.diag(self._lower)).sum()
        log_prob: Array = constant - 0.5 * (_FREEDOM + dims) * np.log1p((z**2).sum(axis=0) / _FREEDOM)
        return log_prob


def _smoothed(log_ratios: Array) -> tuple[Array, float]:
    """Log-ratios whose largest are the expected ones of a generalized Pareto distribution that is fitted to them, and its shape
    (Vehtari et al. 2024, algorithm 1)."""
    n = len(log_ratios)
    count = int(min(0.2 * n, 3.0 * np.sqrt(n)))
    order = np.argsort(log_ratios)
    tail, cut = order[-count:], log_ratios[order[-count - 1]]
    most = log_ratios.max()
    # Above a ratio that is nearly 0 there is no tail.
    if count < 5 or not np.isfinite(cut) or log_ratios[tail[0]] >= most:
        return log_ratios, float("-inf") if log_ratios[tail[0]] >= most else float("inf")
    excess = np.exp(log_ratios[tail] - most) - np.exp(cut - most)
    k, sigma = _pareto_fit(excess)
    probabilities = (np.arange(count) + 0.5) / count
    quantiles = -sigma * np.log1p(-probabilities) if abs(k) < 1e-12 else sigma * np.expm1(-k * np.log1p(-probabilities)) / k
    smoothed = log_ratios.copy()
    smoothed[tail] = np.minimum(np.log(quantiles + np.exp(cut - most)), 0.0) + most
    return smoothed, k


def _pareto_fit(excess: Array) -> tuple[float, float]:
    """Shape and scale of a generalized Pareto distribution of numbers in ascending order (Zhang and Stephens 2009), the shape
    drawn a little to 0.5, as of ten more numbers."""
    n = len(excess)
    candidates = 30 + int(np.sqrt(n))
    quartile = excess[int(n / 4.0 + 0.5) - 1]
    theta = 1.0 / excess[-1] + (1.0 - np.sqrt(candidates / (np.arange(candidates) + 0.5))) / (3.0 * quartile)
    shapes = np.log1p(-theta[:, None] * excess).mean(axis=1)
    log_likelihood = n * (np.log(-theta / shapes) - shapes - 1.0)
    weights = np.exp(log_likelihood - log_likelihood.max())
    theta_mean = (theta * weights).sum() / weights.sum()
    shape = np.log1p(-theta_mean * excess).mean()
    scale = -shape / theta_mean
    return float((n * shape + 10.0 * 0.5) / (n + 10.0)), float(scale)
