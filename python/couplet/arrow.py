"""Scores batches of Arrow's: a step of a pipeline of Ray, Spark, DuckDB, or whatever speaks Arrow.

>>> import couplet.arrow
>>> scorer = couplet.arrow.scorer("ring.safetensors")  # doctest: +SKIP
>>> dataset.map_batches(scorer, batch_format="pyarrow")  # of Ray Data  # doctest: +SKIP
>>> frame.mapInArrow(scorer.map, scorer.schema(frame.schema))  # of Spark  # doctest: +SKIP
"""

from __future__ import annotations

import hashlib
import os
import pickle
from collections.abc import Iterable, Iterator
from typing import Any, Literal, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from couplet._flow import Flow

__all__ = ["Scorer", "scorer"]

#: A RecordBatch or a Table.
Batch = TypeVar("Batch", pa.RecordBatch, pa.Table)

#: The flows that this process has opened, by what was pickled of them: a worker opens a model and its device once.
_opened: dict[bytes, Flow] = {}


def scorer(model: Any, *, column: str = "log_prob", missing: Literal["null", "error"] = "null", **settings: Any) -> Scorer:
    """What scores batches with a model.

    Parameters
    ----------
    model : couplet.Flow, or the path of a model file
    column : str
        The name of the column of log-densities.
    missing : null, error
        What becomes of a row that lacks a value which the model needs: its log-density is null, or it is an error.
    **settings
        Of a flow that is read: `device`, `threads`, ...
    """
    return Scorer(model, column=column, missing=missing, **settings)


class Scorer:
    """Adds a column of log-densities to batches. It has the model with it when it is pickled, and opens it once a process."""

    def __init__(
        self, model: Any, *, column: str = "log_prob", missing: Literal["null", "error"] = "null", **settings: Any
    ) -> None:
        self._flow = Flow.load(model, **settings) if isinstance(model, (str, os.PathLike)) else model
        self._needed = [*self._flow.columns_, *self._flow.context_columns_]
        self._column, self._missing = column, missing

    def __call__(self, batch: Batch) -> Batch:
        """The batch with a column of log-densities, in nats and in the units of the table."""
        if self._column in batch.schema.names:
            raise ValueError(f"the batch has a column {self._column!r} already; name another by column")
        lacking = [name for name in self._needed if name not in batch.schema.names]
        if lacking:
            raise ValueError(f"the batch lacks {', '.join(map(repr, lacking))}; it has {', '.join(batch.schema.names)}")
        rows = batch.select(self._needed)
        is_there = self._is_there(rows) if self._missing == "null" else None
        if is_there is None or is_there.all():
            log_prob = pa.array(self._scores(rows), pa.float64())
        else:
            numbers = np.full(rows.num_rows, np.nan)
            numbers[is_there] = self._scores(rows.filter(pa.array(is_there)))
            log_prob = pa.array(numbers, pa.float64(), mask=~is_there)
        return batch.append_column(self._column, log_prob)

    def map(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """The same of batches one after another."""
        return map(self, batches)

    def schema(self, schema: Any) -> Any:
        """The schema of what it returns for batches of this one, Arrow's or Spark's."""
        if isinstance(schema, pa.Schema):
            return schema.append(pa.field(self._column, pa.float64()))
        from pyspark.sql.types import DoubleType, StructField, StructType

        return StructType([*schema.fields, StructField(self._column, DoubleType())])

    def _scores(self, rows: Any) -> Any:
        return self._flow.score_samples(rows) if rows.num_rows else np.zeros(0)

    def _is_there(self, rows: Any) -> Any:
        is_there = np.ones(rows.num_rows, dtype=bool)
        for array in rows.columns:
            is_there &= pc.is_valid(array).to_numpy(zero_copy_only=False)
            if pa.types.is_floating(array.type):
                is_there &= ~pc.is_nan(array).fill_null(True).to_numpy(zero_copy_only=False)
        return is_there

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"_flow": pickle.dumps(self._flow)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        key = hashlib.sha256(state["_flow"]).digest()
        if key not in _opened:
            _opened[key] = pickle.loads(state["_flow"])
        self._flow = _opened[key]
