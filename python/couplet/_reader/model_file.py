"""Reads a model file as docs/model-file.md describes it: tensors and metadata, with numpy alone."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: The newest format that this reader knows.
FORMAT = 2

_TYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}


@dataclass(frozen=True)
class ModelFile:
    """A model file: its tensors in f64, by their names, and its metadata."""

    tensors: dict[str, NDArray[np.float64]]
    metadata: dict[str, Any]


def read(path: str | os.PathLike[str]) -> ModelFile:
    """Reads a model file.

    Raises ValueError for a file that is no model of couplet's, or one of a newer format."""
    with open(path, "rb") as file:
        data = file.read()
    name = os.fspath(path)
    try:
        length = int.from_bytes(data[:8], "little")
        header = json.loads(data[8 : 8 + length])
        metadata = json.loads(header.pop("__metadata__")["couplet"])
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise ValueError(f"{name}: no model of couplet's ({error})") from None
    if (version := metadata["format_version"]) > FORMAT:
        raise ValueError(f"{name}: its format is version {version}, and this couplet reads up to {FORMAT}; update couplet")
    body = memoryview(data)[8 + length :]
    tensors = {}
    for tensor, entry in header.items():
        begin, end = entry["data_offsets"]
        numbers: NDArray[Any] = np.frombuffer(body[begin:end], _TYPES[entry["dtype"]])
        if entry["dtype"] == "BF16":
            numbers = (numbers.astype(np.uint32) << 16).view(np.float32)
        tensors[tensor] = numbers.astype(np.float64).reshape(entry["shape"])
    return ModelFile(tensors, metadata)
