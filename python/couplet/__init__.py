"""Normalizing flows for tables of numbers: exact densities, samples and scores, trained on any GPU or on the CPU.

>>> import numpy as np, couplet
>>> rng = np.random.default_rng(1)
>>> angle = rng.uniform(0, 2 * np.pi, 1000)
>>> ring = np.column_stack([np.cos(angle), np.sin(angle)]) + 0.1 * rng.normal(size=(1000, 2))
>>> flow = couplet.Flow(steps=300).fit(ring)
>>> on_ring, in_the_middle = flow.score_samples([[1.0, 0.0], [0.0, 0.0]])
>>> bool(on_ring > in_the_middle)
True
"""

from couplet._couplet import Picture, __version__
from couplet._errors import (
    CoupletWarning,
    DataQualityWarning,
    DeviceError,
    DivergedError,
    FitWarning,
    NotFittedError,
)
from couplet._flow import Flow
from couplet._importance import Importance, importance
from couplet._pictures import Pictures
from couplet._progress import Progress
from couplet._regressor import FlowRegressor
from couplet._report import Report

__all__ = [
    "CoupletWarning",
    "DataQualityWarning",
    "DeviceError",
    "DivergedError",
    "FitWarning",
    "Flow",
    "FlowRegressor",
    "Importance",
    "NotFittedError",
    "Picture",
    "Pictures",
    "Progress",
    "Report",
    "__version__",
    "importance",
]
