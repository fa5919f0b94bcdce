from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Curve = NDArray[np.float64]


@dataclass(frozen=True)
class Report:
    """How a fit went and how good the model is, in nats and in the units of the table. A notebook shows it with its curves."""

    #: Mean of -log_prob over the rows trained on.
    nll: float
    #: The same over the rows held out, if any.
    validation_nll: float | None
    #: What simpler models make of the rows held out, by their names.
    baselines: dict[str, float]
    #: What the model is made of, where it is not one flow: mixtures of Gaussians, where rows are few.
    members: str | None
    #: How good the model is, in a sentence; none where no rows were held out to tell.
    verdict: str | None
    #: What might make it better.
    advice: str | None
    #: What in the table speaks against fitting a density to it.
    warnings: list[str]
    #: Rows trained on, and held out.
    rows: int
    rows_held_out: int
    #: Steps taken, and the one whose parameters were kept; of several flows, their sums.
    steps: int
    best_step: int
    #: The time that training took, and what it ran on.
    seconds: float
    device: str
    #: Every setting, defaults included: `model`, `train` and `data`.
    settings: dict[str, Any]
    #: Steps and losses, a row each: of the rows of each step, and of the rows held out.
    losses: Curve = field(repr=False)
    validation_losses: Curve = field(repr=False)
    #: Nats a row that the context is worth, of a conditional density.
    worth_of_context: float | None
    #: How far the probabilities below held-out numbers are from uniform, of a flow over one column (Kolmogorov distance).
    calibration: float | None
    #: How many rows of equal weight tell as much, where rows have weights.
    effective_sample_size: float | None
    text: str = field(repr=False)
    html: str = field(repr=False)

    def __str__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        return self.html


def report_of(native: dict[str, Any]) -> Report:
    """The report of the native half."""
    numbers = json.loads(native["json"])
    steps = numbers["steps"]
    return Report(
        nll=numbers["nll"],
        validation_nll=numbers.get("validation_nll"),
        baselines=numbers.get("baselines", {}),
        members=numbers.get("members"),
        verdict=native["verdict"],
        advice=native["advice"],
        warnings=native["warnings"],
        rows=native["rows"],
        rows_held_out=native["rows_held_out"],
        steps=steps,
        best_step=numbers.get("best_step", steps),
        seconds=numbers["seconds"],
        device=numbers["device"],
        settings=json.loads(native["settings"]),
        losses=_curve(native["losses"]),
        validation_losses=_curve(native["validation"]),
        worth_of_context=numbers.get("worth_of_context"),
        calibration=numbers.get("calibration"),
        effective_sample_size=numbers.get("effective_sample_size"),
        text=native["text"],
        html=native["html"],
    )


def _curve(points: list[tuple[float, float]]) -> Curve:
    return np.array(points, dtype=np.float64).reshape(-1, 2)
