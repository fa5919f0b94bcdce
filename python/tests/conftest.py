from __future__ import annotations

import numpy as np
import pytest

import couplet


@pytest.fixture(scope="session")
def moons() -> np.ndarray:
    """Two columns that a Gaussian does not describe."""
    rng = np.random.default_rng(1)
    angle = rng.uniform(0, np.pi, 1500)
    side = rng.choice([-1, 1], 1500)
    x = side * np.cos(angle) + 0.5 * side + rng.normal(scale=0.1, size=1500)
    return np.column_stack([x, side * np.sin(angle) + rng.normal(scale=0.1, size=1500)])


@pytest.fixture(scope="session")
def flow(moons: np.ndarray) -> couplet.Flow:
    """A flow over them."""
    return couplet.Flow(steps=400, seed=1).fit(moons)
