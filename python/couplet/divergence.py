"""How far two densities are apart, and marginals of one: by rows drawn from them.

>>> from couplet import divergence
>>> divergence.kl(posterior, prior)  # doctest: +SKIP
2.31 +- 0.01
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from couplet import _tables
from couplet._flow import Flow
from couplet._tables import Array

__all__ = ["Estimate", "dimensionality", "kl", "marginal", "total_variation"]

#: A flow, or the log-density of each row of a dict of columns.
Density = Flow | Callable[[dict[str, Any]], Any]


@dataclass(frozen=True)
class Estimate:
    """A mean over rows that are drawn, and its standard error."""

    value: float
    error: float

    def __float__(self) -> float:
        return self.value

    def __repr__(self) -> str:
        return f"{self.value:.4g} +- {self.error:.2g}"


def kl(p: Flow, q: Density, n: int = 20_000, *, given: Any = None, random_state: Any = None) -> Estimate:
    """The Kullback-Leibler divergence of p from q, E_p[ln p - ln q], in nats: infinite where q has no density at a row of p.

    Parameters
    ----------
    p : couplet.Flow
    q : couplet.Flow over the same columns, or a function
        A function takes a dict of columns and returns the log-density of each row.
    n : int
        Rows to draw.
    given : table of one row, or a mapping of names to values
        The context of both, where they have one.
    """
    ratios = _log_ratios(p, p, q, n, given, np.random.default_rng(random_state))
    return _mean(ratios)


def total_variation(p: Flow, q: Flow, n: int = 20_000, *, given: Any = None, random_state: Any = None) -> Estimate:
    """The total variation distance of two flows, from 0 to 1: the most that the probability of any set of rows differs. It is
    the mean of |p - q| / (p + q) over rows of both, half of them of each."""
    rng = np.random.default_rng(random_state)
    ratios = [_log_ratios(of, p, q, n // 2, given, rng) for of in (p, q)]
    # |p - q| / (p + q) = |tanh(ln(p / q) / 2)|.
    return _mean(np.abs(np.tanh(0.5 * np.concatenate(ratios))))


def dimensionality(
    posterior: Flow, prior: Density, n: int = 20_000, *, given: Any = None, random_state: Any = None
) -> Estimate:
    """How many parameters the data constrain: the Bayesian model dimensionality, twice the variance of ln(posterior / prior)
    over the posterior (Handley and Lemos 2019, eq. 14). It is the number of parameters for a Gaussian posterior in a wide
    prior.

    Parameters
    ----------
    prior : couplet.Flow over the same columns, or a function, as for `kl`; its integral must be 1 up to a constant
    """
    information = _log_ratios(posterior, posterior, prior, n, given, np.random.default_rng(random_state))
    return _mean(2.0 * (information - information.mean()) ** 2 * n / (n - 1))


def marginal(
    flow: Flow, columns: list[str], n: int = 20_000, *, given: Any = None, random_state: Any = None, **settings: Any
) -> Flow:
    """The density of some of a flow's columns: a flow that is fitted to n rows drawn from it, since a flow has no marginal in
    closed form. Columns keep their kinds. Settings are those of `couplet.Flow`."""
    lacking = [name for name in columns if name not in flow.columns_]
    if lacking or not columns:
        wrong = f"there is no {lacking[0]!r}" if lacking else "none is named"
        raise ValueError(f"columns: {wrong}; the flow has {', '.join(flow.columns_)}")
    table = _drawn(flow, n, given, np.random.default_rng(random_state))
    kinds = {name: kind for name, (_, kind) in zip(flow.columns_, flow._native.kinds, strict=True) if name in columns}
    settings["kinds"] = {**kinds, **(settings.get("kinds") or {})}
    return Flow(**settings).fit({name: table[name] for name in columns})


def _drawn(flow: Flow, n: int, given: Any, rng: np.random.Generator) -> dict[str, Any]:
    """Rows drawn from a flow, as columns by their names."""
    native = flow._fitted()
    context = flow._needed_context(given)
    if len(context) != 1:
        raise ValueError(f"given has {len(context)} rows: densities are compared given one")
    rows = native.sample(0, n, int(rng.integers(2**63)), context)
    return _tables.named(native, rows)


def _log_ratios(of: Flow, p: Flow, q: Density, n: int, given: Any, rng: np.random.Generator) -> Array:
    """ln p - ln q of rows of one of them."""
    if isinstance(q, Flow) and sorted(q.columns_) != sorted(p.columns_):
        raise ValueError(f"one density is of {', '.join(p.columns_)}, the other of {', '.join(q.columns_)}")
    table = _drawn(of, n, given, rng)
    of_p = p.score_samples(table, given=given)
    of_q = q.score_samples(table, given=given) if isinstance(q, Flow) else np.asarray(q(table), dtype=np.float64)
    ratios: Array = of_p - of_q
    return ratios


def _mean(numbers: Array) -> Estimate:
    value = float(numbers.mean())
    error = float(numbers.std(ddof=1) / np.sqrt(len(numbers))) if np.isfinite(value) else float("inf")
    return Estimate(value, error)
