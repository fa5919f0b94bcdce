"""The density of a model file in terms of an array library: numpy here; tests/systems has the others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from models import MODELS, fitted
from scipy.special import logsumexp, ndtr

from couplet._reader import model_file
from couplet._reader.density import Density


class Numpy:
    xp = np

    def real(self, x, like):
        return np.asarray(x, dtype=like.dtype)

    def range(self, count, like):
        return np.arange(count)

    def take(self, x, index):
        return np.take_along_axis(x, index, axis=-1)

    def entries(self, table, *indices):
        return table[indices]

    def solve(self, triangle, rows, upper):
        return np.linalg.solve(triangle, rows.swapaxes(-1, -2)).swapaxes(-1, -2)

    def log_sum_exp(self, x):
        return logsumexp(x, axis=0)

    def normal_cdf(self, x):
        return ndtr(x)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.filterwarnings("ignore::couplet.CoupletWarning", "ignore:divide by zero")
def test_density_is_that_of_the_command(name: str, tmp_path: Path) -> None:
    model = fitted(name, tmp_path)
    density = Density(model_file.read(model.path))
    assert density.columns == model.flow.columns_
    assert density.context_columns == model.flow.context_columns_
    arrays = density.parameters | density.constants
    log_prob = density.log_prob(Numpy(), arrays, model.rows, model.context)
    assert np.isfinite(model.log_prob).sum() > 30
    np.testing.assert_allclose(log_prob, model.log_prob, atol=1e-6, rtol=1e-6)
