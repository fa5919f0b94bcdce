"""Distances between densities that are known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import couplet
from couplet import divergence

pytestmark = pytest.mark.filterwarnings("ignore::couplet.CoupletWarning")
#: A flow that is the identity: what it sees is whitened, so that the density is a Gaussian with the rows' mean and covariance.
GAUSSIAN = {"steps": 0, "start": "identity", "robust": False, "ensemble": 1, "mixture": False}


@pytest.fixture(scope="module")
def gaussians() -> dict[str, couplet.Flow]:
    rng = np.random.default_rng(1)
    z = rng.normal(size=(20_000, 2))
    frame = lambda rows: pd.DataFrame(rows, columns=["a", "b"])  # noqa: E731
    return {
        "unit": couplet.Flow(**GAUSSIAN).fit(frame(z)),
        "moved": couplet.Flow(**GAUSSIAN).fit(frame(z + np.array([1.0, 0.0]))[["b", "a"]]),
        "wide": couplet.Flow(**GAUSSIAN).fit(frame(10.0 * z)),
    }


def test_divergences_of_gaussians_are_those_in_closed_form(gaussians: dict[str, couplet.Flow]) -> None:
    unit, moved, wide = (gaussians[name] for name in ("unit", "moved", "wide"))
    assert abs(float(divergence.kl(unit, moved, random_state=1)) - 0.5) < 0.03
    # ln 100 + 2 / 200 - 1.
    found = divergence.kl(unit, wide, random_state=1)
    assert abs(found.value - 3.615) < 0.03 and found.error < 0.02
    # 2 Phi(1 / 2) - 1.
    found = divergence.total_variation(unit, moved, random_state=1)
    assert abs(found.value - 0.3829) < 0.01 and found.error < 0.005
    assert divergence.total_variation(unit, unit, random_state=1).value == 0.0
    assert divergence.kl(unit, lambda rows: np.where(rows["a"] > 3.0, -np.inf, 0.0)).value == np.inf
    # Two parameters, and a prior that is flat where the posterior is.
    assert abs(divergence.dimensionality(unit, wide, random_state=1).value - 1.96) < 0.15
    assert abs(divergence.dimensionality(unit, lambda rows: np.zeros(len(rows["a"])), random_state=1).value - 2.0) < 0.15


def test_a_marginal_is_the_density_of_its_columns() -> None:
    rng = np.random.default_rng(2)
    count = rng.poisson(4.0, 6000)
    side = np.where(rng.uniform(size=6000) < 0.7, "l", "r")
    frame = pd.DataFrame({"x": rng.normal(size=6000) + count, "count": count, "side": side})
    flow = couplet.Flow(steps=600, seed=1).fit(frame)
    of_count = divergence.marginal(flow, ["count"], 6000, random_state=1, steps=300)
    probabilities = np.exp(of_count.score_samples(np.arange(15.0)[:, None]))
    truth = np.bincount(count, minlength=15)[:15] / 6000
    assert np.abs(probabilities - truth).max() < 0.03 and abs(probabilities.sum() - 1.0) < 0.02
    assert divergence.marginal(flow, ["x", "side"], 2000, random_state=1, steps=50).columns_ == ["x", "side"]
    with pytest.raises(ValueError, match=r"there is no 'y'; the flow has x, count, side"):
        divergence.marginal(flow, ["y"])


def test_densities_of_other_columns_are_not_compared(gaussians: dict[str, couplet.Flow], flow: couplet.Flow) -> None:
    with pytest.raises(ValueError, match="one density is of a, b, the other of x0, x1"):
        divergence.kl(gaussians["unit"], flow)
