"""Models of every kind, with the scores that the command gives their rows in f64."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import couplet

#: A line for each kind of model: settings, columns that are given, and the columns of the table that it has.
SMALL = {"steps": 40, "layers": 2, "hidden": [16, 16], "device": "cpu", "seed": 3}
SPLINE = {**SMALL, "bins": 5, "ensemble": 1, "mixture": False}
KINDS = {
    "size": "positive",
    "share": "bounded(0,1)",
    "mark": "bounded(0,10)",
    "rest": "bounded(,3)",
    "count": "integer(0,)",
    "age": "integer",
    "grade": "integer(1,5)",
    "angle": "circular(360)",
    "tens": "circular(360)",
}


@dataclass(frozen=True)
class Case:
    settings: dict[str, Any]
    columns: list[str] = field(default_factory=lambda: ["a", "b", "c"])
    given: list[str] = field(default_factory=list)


MODELS = {
    "spline": Case(SPLINE),
    "untrained spline": Case({**SPLINE, "steps": 0, "start": "random", "mixing": "none", "activation": "tanh"}),
    "narrow spline": Case({**SPLINE, "spline_bound": 1.5, "activation": "silu", "base": "trainable-logistic"}),
    "affine": Case({**SPLINE, "coupling": "affine", "activation": "gelu", "separate": True, "base": "trainable-normal"}),
    "bounded affine": Case({**SPLINE, "coupling": "affine", "scale_bound": 1.5, "mixing": "none", "robust": False}),
    "additive": Case({**SPLINE, "coupling": "additive", "base": "logistic", "whiten": False}),
    "hermite": Case({**SPLINE, "coupling": "affine", "conditioner": "hermite", "input_bound": 2.0, "separate": True}),
    "legendre": Case({**SPLINE, "coupling": "additive", "conditioner": "legendre", "input_bound": 1.0, "total_degree": 4}),
    "as published": Case({"preset": "published", "steps": 30, "device": "cpu", "seed": 1}),
    "one column": Case({**SPLINE}, ["a"]),
    "one affine column": Case({**SPLINE, "coupling": "affine"}, ["a"]),
    "given": Case({**SPLINE}, ["a", "b", "c", "side", "angle"], ["b", "side", "angle"]),
    "one column given": Case({**SPLINE, "coupling": "affine"}, ["a", "b", "c"], ["b", "c"]),
    "ensemble": Case({**SMALL, "bins": 5, "ensemble": 2, "mixture": False}),
    "ensemble and mixture": Case({**SMALL, "bins": 5, "ensemble": 2, "mixture": True}),
    "mixture": Case({**SMALL, "steps": 0, "mixture": True}),
    "mixture given": Case({**SMALL, "steps": 0, "mixture": True}, ["a", "b", "side"], ["a", "side"]),
    "positive": Case({**SPLINE}, ["size", "a"]),
    "bounded": Case({**SPLINE}, ["share", "mark", "rest"]),
    "counts alone": Case({**SPLINE}, ["count"]),
    "counts in a mixture": Case({**SMALL, "steps": 0, "mixture": True}, ["age"]),
    "logistic counts given": Case({**SPLINE, "base": "trainable-logistic"}, ["grade", "a"], ["a"]),
    "a count": Case({**SPLINE}, ["a", "count"]),
    "two counts": Case({**SPLINE}, ["a", "grade", "count"]),
    "three counts": Case({**SPLINE}, ["grade", "count", "age"]),
    "four counts": Case({**SPLINE}, ["grade", "count", "age", "bit", "a"]),
    "angles": Case({**SPLINE}, ["angle", "tens", "a"]),
    "categories": Case({**SPLINE}, ["side", "a", "place", "b"]),
    "categories given": Case({**SPLINE}, ["side", "a", "place", "count"], ["place"]),
    "everything": Case({**SMALL, "ensemble": 2, "mixture": True}, ["side", "a", "mark", "count", "angle", "place"]),
}


def table(rows: int = 600) -> pd.DataFrame:
    """Columns of all kinds that hang together."""
    rng = np.random.default_rng(7)
    z = rng.normal(size=(rows, 3)) @ [[1.0, 0.6, 0.0], [0.0, 0.8, -0.4], [0.0, 0.0, 1.0]]
    x = z[:, 0]
    mark = np.round(np.clip(5.0 + 3.0 * z[:, 1], 0.0, 10.0), 1)
    return pd.DataFrame(
        {
            "a": x,
            "b": 100.0 + 3.0 * z[:, 1] + x**2,
            "c": np.sinh(z[:, 2]),
            "size": np.exp(0.8 * z[:, 1]),
            "share": 1.0 / (1.0 + np.exp(-z[:, 2])),
            "mark": mark,
            "rest": 3.0 - rng.exponential(size=rows),
            "count": rng.poisson(np.exp(0.5 + 0.4 * x)).astype(float),
            "age": np.round(40.0 + 12.0 * z[:, 1]),
            "grade": np.clip(np.round(3.0 + x), 1.0, 5.0),
            "bit": (z[:, 2] > 0.3).astype(float),
            "angle": (200.0 + 50.0 * x + 20.0 * rng.normal(size=rows)) % 360.0,
            "tens": np.round(rng.vonmises(0.5, 1.0, rows) * 18.0 / np.pi) * 10.0 % 360.0,
            "side": np.where(z[:, 1] > 0.2, "left", "right"),
            "place": rng.choice(["north", "south", "west"], rows, p=[0.5, 0.3, 0.2]),
        }
    )


@dataclass(frozen=True)
class Fitted:
    path: Path
    flow: couplet.Flow
    #: Rows of the modelled columns, and of context, as readers take them; and what the command gives them in f64.
    rows: np.ndarray
    context: np.ndarray
    log_prob: np.ndarray


def fitted(name: str, folder: Path) -> Fitted:
    """A model, and some rows to score: of the table, and others."""
    case, frame = MODELS[name], table()
    kinds = {name: kind for name, kind in KINDS.items() if name in case.columns and name not in case.given}
    kinds |= {name: KINDS[name] for name in case.given if KINDS.get(name, "").startswith("circular")}
    flow = couplet.Flow(kinds=kinds or None, **case.settings)
    flow.fit(frame[case.columns], given=case.given or None)
    path = folder / "model.safetensors"
    flow.save(path)
    rows = frame[case.columns].iloc[:40].copy()
    if "a" in rows:
        rows.iloc[3, rows.columns.get_loc("a")] = 9.0
    if "size" in rows:
        rows.iloc[5, rows.columns.get_loc("size")] = -1.0
    if "count" in rows and "count" not in case.given:
        rows.iloc[6, rows.columns.get_loc("count")] = 2.5
        rows.iloc[7, rows.columns.get_loc("count")] = 40.0
    rows.to_csv(folder / "rows.csv", index=False)
    command = [sys.executable, "-m", "couplet", "score", str(path), str(folder / "rows.csv"), "--f64", "-q"]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    numbers = np.column_stack([_numbers(flow, rows, name) for name in [*flow.columns_, *flow.context_columns_]])
    count = len(flow.columns_)
    return Fitted(path, flow, numbers[:, :count], numbers[:, count:], np.array([float(line) for line in said.split()[1:]]))


def _numbers(flow: couplet.Flow, rows: pd.DataFrame, name: str) -> np.ndarray:
    column = rows[name]
    if column.dtype.kind == "f":
        return column.to_numpy()
    levels = sorted(set(table()[name]))
    return np.array([float(levels.index(level)) for level in column])
