"""What every estimator has: settings, and scikit-learn's ways with them."""

from __future__ import annotations

import inspect
import json
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from couplet._devices import has_gpu
from couplet._progress import Progress

Self = TypeVar("Self", bound="Estimator")

#: Parameters of an estimator that are no settings of the fit.
_OWN = ("threads", "warm_start", "progress")


class Estimator:
    """Stores its parameters, and nothing else before it is fitted."""

    threads: int | None
    warm_start: bool
    progress: bool | Callable[[Progress], object] | None
    device: str
    kinds: Mapping[str, str] | None

    def __init__(
        self,
        *,
        preset: str | None = None,
        layers: int | None = None,
        coupling: str | None = None,
        bins: int | None = None,
        spline_bound: float | None = None,
        mixing: str | None = None,
        mixture: bool | None = None,
        conditioner: str | None = None,
        hidden: Sequence[int] | None = None,
        activation: str | None = None,
        separate: bool | None = None,
        degree: int | None = None,
        total_degree: int | None = None,
        base: str | None = None,
        scale_bound: float | None = None,
        input_bound: float | None = None,
        steps: int | None = None,
        extension: int | None = None,
        batch_size: int | None = None,
        learning_rate: float | None = None,
        schedule: str | None = None,
        warm_up: int | None = None,
        weight_decay: float | None = None,
        clip_norm: float | None = None,
        average: float | None = None,
        validation: float | None = None,
        patience: int | None = None,
        ensemble: int | None = None,
        effort: float | None = None,
        start: str | None = None,
        seed: int | None = None,
        standardize: bool | None = None,
        whiten: bool | None = None,
        robust: bool | None = None,
        kinds: Mapping[str, str] | None = None,
        device: str = "auto",
        adapter: str | None = None,
        gpu_path: str | None = None,
        fallback: str | None = None,
        threads: int | None = None,
        warm_start: bool = False,
        progress: bool | Callable[[Progress], object] | None = None,
    ) -> None:
        vars(self).update({name: value for name, value in locals().items() if name != "self"})

    @classmethod
    def _parameters(cls) -> list[str]:
        return [name for name in inspect.signature(Estimator.__init__).parameters if name != "self"]

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The parameters by their names; `deep` changes nothing, since none is an estimator."""
        return {name: getattr(self, name) for name in self._parameters()}

    def set_params(self: Self, **params: Any) -> Self:
        """Changes some parameters; the next fit has them."""
        known = self._parameters()
        for name, value in params.items():
            if name not in known:
                raise ValueError(f"Invalid parameter {name!r} for estimator {self}. Valid parameters are: {', '.join(known)}.")
            setattr(self, name, value)
        return self

    def _changed(self) -> dict[str, Any]:
        """The parameters that are not what they are by default."""
        defaults = inspect.signature(Estimator.__init__).parameters
        return {name: value for name, value in self.get_params().items() if value is not defaults[name].default}

    def __repr__(self) -> str:
        changed = ", ".join(f"{name}={value!r}" for name, value in self._changed().items())
        return f"{type(self).__name__}({changed})"

    def _settings(self) -> str:
        """What the native half is to know of the parameters."""
        return settings_to_json({name: value for name, value in self.get_params().items() if name not in _OWN})

    def _device_settings(self) -> str:
        """The same, of the device alone."""
        return settings_to_json({name: getattr(self, name) for name in ("device", "adapter", "gpu_path", "fallback")})

    def _thread_count(self) -> int | None:
        if self.threads is None:
            return None
        count = int(self.threads)
        if count < 1:
            raise ValueError(f"threads={self.threads!r}: must be at least 1, or None for all cores")
        return count

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "n_features_in_")


def settings_to_json(settings: dict[str, Any]) -> str:
    """Settings that are not None, as JSON."""
    if settings["device"] == "auto" and settings["adapter"] is None and not has_gpu():
        settings = {**settings, "device": "cpu"}
    return json.dumps({name: value for name, value in settings.items() if value is not None}, default=_plain)


def _plain(value: Any) -> Any:
    """A number or array of numpy's, or a path, as JSON has it."""
    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    raise TypeError(f"a setting cannot be of type {type(value).__name__}: {value!r}")
