"""Tables are scored by several processes: with Ray, where one may die, and with Spark."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import couplet
import couplet.arrow

ROWS = 200_000


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(1)
    z = rng.normal(size=(3000, 3))
    frame = pd.DataFrame({"x": z[:, 0], "y": z[:, 1] + z[:, 0] ** 2, "z": np.exp(z[:, 2])})
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    couplet.Flow(steps=200, seed=1, device="cpu").fit(frame).save(path)
    return path


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of Parquet files, of rows with their numbers."""
    rng = np.random.default_rng(2)
    folder = tmp_path_factory.mktemp("table")
    for part in range(4):
        rows = rng.normal(size=(ROWS // 4, 3))
        columns = {"id": np.arange(part * ROWS // 4, (part + 1) * ROWS // 4)} | {
            name: rows[:, j] for j, name in enumerate("xyz")
        }
        pq.write_table(pa.table(columns), folder / f"{part}.parquet", row_group_size=10_000)
    return folder


def expected(model: Path, table: Path) -> np.ndarray:
    frame = pd.read_parquet(table).sort_values("id")
    return couplet.Flow.load(model).score_samples(frame[["x", "y", "z"]])


class DyingScorer(couplet.arrow.Scorer):
    """Dies in the middle of its work, once for all workers."""

    def __init__(self, model: Path, mark: Path) -> None:
        super().__init__(model, threads=1)
        self._mark = mark

    def __call__(self, batch: pa.Table) -> pa.Table:
        if 90_000 in batch["id"].to_numpy() and not self._mark.exists():
            self._mark.touch()
            os._exit(1)
        return super().__call__(batch)


def test_ray_scores_with_two_workers_of_which_one_dies(model: Path, table: Path, tmp_path: Path) -> None:
    import ray.data

    # The class above is this module's, which workers need to find.
    environment = {"env_vars": {"PYTHONPATH": str(Path(__file__).parent)}}
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, configure_logging=False, runtime_env=environment)
    try:
        rows = ray.data.read_parquet(str(table))
        scored = rows.map_batches(
            DyingScorer,
            fn_constructor_args=(model, tmp_path / "died"),
            batch_format="pyarrow",
            batch_size=8192,
            concurrency=2,
            # What reads the table needs some, too.
            num_cpus=0.5,
        )
        frame = scored.to_pandas().sort_values("id")
    finally:
        ray.shutdown()
    assert (tmp_path / "died").exists()
    assert frame["id"].tolist() == list(range(ROWS))
    np.testing.assert_allclose(frame["log_prob"], expected(model, table), atol=1e-6)


def test_spark_scores_partitions(model: Path, table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pyspark.sql import SparkSession

    monkeypatch.setenv("PYSPARK_PYTHON", sys.executable)
    monkeypatch.setenv("PYSPARK_DRIVER_PYTHON", sys.executable)
    spark = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false").getOrCreate()
    try:
        rows = spark.read.parquet(str(table))
        scorer = couplet.arrow.scorer(model, threads=1)
        scored = rows.mapInArrow(scorer.map, scorer.schema(rows.schema))
        assert scored.columns == ["id", "x", "y", "z", "log_prob"]
        frame = scored.toPandas().sort_values("id")
    finally:
        spark.stop()
    assert frame["id"].tolist() == list(range(ROWS))
    np.testing.assert_allclose(frame["log_prob"], expected(model, table), atol=1e-6)
