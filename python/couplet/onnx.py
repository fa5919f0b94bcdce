"""Models as graphs of ONNX, for onnxruntime and what else reads them.

>>> import couplet.onnx
>>> couplet.onnx.export("ring.safetensors", "ring.onnx")  # doctest: +SKIP
"""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx

from couplet._reader import model_file
from couplet._reader.density import Density
from couplet._reader.onnx_graph import Graph, OnnxLibrary

__all__ = ["export"]


def export(
    model: Any,
    path: str | os.PathLike[str],
    function: Literal["log_prob", "forward", "inverse"] = "log_prob",
    dtype: Literal["float64", "float32"] = "float64",
) -> None:
    """Writes a graph that computes a function of a model.

    Parameters
    ----------
    model : couplet.Flow, or the path of a model file
    path : str
        Where the graph goes.
    function : log_prob, forward, inverse
        `log_prob` has the input `x` [rows, columns] and the output `log_prob` [rows], `forward` the outputs `z` and `log_det`,
        `inverse` the input `z` and the output `x`. A density given others has the further input `context` [rows, columns].
        `forward` and `inverse` are those of models of one flow.
    dtype : float64, float32
        The type of all numbers. In f32 some five digits agree with f64.

    The graph's metadata has the names of the columns, and the levels of those that hold categories, as JSON.
    """
    if isinstance(model, (str, os.PathLike)):
        file = model_file.read(model)
    else:
        with tempfile.TemporaryDirectory() as folder:
            model.save(Path(folder) / "model.safetensors")
            file = model_file.read(Path(folder) / "model.safetensors")
    density = Density(file)
    graph = Graph(np.dtype(dtype))
    library = OnnxLibrary(graph)
    x = graph.input("z" if function == "inverse" else "x", len(density.columns))
    given = len(density.context_columns)
    context = graph.input("context", given) if given else x[:, :0]
    arrays = density.parameters | density.constants
    if function == "log_prob":
        outputs = {"log_prob": density.log_prob(library, arrays, x, context)}
    elif function == "forward":
        outputs = dict(zip(("z", "log_det"), density.forward(library, arrays, x, context), strict=True))
    elif function == "inverse":
        outputs = {"x": density.inverse(library, arrays, x, context)}
    else:
        raise ValueError(f"function={function!r}: must be log_prob, forward or inverse")
    notes = {"columns": density.columns, "context_columns": density.context_columns, "levels": density.levels}
    of_graph = graph.model(outputs, "couplet", {name: json.dumps(it) for name, it in notes.items()})
    onnx.save(of_graph, os.fspath(path))
