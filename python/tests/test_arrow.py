"""Batches of Arrow's are scored."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import couplet
import couplet.arrow

pytestmark = pytest.mark.filterwarnings("ignore::couplet.CoupletWarning")


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    rng = np.random.default_rng(1)
    side = rng.choice(["left", "right"], 900)
    return pd.DataFrame({"name": [f"r{k}" for k in range(900)], "x": rng.normal(size=900) + (side == "left"), "side": side})


@pytest.fixture(scope="module")
def model(frame: pd.DataFrame) -> couplet.Flow:
    return couplet.Flow(steps=60, seed=1).fit(frame[["x", "side"]])


def test_batches_gain_their_scores(frame: pd.DataFrame, model: couplet.Flow, tmp_path) -> None:
    model.save(tmp_path / "m.safetensors")
    scorer = couplet.arrow.scorer(tmp_path / "m.safetensors", column="score")
    table = pa.Table.from_pandas(frame, preserve_index=False)
    expected = model.score_samples(frame)
    scored = scorer(table)
    assert scored.schema == scorer.schema(table.schema) and scored.schema.names == ["name", "x", "side", "score"]
    np.testing.assert_array_equal(scored["score"].to_numpy(), expected)
    batches = list(scorer.map(table.to_batches(max_chunksize=100)))
    assert len(batches) == 9 and all(isinstance(batch, pa.RecordBatch) for batch in batches)
    np.testing.assert_array_equal(np.concatenate([batch["score"].to_numpy() for batch in batches]), expected)
    # Text of a dictionary is text.
    encoded = table.set_column(2, "side", table["side"].dictionary_encode())
    np.testing.assert_array_equal(scorer(encoded)["score"].to_numpy(), expected)
    assert scorer(table.slice(0, 0)).num_rows == 0


def test_rows_that_lack_a_value_have_no_score(frame: pd.DataFrame, model: couplet.Flow) -> None:
    holes = frame.copy()
    holes.loc[3, "x"] = np.nan
    holes.loc[5, "side"] = None
    holes.loc[7, "name"] = None
    table = pa.Table.from_pandas(holes, preserve_index=False)
    scored = couplet.arrow.scorer(model)(table)["log_prob"]
    assert scored.null_count == 2 and not scored[3].is_valid and not scored[5].is_valid
    assert scored[7].as_py() == model.score_samples(frame)[7]
    with pytest.raises(ValueError, match="row"):
        couplet.arrow.scorer(model, missing="error")(table)


def test_a_pickled_scorer_has_the_model_and_opens_it_once(frame: pd.DataFrame, model: couplet.Flow) -> None:
    data = pickle.dumps(couplet.arrow.scorer(model))
    first, second = pickle.loads(data), pickle.loads(data)
    assert first._flow is second._flow
    table = pa.Table.from_pandas(frame, preserve_index=False)
    np.testing.assert_array_equal(first(table)["log_prob"].to_numpy(), model.score_samples(frame))


def test_batches_that_cannot_be_scored_are_refused(frame: pd.DataFrame, model: couplet.Flow) -> None:
    table = pa.Table.from_pandas(frame, preserve_index=False)
    scorer = couplet.arrow.scorer(model)
    with pytest.raises(ValueError, match=r"lacks 'side'; it has name, x"):
        scorer(table.select(["name", "x"]))
    with pytest.raises(ValueError, match="'log_prob' already"):
        scorer(scorer(table))
