"""Models as graphs of ONNX give what the command does."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from models import MODELS, Fitted, fitted

import couplet
import couplet.onnx
from couplet._reader import model_file


@pytest.fixture(scope="module", params=MODELS)
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Fitted:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", couplet.CoupletWarning)
        return fitted(request.param, tmp_path_factory.mktemp("model"))


def run(path: Path, x: np.ndarray, context: np.ndarray) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(path)
    first = session.get_inputs()[0]
    kind = np.float32 if "float)" in first.type else np.float64
    inputs = {first.name: x.astype(kind)}
    if context.shape[1]:
        inputs["context"] = context.astype(kind)
    return session.run(None, inputs)


def test_graph_scores_as_the_command_does(model: Fitted, tmp_path: Path) -> None:
    couplet.onnx.export(model.path, tmp_path / "m.onnx")
    (log_prob,) = run(tmp_path / "m.onnx", model.rows, model.context)
    np.testing.assert_allclose(log_prob, model.log_prob, atol=1e-6, rtol=1e-6)
    # Of any number of rows.
    (one,) = run(tmp_path / "m.onnx", model.rows[:1], model.context[:1])
    np.testing.assert_allclose(one, log_prob[:1], rtol=1e-12)
    couplet.onnx.export(model.flow, tmp_path / "f.onnx", dtype="float32")
    (in_f32,) = run(tmp_path / "f.onnx", model.rows, model.context)
    near = np.isfinite(log_prob) & (log_prob > np.median(log_prob[np.isfinite(log_prob)]) - 8.0)
    assert near.sum() > 15 and np.abs(in_f32[near] - log_prob[near]).max() < 0.02


def test_graphs_map_there_and_back(model: Fitted, tmp_path: Path) -> None:
    if "members" in model_file.read(model.path).metadata:
        with pytest.raises(ValueError, match="stack"):
            couplet.onnx.export(model.path, tmp_path / "m.onnx", "forward")
        return
    inside = np.isfinite(model.log_prob)
    x, context = model.rows[inside], model.context[inside]
    couplet.onnx.export(model.path, tmp_path / "forward.onnx", "forward")
    couplet.onnx.export(model.path, tmp_path / "inverse.onnx", "inverse")
    z, log_det = run(tmp_path / "forward.onnx", x, context)
    expected, of_flow = model.flow._native.forward(x, context)
    np.testing.assert_allclose(z, expected, atol=2e-4)
    np.testing.assert_allclose(log_det, of_flow, atol=2e-3)
    (back,) = run(tmp_path / "inverse.onnx", z, context)
    np.testing.assert_allclose(back, x, rtol=1e-6, atol=1e-6)


def test_graph_names_its_columns(tmp_path: Path) -> None:
    model = fitted("categories given", tmp_path)
    couplet.onnx.export(model.path, tmp_path / "m.onnx")
    notes = {it.key: json.loads(it.value) for it in onnx.load(tmp_path / "m.onnx").metadata_props}
    assert notes["columns"] == ["a", "count", "side"] and notes["context_columns"] == ["place"]
    assert notes["levels"]["side"] == ["left", "right"]
    with pytest.raises(ValueError, match="must be log_prob"):
        couplet.onnx.export(model.path, tmp_path / "m.onnx", "sample")  # type: ignore[arg-type]
