"""Weights that make a flow's rows those of another density."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import couplet


def gaussian(rows: np.ndarray) -> np.ndarray:
    """A correlated Gaussian in three columns whose integral is exp(2.5)."""
    rows = np.asarray(rows)
    z = np.linalg.solve(LOWER, (rows - MEAN).T)
    return 2.5 - 0.5 * (z**2).sum(axis=0) - np.log(np.diag(LOWER)).sum() - 1.5 * np.log(2.0 * np.pi)


LOWER = np.array([[2.0, 0.0, 0.0], [1.5, 0.3, 0.0], [-1.0, 0.2, 1e-2]])
MEAN = np.array([3.0, -100.0, 1e-3])


def banana(rows: np.ndarray) -> np.ndarray:
    """A curved density whose integral is exp(-1)."""
    x, y = np.asarray(rows).T
    return -1.0 - 0.5 * x**2 - 0.5 * ((y - x**2) / 0.5) ** 2 - np.log(2.0 * np.pi * 0.5)


@pytest.fixture(scope="module")
def chains() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(3)
    x = rng.normal(size=4000)
    return {
        "gaussian": MEAN + rng.normal(size=(4000, 3)) @ LOWER.T,
        "banana": np.column_stack([x, x**2 + 0.5 * rng.normal(size=4000)]),
    }


@pytest.mark.filterwarnings("ignore::couplet.CoupletWarning")
@pytest.mark.parametrize(("name", "log_density", "truth"), [("gaussian", gaussian, 2.5), ("banana", banana, -1.0)])
def test_evidence_of_a_posterior_is_within_its_error(chains: dict, name: str, log_density, truth: float) -> None:
    flow = couplet.Flow(seed=1, steps=1500).fit(chains[name])
    found = couplet.importance(flow, log_density, 8000, random_state=5)
    assert abs(found.log_evidence - truth) < 3.0 * found.log_evidence_error
    assert 0.0 < found.log_evidence_error < 0.02
    # Up to 0.7 such weights are reliable; which flow this is depends on the processor's vectors.
    assert found.effective_sample_size > 5000 and found.pareto_k < 0.7
    assert found.weights.sum() == pytest.approx(1.0) and len(found.samples) == 8000
    # The weighted rows have the density's mean, and those drawn again, too.
    mean = chains[name].mean(axis=0)
    deviation = chains[name].std(axis=0)
    assert (np.abs(found.weights @ found.samples - mean) < 0.06 * deviation).all()
    again = found.samples[found.resample(4000, 1)]
    assert (np.abs(again.mean(axis=0) - mean) < 0.1 * deviation).all()
    assert "log evidence" in repr(found)


@pytest.mark.filterwarnings("ignore::couplet.CoupletWarning")
def test_a_proposal_that_is_too_narrow_is_told_and_helped(chains: dict) -> None:
    narrow = chains["gaussian"].mean(axis=0) + 0.5 * (chains["gaussian"] - chains["gaussian"].mean(axis=0))
    flow = couplet.Flow(seed=1, steps=500, mixture=False).fit(narrow)
    alone = couplet.importance(flow, gaussian, 8000, defensive=0.0, random_state=1)
    helped = couplet.importance(flow, gaussian, 8000, defensive=0.3, widening=3.0, random_state=1)
    assert alone.pareto_k > 0.7 and helped.pareto_k < 0.5
    assert abs(helped.log_evidence - 2.5) < 3.0 * helped.log_evidence_error < 0.3


def test_smoothing_finds_the_shape_of_a_tail() -> None:
    rng = np.random.default_rng(2)
    for k in (0.3, 0.9):
        ratios = (rng.uniform(size=50_000) ** -k - 1.0) / k + 1e-3
        smoothed, found = couplet._importance._smoothed(np.log(ratios))
        assert abs(found - k) < 0.1
        assert (np.diff(smoothed[np.argsort(ratios)]) >= 0.0).all() and smoothed.max() <= np.log(ratios).max()


@pytest.mark.filterwarnings("ignore::couplet.CoupletWarning")
def test_tables_contexts_and_kinds_go_through(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"x": rng.normal(size=800), "side": rng.choice(["l", "r"], 800), "count": rng.poisson(3.0, 800)})
    flow = couplet.Flow(steps=60, seed=1).fit(frame)

    def log_density(rows: pd.DataFrame) -> pd.Series:
        assert set(rows["side"]) == {"l", "r"} and rows["count"].dtype == frame["count"].dtype
        return -0.5 * rows["x"] ** 2

    found = couplet.importance(flow, log_density, 500, random_state=1)
    assert list(found.samples.columns) == ["x", "side", "count"]
    given = couplet.Flow(steps=60, seed=1).fit(frame[["x", "count"]].astype(float), given=["count"])
    found = couplet.importance(given, lambda rows: -0.5 * rows["x"] ** 2, 500, given={"count": 2.0}, random_state=1)
    assert abs(found.log_evidence - 0.5 * np.log(2.0 * np.pi)) < 0.3


@pytest.mark.parametrize(
    ("log_density", "words"),
    [
        (lambda rows: np.zeros(3), "1000 numbers are needed"),
        (lambda rows: np.where(np.arange(len(rows)) == 7, np.nan, 0.0), "row 7"),
        (lambda rows: np.full(len(rows), -np.inf), "minus infinity at every row"),
    ],
)
def test_densities_that_are_none_are_refused(flow: couplet.Flow, log_density, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        couplet.importance(flow, log_density, 1000)
    with pytest.raises(ValueError, match="defensive"):
        couplet.importance(flow, log_density, 1000, defensive=1.5)
