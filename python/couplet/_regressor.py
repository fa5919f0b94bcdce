from __future__ import annotations

from typing import Any

import numpy as np

from couplet import _errors
from couplet._base import Estimator
from couplet._flow import Flow
from couplet._report import Report
from couplet._tables import Array, as_column, has_names, kind_of, rows_of, source


class FlowRegressor(Estimator):
    """The whole distribution of one number given others: its mean, its quantiles, its density.

    It is a flow over y with X as context, and is called as scikit-learn's regressors are.

    Parameters
    ----------
    **settings
        Those of `couplet.Flow`.
    """

    #: The flow over y given X.
    flow_: Flow
    report_: Report
    n_features_in_: int

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> FlowRegressor:
        """Fits the distribution of `y`, n numbers, given the n rows of `X`, whose text columns are categories."""
        if y is None:
            raise ValueError("requires y to be passed, but the target y is None")
        target = _target(y)
        flow = self.flow_ if self.warm_start and self.__sklearn_is_fitted__() else Flow()
        flow.set_params(**self.get_params())
        names = getattr(X, "columns", None)
        _check_rows(X, None)
        try:
            flow.fit(target, given=X, sample_weight=sample_weight)
        finally:
            if flow.__sklearn_is_fitted__():
                self.flow_ = flow
                self.n_features_in_ = len(flow.context_columns_)
                vars(self).pop("feature_names_in_", None)
                if names is not None and kind_of(X) != "numpy" and all(isinstance(name, str) for name in names):
                    self.feature_names_in_ = np.array(list(names), dtype=object)
                if hasattr(flow, "report_"):
                    self.report_ = flow.report_
        return self

    def predict(self, X: Any) -> Array:
        """The mean of y given each row."""
        return self._flow_for(X).mean(given=X)

    def predict_quantiles(self, X: Any, probabilities: Any = (0.05, 0.25, 0.5, 0.75, 0.95)) -> Array:
        """The numbers that y is below with these probabilities, a row of them for each row."""
        return self._flow_for(X).quantiles(probabilities, given=X)

    def predict_interval(self, X: Any, coverage: float = 0.9) -> Array:
        """Two numbers a row, between which y lies with a probability of `coverage`, and outside as often on either side."""
        if not 0 < coverage < 1:
            raise ValueError(f"coverage={coverage}: must be above 0 and below 1")
        return self._flow_for(X).quantiles([(1 - coverage) / 2, (1 + coverage) / 2], given=X)

    def log_prob(self, X: Any, y: Any) -> Array:
        """The log-density of each y given its row, in nats."""
        return self._flow_for(X).score_samples(_target(y), given=X)

    def cdf(self, X: Any, y: Any) -> Array:
        """The probability of less than each y, given its row: uniform where the distribution is right."""
        return self._flow_for(X).cdf(_target(y), given=X)

    def sample(self, X: Any, n_samples: int = 1, random_state: Any = None) -> Array:
        """Draws of y, `n_samples` a row."""
        drawn = self._flow_for(X).sample(n_samples, random_state, given=X)
        return np.asarray(drawn, dtype=np.float64).reshape(-1, n_samples)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """The coefficient of determination of the means, as of scikit-learn's regressors: 1 where they are right."""
        truth = np.asarray(_target(y), dtype=np.float64).ravel()
        weights = np.ones_like(truth) if sample_weight is None else np.asarray(sample_weight, dtype=np.float64)
        mean = np.average(truth, weights=weights)
        errors = np.sum(weights * (truth - self.predict(X)) ** 2)
        return float(1 - errors / np.sum(weights * (truth - mean) ** 2))

    def __sklearn_tags__(self) -> Any:
        from sklearn.utils import InputTags, RegressorTags, Tags, TargetTags

        return Tags(
            estimator_type="regressor",
            target_tags=TargetTags(required=True, one_d_labels=True),
            regressor_tags=RegressorTags(),
            input_tags=InputTags(),
        )

    def _flow_for(self, X: Any) -> Flow:
        """The flow, if X has the columns that it was fitted with."""
        if not self.__sklearn_is_fitted__():
            raise _errors.not_fitted(type(self).__name__)
        _check_rows(X, self.n_features_in_)
        return self.flow_


def _check_rows(X: Any, width: int | None) -> None:
    """Refuses an array that is no table, or not of this width."""
    table = source(X, "X")
    if has_names(table):
        return
    if table.ndim != 2 or 0 in table.shape:
        rows_of(table, "X")
    if width is not None and table.shape[1] != width:
        raise ValueError(f"X has {table.shape[1]} features, but FlowRegressor is expecting {width} features as input")


def _target(y: Any) -> Any:
    """One number a row, as a table of one column."""
    table = as_column(source(y, "y"))
    if isinstance(table, np.ndarray) and table.ndim == 2 and table.shape[1] != 1:
        raise ValueError(f"y should be a 1d array, got an array of shape {table.shape} instead")
    return y if not isinstance(table, np.ndarray) else table
