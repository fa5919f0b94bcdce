"""scikit-learn's own checks of estimators, and its tools with ours."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import couplet

sklearn = pytest.importorskip("sklearn")

from sklearn.base import clone, is_regressor  # noqa: E402
from sklearn.exceptions import NotFittedError  # noqa: E402
from sklearn.model_selection import GridSearchCV, cross_val_score  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import StandardScaler  # noqa: E402
from sklearn.utils.estimator_checks import check_estimator  # noqa: E402

SETTINGS: dict[str, Any] = {"steps": 100, "layers": 2, "hidden": (8,), "device": "cpu"}

WEIGHTS = "rows are held out and drawn into batches by their numbers, so other rows of the same weight train on other batches; \
that a row of weight 2 counts as two is tested in 64 bits, in Rust"
NO_DENSITY = "its y is a linear function of X, and a number that follows from others has no density: it is refused"

# Checks that do not apply, and why.
WAIVED: dict[str, dict[str, str]] = {
    "Flow": {"check_sample_weight_equivalence_on_dense_data": WEIGHTS},
    "FlowRegressor": {
        "check_sample_weight_equivalence_on_dense_data": NO_DENSITY,
        "check_sample_weights_shape": NO_DENSITY,
        "check_sample_weights_not_overwritten": NO_DENSITY,
        "check_regressors_no_decision_function": NO_DENSITY,
        "check_supervised_y_2d": "a column is taken as a column, without the warning",
    },
}

# What scikit-learn leaves out by itself.
SKIPPED = {"check_array_api_input"}


@pytest.mark.parametrize("kind", [couplet.Flow, couplet.FlowRegressor])
def test_checks_of_estimators_pass(kind: type) -> None:
    waived = WAIVED[kind.__name__]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results = check_estimator(kind(**SETTINGS), expected_failed_checks=waived, on_fail=None, on_skip=None)
    by_status: dict[str, set[str]] = {}
    for result in results:
        by_status.setdefault(result["status"], set()).add(result["check_name"])
    failed = [f"{it['check_name']}: {it['exception']!r}" for it in results if it["status"] == "failed"]
    assert not failed, "\n".join(failed)
    assert by_status.get("xfail", set()) == set(waived), "waived, and passes"
    assert by_status.get("skipped", set()) <= SKIPPED
    assert len(by_status["passed"]) > 40


def test_parameters_are_stored_cloned_and_changed() -> None:
    flow = couplet.Flow(steps=7, hidden=(3, 4), coupling="affine")
    same = clone(flow)
    assert same.get_params() == flow.get_params() and same is not flow
    assert repr(same) == "Flow(coupling='affine', hidden=(3, 4), steps=7)"
    assert same.set_params(steps=8).steps == 8
    with pytest.raises(ValueError, match="Invalid parameter 'step' for estimator"):
        same.set_params(step=8)
    with pytest.raises(TypeError, match="step"):
        couplet.Flow(step=8)
    assert is_regressor(couplet.FlowRegressor())


def test_scikit_learns_exception_is_raised() -> None:
    with pytest.raises(NotFittedError):
        couplet.Flow().score_samples([[1.0]])


def test_pipelines_searches_and_cross_validation_work(moons: np.ndarray) -> None:
    pipeline = make_pipeline(StandardScaler(), couplet.Flow(**SETTINGS))
    in_units = pipeline.fit(moons).score_samples(moons) - np.log(moons.std(axis=0)).sum()
    alone = couplet.Flow(**SETTINGS).fit(moons).score_samples(moons)
    assert np.abs(in_units - alone).max() < 0.05
    assert cross_val_score(couplet.Flow(**SETTINGS), moons, cv=3).mean() > -2.6
    search = GridSearchCV(couplet.Flow(**SETTINGS), {"steps": [1, 100]}, cv=2, n_jobs=2).fit(moons)
    assert search.best_params_ == {"steps": 100}


def test_names_are_those_of_the_frame(moons: np.ndarray) -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(moons, columns=["a", "b"])
    flow = couplet.Flow(**SETTINGS).fit(frame)
    assert list(flow.feature_names_in_) == ["a", "b"] and flow.n_features_in_ == 2
    assert list(flow.get_feature_names_out()) == ["flow0", "flow1"]
    assert not hasattr(flow.fit(moons), "feature_names_in_")
