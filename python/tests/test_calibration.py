"""Checks of calibration: a model that is right passes, and one that is wrong does not."""

from __future__ import annotations

import numpy as np
import pytest

import couplet
from couplet import calibration

pytestmark = pytest.mark.filterwarnings("ignore::couplet.CoupletWarning")
QUICK = {"seed": 1, "ensemble": 1, "mixture": False, "steps": 1500}


def simulate(rows: int, seed: int, narrow: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Two parameters, and two numbers simulated with them; or parameters whose posterior is `narrow` times as wide."""
    rng = np.random.default_rng(seed)
    theta = rng.normal(size=(rows, 2))
    x = theta + 0.5 * rng.normal(size=(rows, 2))
    mean = x / 1.25
    return mean + narrow * (theta - mean), x


@pytest.fixture(scope="module")
def posteriors() -> dict[str, couplet.Flow]:
    return {
        "right": couplet.Flow(**QUICK).fit(simulate(12_000, 1)[0], given=simulate(12_000, 1)[1]),
        "narrow": couplet.Flow(**QUICK).fit(simulate(12_000, 1, 0.8)[0], given=simulate(12_000, 1, 0.8)[1]),
    }


def test_a_posterior_is_calibrated_and_one_too_narrow_is_not(posteriors: dict[str, couplet.Flow]) -> None:
    theta, x = simulate(1000, 2)
    for name, flow in posteriors.items():
        ranks = calibration.sbc(flow, theta, x, n=200, random_state=1)
        assert list(ranks) == flow.columns_
        checks = [calibration.coverage(flow, theta, given=x, n=300, random_state=1), *ranks.values()]
        checks.append(calibration.tarp(flow, theta, x, n=200, random_state=1))
        if name == "right":
            assert all(check.p_value > 0.003 for check in checks), checks
            low, high = checks[0].band(0.9, 3.0)
            assert low < checks[0].covered(0.9) < high
        else:
            assert checks[0].p_value < 1e-6 and checks[1].p_value < 1e-2 and checks[2].p_value < 1e-2, checks
            assert checks[0].covered(0.9) < checks[0].band(0.9)[0]
        for check in checks:
            assert len(check.values) == 1000 and ((check.values >= 0.0) & (check.values <= 1.0)).all()
            assert "flat" in check.plot().caption and check.plot().svg().startswith("<svg")


def test_probabilities_of_one_column_are_uniform(posteriors: dict[str, couplet.Flow]) -> None:
    rng = np.random.default_rng(1)
    x = rng.uniform(-2.0, 2.0, 6000)
    y = np.sin(x) + 0.3 * rng.normal(size=6000)
    flow = couplet.Flow(**QUICK).fit(y[:4000, None], given=x[:4000])
    assert calibration.pit(flow, y[4000:, None], given=x[4000:]).p_value > 0.003
    wider = np.sin(x) + 0.375 * rng.normal(size=6000)
    assert calibration.pit(flow, wider[4000:, None], given=x[4000:]).p_value < 1e-4


def test_a_mode_that_is_missing_is_found() -> None:
    rng = np.random.default_rng(5)
    modes = np.array([[0.0, 0.0], [5.0, 0.0], [0.0, 5.0]])
    of = lambda rows, count: modes[rng.integers(count, size=rows)] + rng.normal(size=(rows, 2))  # noqa: E731
    rows = of(1500, 3)
    right, wrong = couplet.Flow(**QUICK).fit(of(6000, 3)), couplet.Flow(**QUICK).fit(of(6000, 2))
    passed, failed = (calibration.two_sample(flow, rows, random_state=1) for flow in (right, wrong))
    assert passed.p_value > 0.003 and abs(passed.accuracy - 0.5) < 0.06
    assert failed.p_value < 1e-9 and failed.accuracy > 0.6
    assert "%" in repr(failed) and failed.plot().name == "calibration"
    assert calibration.coverage(wrong, rows, random_state=1).p_value < 1e-9
    assert calibration.coverage(right, rows, random_state=1).p_value > 0.003


def test_uniform_numbers_are_as_far_from_uniform_as_they_should_be() -> None:
    rng = np.random.default_rng(2)
    values = [calibration._kolmogorov(calibration._distance(rng.uniform(size=200)), 200) for _ in range(2000)]
    assert calibration._kolmogorov(calibration._distance(np.array(values)), 2000) > 1e-3


def test_what_cannot_be_checked_is_refused(flow: couplet.Flow) -> None:
    with pytest.raises(ValueError, match="at least 100"):
        calibration.two_sample(flow, np.zeros((20, 2)))
