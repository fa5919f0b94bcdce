"""What couplet raises and warns of, beside Python's own exceptions."""

from __future__ import annotations

import sys
from typing import Any


class CoupletWarning(UserWarning):
    """Something that the user should know, and may have to act on."""


class DataQualityWarning(CoupletWarning):
    """What speaks against fitting a density to a table: repeated numbers, columns that follow from others, ..."""


class FitWarning(CoupletWarning):
    """Something went wrong in a fit, which went on."""


class NotFittedError(ValueError, AttributeError):
    """A flow is used before it was fitted."""


class DivergedError(ArithmeticError):
    """Training reached numbers that are not finite; the message says where, and what to change."""


class DeviceError(RuntimeError):
    """No GPU is usable, or it failed, and nothing else may be used instead."""


def not_fitted(name: str) -> NotFittedError:
    """The exception for an estimator of this class; scikit-learn's, too, where that is loaded."""
    kind: Any = NotFittedError
    if "sklearn.exceptions" in sys.modules:
        kind = type("NotFittedError", (kind, sys.modules["sklearn.exceptions"].NotFittedError), {})
    error: NotFittedError = kind(f"this {name} is not fitted yet; call fit with a table first")
    return error
