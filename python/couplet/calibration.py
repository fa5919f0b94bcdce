"""Is a density calibrated? Each check returns probabilities that are uniform where it is, how likely chance makes them as
far from uniform, and a picture.

>>> from couplet import calibration
>>> check = calibration.coverage(flow, held_out)  # doctest: +SKIP
>>> check.p_value, check.covered(0.9)  # doctest: +SKIP
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from couplet import _couplet, _tables
from couplet._couplet import Picture
from couplet._flow import Flow
from couplet._tables import Array

__all__ = ["Calibration", "TwoSample", "coverage", "pit", "sbc", "tarp", "two_sample"]


@dataclass(frozen=True)
class Calibration:
    """Probabilities, one for each row, that are uniform where a density is calibrated."""

    #: What they are of.
    name: str
    #: The probabilities.
    values: Array
    _label: str
    _caption: str

    @property
    def distance(self) -> float:
        """How far their distribution function is from uniform, at most (Kolmogorov)."""
        return _distance(self.values)

    @property
    def p_value(self) -> float:
        """How likely chance makes uniform probabilities as far from uniform."""
        return _kolmogorov(self.distance, len(self.values))

    def covered(self, level: float) -> float:
        """The fraction of rows below a level, which is the level where the density is calibrated."""
        return float((self.values <= level).mean())

    def band(self, level: float, deviations: float = 1.96) -> tuple[float, float]:
        """What `covered` is by chance, within so many standard deviations."""
        error = deviations * np.sqrt(level * (1.0 - level) / len(self.values))
        return max(level - error, 0.0), min(level + error, 1.0)

    def plot(self) -> Picture:
        """A histogram, which is flat where the density is calibrated."""
        return _couplet.calibration(self._label, self._caption, self.values)

    def __repr__(self) -> str:
        return f"{self.name}: {self.distance:.3f} from uniform in {len(self.values)} rows, p = {self.p_value:.2g}"


def pit(flow: Flow, X: Any, *, given: Any = None) -> Calibration:
    """The probability that a flow over one column gives to less than each row's number (the probability integral transform)."""
    caption = (
        "The probability that the model gives to numbers below the true one. Where every density is true the bars are "
        "flat; a U says that the densities are too narrow, a hump that they are too broad, a slope that they are off to "
        "one side."
    )
    return Calibration("PIT", flow.cdf(X, given=given), "probability below the row's number", caption)


def coverage(flow: Flow, X: Any, *, given: Any = None, n: int = 2000, random_state: Any = None) -> Calibration:
    """The probability of the region of higher density than each row has: rows of the density itself are in the region of
    probability p with probability p. Of a density given others n rows are drawn for each row, else n, or ten for each
    row, for all.

    Parameters
    ----------
    X, given : as for `Flow.score_samples`
        Rows that the flow was not fitted to.
    """
    rng = np.random.default_rng(random_state)
    values = []
    if not flow.context_columns_:
        scores = flow.score_samples(X)
        drawn = np.sort(flow.score_samples(flow.sample(max(n, 10 * len(scores)), int(rng.integers(2**63)))))
        # As high a score as the row's, or a higher one.
        values.append(1.0 - np.searchsorted(drawn, scores, side="left") / len(drawn))
    else:
        for rows, context in flow._pairs(X, given):
            context = np.broadcast_to(context, (len(rows), context.shape[1]))
            scores = flow._native.log_prob(rows, context)
            drawn = _scores_of_samples(flow, context, n, rng)
            values.append((drawn >= scores[:, None]).mean(axis=1))
    caption = (
        "The probability of the region in which the model's density is higher than at a row. Where the density is true "
        "the bars are flat; bars that rise say that the density is too narrow, or that it misses some rows, bars that "
        "fall that it is too broad."
    )
    return Calibration("coverage", np.concatenate(values), "probability of higher density", caption)


def sbc(posterior: Flow, theta: Any, x: Any, *, n: int = 500, random_state: Any = None) -> dict[str, Calibration]:
    """Simulation-based calibration (Talts et al. 2018): the rank of each parameter that made some data among those that the
    posterior draws for the data, by the parameters' names.

    Parameters
    ----------
    posterior : couplet.Flow
        The density of parameters given data.
    theta, x : tables of as many rows
        Parameters from the prior, and data simulated with them.
    """
    rng = np.random.default_rng(random_state)
    numbers = [j for j, (levels, _) in enumerate(posterior._fitted().kinds) if not levels]
    ranks = []
    for rows, context in posterior._pairs(theta, x):
        drawn = _samples(posterior, context, n, rng)[:, :, numbers]
        below = (drawn < rows[:, None, numbers]).sum(axis=1) + rng.uniform(size=(len(rows), len(numbers)))
        # Whole numbers may be equal.
        below += rng.uniform(size=below.shape) * (drawn == rows[:, None, numbers]).sum(axis=1)
        ranks.append(below / (n + 1.0))
    values = np.concatenate(ranks)
    caption = (
        "The rank of the true parameter among those that the model draws for its data. Where the posterior is true the "
        "bars are flat; a U says that it is too narrow, a hump that it is too broad, a slope that it is off to one side."
    )
    names = [posterior.columns_[j] for j in numbers]
    return {name: Calibration(f"SBC of {name}", values[:, k], f"rank of {name}", caption) for k, name in enumerate(names)}


def tarp(posterior: Flow, theta: Any, x: Any, *, n: int = 500, random_state: Any = None) -> Calibration:
    """Tests of accuracy with random points (Lemos et al. 2023): the part of a posterior's draws that is nearer to a random
    point than the true parameters are. Unlike ranks of single parameters, uniform if and only if the posterior is true,
    over all such points.

    Parameters
    ----------
    posterior, theta, x : as for `sbc`
    """
    rng = np.random.default_rng(random_state)
    pairs = list(posterior._pairs(theta, x))
    every = np.concatenate([rows for rows, _ in pairs])
    low, high = every.min(axis=0), every.max(axis=0)
    width = np.where(high > low, high - low, 1.0)
    values = []
    for rows, context in pairs:
        points = rng.uniform(size=rows.shape)
        drawn = (_samples(posterior, context, n, rng) - low) / width
        distance = (((rows - low) / width - points) ** 2).sum(axis=1)
        of_drawn = ((drawn - points[:, None, :]) ** 2).sum(axis=2)
        values.append(((of_drawn < distance[:, None]).sum(axis=1) + rng.uniform(size=len(rows))) / (n + 1.0))
    caption = (
        "The part of the model's draws that is nearer to a random point than the true parameters are. Where the posterior"
        " is true the bars are flat; a U says that it is too narrow, a hump that it is too broad."
    )
    return Calibration("TARP", np.concatenate(values), "part of the draws nearer to a random point", caption)


@dataclass(frozen=True)
class TwoSample:
    """Whether a classifier can tell rows of data from those of a model."""

    #: The fraction of rows that it told right; 0.5 where it cannot.
    accuracy: float
    #: Its standard error by chance.
    error: float
    #: How likely chance makes it as accurate.
    p_value: float
    #: The part of the model's rows that the classifier takes less for data than each row of data: uniform where it cannot tell.
    ranks: Calibration

    def plot(self) -> Picture:
        """A histogram of the ranks."""
        return self.ranks.plot()

    def __repr__(self) -> str:
        return (
            f"a classifier tells {100.0 * self.accuracy:.1f}% of the rows right (50% by chance, +- {100.0 * self.error:.1f}%)"
        )


def two_sample(flow: Flow, X: Any, *, given: Any = None, random_state: Any = None) -> TwoSample:
    """A classifier two-sample test (Lopez-Paz and Oquab 2017): rows that the flow was not fitted to against as many of its
    samples, with the same context. The classifier is the ratio of two flows, one fitted to half of the data, the other
    to half of the samples; it judges the other halves, and then the halves change sides.

    Parameters
    ----------
    X, given : as for `Flow.score_samples`
        Rows that the flow was not fitted to: 100 or more.
    """
    rng = np.random.default_rng(random_state)
    pairs = [(rows, np.broadcast_to(c, (len(rows), c.shape[1]))) for rows, c in flow._pairs(X, given)]
    data, context = (np.concatenate(parts) for parts in zip(*pairs, strict=True))
    if len(data) < 100:
        raise ValueError(f"X has {len(data)} rows: at least 100 are needed to fit a classifier to")
    order = rng.permutation(len(data))
    data, context = data[order], context[order]
    samples = _samples(flow, context, 1, rng)[:, 0, :]
    kinds = {name: kind for name, (_, kind) in zip(flow.columns_, flow._fitted().kinds, strict=True)}
    settings: dict[str, Any] = {"kinds": kinds, "seed": int(rng.integers(2**31)), "device": "cpu", "mixture": True}
    half = len(data) // 2
    sides = (slice(None, half), slice(half, None))
    of_context = [f"given {name}" for name in flow.context_columns_]

    def table(rows: Array, side: slice) -> dict[str, Array]:
        columns = [*rows[side].T, *context[side].T]
        return dict(zip([*flow.columns_, *of_context], columns, strict=True))

    log_ratios = []
    for fitted, judged in (sides, sides[::-1]):
        both = [_fit_quietly(Flow(**settings), table(rows, fitted), of_context) for rows in (data, samples)]
        for rows in (data, samples):
            of_data, of_samples = (np.maximum(it.score_samples(table(rows, judged)), -1e6) for it in both)
            log_ratios.append(of_data - of_samples)
    of_data, of_samples = np.concatenate(log_ratios[0::2]), np.concatenate(log_ratios[1::2])
    right = 0.5 * (
        (of_data > 0.0).mean() + (of_samples < 0.0).mean() + 0.5 * ((of_data == 0.0).mean() + (of_samples == 0.0).mean())
    )
    error = np.sqrt(0.25 / (2 * len(data)))
    ranks = np.searchsorted(np.sort(of_samples), of_data) / len(of_samples)
    caption = (
        "The part of the model's rows that a classifier takes less for data than a row of data. Where data and samples "
        "are alike the bars are flat; bars that rise say that it can tell them."
    )
    return TwoSample(
        accuracy=float(right),
        error=float(error),
        p_value=0.5 * math.erfc(float((right - 0.5) / error) / math.sqrt(2.0)),
        ranks=Calibration("two-sample test", ranks, "rank among the model's rows", caption),
    )


def _fit_quietly(flow: Flow, table: dict[str, Array], given: list[str]) -> Flow:
    with warnings.catch_warnings():
        # What is odd about the table was said when the flow was fitted.
        warnings.simplefilter("ignore")
        return flow.fit(table, given=given or None)


def _samples(flow: Flow, context: Array, n: int, rng: np.random.Generator) -> Array:
    """n rows drawn for each row of context [rows, n, columns]."""
    blocks = list(_drawn(flow, context, n, rng))
    return np.concatenate(blocks)


def _scores_of_samples(flow: Flow, context: Array, n: int, rng: np.random.Generator) -> Array:
    """The log-densities of n rows drawn for each row of context."""
    scores = []
    begin = 0
    for drawn in _drawn(flow, context, n, rng):
        of_drawn = np.repeat(context[begin : begin + len(drawn)], n, axis=0)
        begin += len(drawn)
        scores.append(flow._native.log_prob(drawn.reshape(-1, drawn.shape[2]), of_drawn).reshape(-1, n))
    return np.concatenate(scores)


def _drawn(flow: Flow, context: Array, n: int, rng: np.random.Generator) -> Iterator[Array]:
    rows = max(_tables.ROWS // n, 1)
    for begin in range(0, len(context), rows):
        given = np.ascontiguousarray(np.repeat(context[begin : begin + rows], n, axis=0))
        drawn = flow._native.sample(0, len(given), int(rng.integers(2**63)), given)
        yield drawn.reshape(-1, n, drawn.shape[1])


def _distance(values: Array) -> float:
    ordered = np.sort(values)
    steps = np.arange(len(ordered) + 1) / len(ordered)
    return float(max((ordered - steps[:-1]).max(), (steps[1:] - ordered).max()))


def _kolmogorov(distance: float, count: int) -> float:
    """The probability that uniform numbers are as far from uniform (Stephens 1970)."""
    root = np.sqrt(count)
    scaled = (root + 0.12 + 0.11 / root) * distance
    if scaled < 0.2:
        return 1.0
    k = np.arange(1, 101)
    return float(np.clip(2.0 * ((-1.0) ** (k - 1) * np.exp(-2.0 * (k * scaled) ** 2)).sum(), 0.0, 1.0))
