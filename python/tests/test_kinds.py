"""Columns that are not any real number, in and out of frames."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas
import polars
import pyarrow
import pytest

import couplet


def frame(rows: int = 400) -> pandas.DataFrame:
    generator = np.random.default_rng(5)
    kind = generator.choice(["dwarf", "giant"], rows, p=[0.7, 0.3])
    return pandas.DataFrame(
        {
            "kind": pandas.Categorical(kind),
            "mass": generator.lognormal(0.0, 0.4, rows) * np.where(kind == "giant", 5.0, 1.0),
            "planets": generator.poisson(2.0, rows),
            "seen": generator.random(rows) < 0.4,
            "place": generator.choice(["north", "south"], rows),
            "angle": generator.random(rows) * 360.0,
        }
    )


KINDS = {"mass": "positive", "angle": "circular(360)"}


def fitted(table: Any, **settings: Any) -> couplet.Flow:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", couplet.CoupletWarning)
        return couplet.Flow(steps=40, layers=2, hidden=[8], seed=1, device="cpu", **settings).fit(table)


def test_samples_have_the_types_and_the_order_of_the_frame() -> None:
    table = frame()
    flow = fitted(table, kinds=KINDS)
    sample = flow.sample(300, random_state=1)
    assert list(sample.columns) == list(table.columns)
    assert sample.dtypes.to_dict() == table.dtypes.to_dict()
    assert set(sample["kind"]) == {"dwarf", "giant"} and set(sample["place"]) == {"north", "south"}
    assert (sample["mass"] > 0).all() and sample["planets"].min() >= 0
    assert sample["angle"].between(0, 360, inclusive="left").all()
    assert np.isfinite(flow.score_samples(sample)).all()
    # By name, whatever the order.
    scores = flow.score_samples(table)
    assert np.array_equal(scores, flow.score_samples(table[table.columns[::-1]]))
    with pytest.raises(ValueError, match="no level"):
        flow.score_samples(table.assign(place="east"))


def test_other_frames_have_their_types() -> None:
    table = polars.from_pandas(frame())
    sample = fitted(table, kinds=KINDS).sample(50, random_state=1)
    assert sample.schema == table.schema
    arrow = pyarrow.Table.from_pandas(frame(), preserve_index=False)
    drawn = fitted(arrow, kinds=KINDS).sample(50, random_state=1)
    assert drawn.schema.names == arrow.schema.names
    for name in ("mass", "planets", "seen", "place"):
        assert drawn.schema.field(name).type == arrow.schema.field(name).type


def test_arrays_have_categories_by_their_numbers() -> None:
    generator = np.random.default_rng(6)
    rows = np.column_stack([generator.integers(1, 4, 400) * 10, generator.normal(size=400)])
    flow = fitted(rows, kinds={"x0": "categorical"})
    sample = flow.sample(100, random_state=2)
    assert set(sample[:, 0]) == {10.0, 20.0, 30.0}
    assert np.isfinite(flow.score_samples(sample)).all()
    assert np.allclose(flow.inverse_transform(flow.transform(rows[:9])), rows[:9], atol=1e-3)


def test_kinds_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="a kind is real, positive"):
        fitted(frame(), kinds={"mass": "big"})
    with pytest.raises(ValueError, match=r"row 1, .*is not a number from 0 to 0.1"):
        fitted(frame(), kinds={"mass": "bounded(0,0.1)"})
