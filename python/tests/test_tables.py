"""Tables of every kind, in and out; and what is no table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import couplet

pandas = pytest.importorskip("pandas")
polars = pytest.importorskip("polars")
pyarrow = pytest.importorskip("pyarrow")

# Whole numbers repeat.
pytestmark = pytest.mark.filterwarnings("ignore::couplet.DataQualityWarning")

SETTINGS = {"steps": 60, "layers": 2, "hidden": (8,), "device": "cpu"}

RNG = np.random.default_rng(9)
NUMBERS = RNG.normal(size=(400, 2)) @ np.array([[1.0, 0.5], [0.0, 1.0]])
WHOLE = np.round(NUMBERS * 40)
NAMES = ["height", "mass"]


class Stream:
    """What speaks Arrow's C interface, and nothing else."""

    def __init__(self, table: Any) -> None:
        self._table = table

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self._table.__arrow_c_stream__(requested_schema)


class OneBatch:
    """The same, of one batch."""

    def __init__(self, table: Any) -> None:
        self._batch = table.combine_chunks().to_batches()[0]

    def __arrow_c_array__(self, requested_schema: object = None) -> object:
        return self._batch.__arrow_c_array__(requested_schema)


def arrow(values: np.ndarray) -> Any:
    return pyarrow.table({name: values[:, j] for j, name in enumerate(NAMES)})


FRAMES: dict[str, Callable[[np.ndarray], Any]] = {
    "pandas": lambda values: pandas.DataFrame(values, columns=NAMES),
    "pandas, nullable": lambda values: pandas.DataFrame(values, columns=NAMES).convert_dtypes(),
    "pandas, of objects": lambda values: pandas.DataFrame(values, columns=NAMES).astype(object),
    "polars": lambda values: polars.DataFrame(values, schema=NAMES),
    "pyarrow": arrow,
    "pyarrow, in chunks": lambda values: pyarrow.concat_tables([arrow(values[:100]), arrow(values[100:])]),
    "a stream": lambda values: Stream(arrow(values)),
    "a batch": lambda values: OneBatch(arrow(values)),
    "a dict": lambda values: {name: values[:, j] for j, name in enumerate(NAMES)},
}

LAYOUTS: dict[str, Callable[[np.ndarray], Any]] = {
    "by rows": np.ascontiguousarray,
    "by columns": np.asfortranarray,
    "every other": lambda values: np.repeat(np.repeat(values, 2, axis=0), 2, axis=1)[::2, ::2],
    "backwards": lambda values: values[::-1].copy()[::-1],
    "other bytes": lambda values: values.astype(values.dtype.newbyteorder()),
    "read only": lambda values: np.frombuffer(values.tobytes(), values.dtype).reshape(values.shape),
    "list of lists": lambda values: values.tolist(),
    "objects": lambda values: values.astype(object),
    "masked, nothing hidden": np.ma.masked_array,
    "pandas without names": pandas.DataFrame,
}


@pytest.fixture(scope="module")
def reference() -> couplet.Flow:
    return couplet.Flow(**SETTINGS).fit(WHOLE)


@pytest.mark.parametrize("kind", FRAMES)
def test_frames_keep_names_and_say_the_same(kind: str, reference: couplet.Flow) -> None:
    frame = FRAMES[kind](WHOLE)
    flow = couplet.Flow(**SETTINGS).fit(frame)
    assert flow.columns_ == NAMES
    expected = reference.score_samples(WHOLE)
    assert np.array_equal(flow.score_samples(FRAMES[kind](WHOLE)), expected)
    # By name in any order, by position where there are none.
    assert np.array_equal(flow.score_samples({"mass": WHOLE[:, 1], "other": WHOLE[:, 0], "height": WHOLE[:, 0]}), expected)
    assert np.array_equal(flow.score_samples(WHOLE), expected)
    sample = flow.sample(3, 1)
    library = kind.partition(",")[0]
    if library in ("pandas", "polars", "pyarrow"):
        assert type(sample).__module__.partition(".")[0] == library
        names = sample.column_names if library == "pyarrow" else list(sample.columns)
        assert names == NAMES
    assert np.array_equal(
        np.column_stack([np.asarray(sample[name]) for name in NAMES]) if library in ("pandas", "polars", "pyarrow") else sample,
        reference.sample(3, 1),
    )


@pytest.mark.parametrize("layout", LAYOUTS)
def test_arrays_of_any_layout_say_the_same(layout: str, reference: couplet.Flow) -> None:
    values = LAYOUTS[layout](WHOLE)
    flow = couplet.Flow(**SETTINGS).fit(values)
    assert np.array_equal(flow.score_samples(values), reference.score_samples(WHOLE))


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "g", "i1", "i2", "i4", "i8", "u1", "u4", "u8"])
def test_arrays_of_any_type_say_the_same(dtype: str, reference: couplet.Flow) -> None:
    rows = np.abs(WHOLE[np.abs(WHOLE).max(axis=1) < 100]).astype(dtype)
    expected = reference.score_samples(rows.astype(np.float64))
    assert np.array_equal(reference.score_samples(rows), expected)
    fitted = couplet.Flow(**SETTINGS).fit(rows)
    assert np.array_equal(fitted.transform(rows), couplet.Flow(**SETTINGS).fit(rows.astype(np.float64)).transform(rows))


def test_more_rows_than_a_block_are_scored_alike(reference: couplet.Flow) -> None:
    many = np.tile(WHOLE, (400, 1))
    expected = np.tile(reference.score_samples(WHOLE), 400)
    assert np.allclose(reference.score_samples(many), expected, rtol=1e-6)
    assert np.array_equal(reference.score_samples(polars.DataFrame(many)), reference.score_samples(many))


def test_categories_of_every_kind_are_context() -> None:
    kinds = np.where(NUMBERS[:, 0] > 0, "up", "down")
    frame = pandas.DataFrame({"mass": NUMBERS[:, 1], "kind": kinds})
    scores = [
        couplet.Flow(**SETTINGS).fit(table, given="kind").score_samples(table)
        for table in [
            frame,
            frame.astype({"kind": "category"}),
            frame.astype({"kind": "string"}),
            polars.from_pandas(frame),
            polars.from_pandas(frame).with_columns(polars.col("kind").cast(polars.Categorical)),
            pyarrow.Table.from_pandas(frame),
        ]
    ]
    for other in scores[1:]:
        assert np.array_equal(other, scores[0])
    flow = couplet.Flow(**SETTINGS).fit(frame, given="kind")
    with pytest.raises(ValueError, match=r'no level "upp" \(did you mean "up"'):
        flow.sample(1, given={"kind": "upp"})


# What scikit-learn's users expect to be raised, and a part of its message.
WRONG: dict[str, tuple[Any, type[Exception], str]] = {
    "NaN": (np.where(NUMBERS > 2, np.nan, NUMBERS), ValueError, "NaN"),
    "infinity": (np.where(NUMBERS > 2, np.inf, NUMBERS), ValueError, "inf"),
    "None": ([[1.0, None], [2.0, 3.0]], ValueError, "NaN"),
    "a null": (polars.DataFrame({"a": [1.0, None, 2.0], "b": [1, 2, 3]}), ValueError, '"a".*null'),
    "NA of pandas": (pandas.DataFrame({"a": [1, None, 2], "b": [1, 2, 3]}).convert_dtypes(), ValueError, '"a".*NaN'),
    "text": ([["a", "b"], ["c", "d"]], ValueError, "holds text"),
    "a column of text": (pandas.DataFrame({"a": ["x", "y"], "b": [1, 2]}), ValueError, '"a".*is not a number'),
    "dates": (pandas.DataFrame({"a": pandas.to_datetime(["2020-01-01"] * 2), "b": [1, 2]}), ValueError, "'a' holds datetime"),
    "dates of numpy": (np.array([["2020-01-01"]] * 3, dtype="M8[D]"), ValueError, "no numbers"),
    "complex": (NUMBERS.astype(complex), ValueError, "Complex data not supported"),
    "ragged": ([[1.0, 2.0], [3.0]], ValueError, "inhomogeneous"),
    "one dimension": (NUMBERS[:, 0], ValueError, "Reshape your data"),
    "three dimensions": (NUMBERS.reshape(-1, 2, 1), ValueError, "dim 3"),
    "a number": (1.0, ValueError, "Expected 2D array"),
    "nothing": (None, ValueError, "Expected 2D array"),
    "no rows": (NUMBERS[:0], ValueError, r"0 sample\(s\)"),
    "no columns": (NUMBERS[:, :0], ValueError, r"0 feature\(s\)"),
    "one row": (NUMBERS[:1], ValueError, "n_samples = 1"),
    "an empty frame": (pandas.DataFrame({"a": [], "b": []}), ValueError, r"0 sample\(s\)"),
    "an empty frame of polars": (polars.DataFrame(schema={"a": float, "b": float}), ValueError, "no rows"),
    "a constant": (np.ones((50, 2)), ValueError, "in every row"),
    "masked": (np.ma.masked_array(NUMBERS, NUMBERS > 2), ValueError, "masked"),
    "a lazy frame": (polars.LazyFrame({"a": [1.0]}), TypeError, r"collect\(\)"),
    "two names alike": (pandas.DataFrame(NUMBERS, columns=["a", "a"]), ValueError, 'both named "a"'),
    "names of two kinds": (pandas.DataFrame(NUMBERS, columns=["a", 1]), TypeError, "whose names are not"),
    "objects": (np.array([[{}, 1.0], [2.0, 3.0]], dtype=object), TypeError, "argument must be a string or a real number"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_fitted_is_refused(name: str) -> None:
    table, kind, words = WRONG[name]
    with pytest.raises(kind, match=words):
        couplet.Flow(**SETTINGS).fit(table)


def test_sparse_matrices_are_refused() -> None:
    sparse = pytest.importorskip("scipy.sparse")
    for matrix in (sparse.csr_matrix(NUMBERS), sparse.dok_array(NUMBERS)):
        with pytest.raises(TypeError, match="dense data is required"):
            couplet.Flow(**SETTINGS).fit(matrix)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"given": NUMBERS[:5]}, "inconsistent numbers of samples: X has 400, given has 5"),
        ({"given": NUMBERS[:, :0]}, r"0 feature\(s\)"),
        ({"given": "kind"}, "no names"),
        ({"sample_weight": np.ones(5)}, "inconsistent"),
        ({"sample_weight": np.ones((400, 1))}, "1D array or scalar"),
        ({"sample_weight": -np.ones(400)}, "negative"),
        ({"sample_weight": np.zeros(400)}, "zero"),
        ({"sample_weight": np.full(400, np.nan)}, "NaN"),
    ],
)
def test_wrong_context_and_weights_are_refused(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        couplet.Flow(**SETTINGS).fit(NUMBERS, **arguments)


def test_columns_of_a_frame_that_are_not_there_are_named() -> None:
    frame = FRAMES["pandas"](NUMBERS)
    with pytest.raises(ValueError, match=r'given="masss": the table has no such column \(did you mean "mass"'):
        couplet.Flow(**SETTINGS).fit(frame, given="masss")
    flow = couplet.Flow(**SETTINGS).fit(frame)
    with pytest.raises(ValueError, match='no column "mass"'):
        flow.score_samples(frame[["height"]])
    with pytest.raises(ValueError, match="X has 3 features, but Flow is expecting 2"):
        flow.score_samples(np.ones((4, 3)))
    with pytest.raises(ValueError, match="NaN"):
        flow.score_samples(frame.mask(frame > 2))


@pytest.mark.parametrize(
    "method", ["score_samples", "score", "sample", "transform", "inverse_transform", "save", "plot", "cdf"]
)
def test_nothing_works_before_the_fit(method: str) -> None:
    flow = couplet.Flow()
    arguments = [] if method in ("sample", "plot") else ["x"] if method == "save" else [NUMBERS]
    with pytest.raises(couplet.NotFittedError, match="not fitted yet"):
        getattr(flow, method)(*arguments)
    with pytest.raises(couplet.NotFittedError):
        couplet.FlowRegressor().predict(NUMBERS)


def test_files_that_are_no_models_are_refused(tmp_path: Any) -> None:
    with pytest.raises(FileNotFoundError) as raised:
        couplet.Flow.load(tmp_path / "none")
    assert raised.value.filename == str(tmp_path / "none")
    (tmp_path / "text").write_text("no model")
    with pytest.raises(ValueError, match="not a readable safetensors file"):
        couplet.Flow.load(tmp_path / "text")
