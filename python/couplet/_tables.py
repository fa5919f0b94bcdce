"""Tables of every kind, in and out."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from couplet import _couplet

Array: TypeAlias = NDArray[np.float64]

#: Names and columns, each an array of numbers or a list of texts.
Columns: TypeAlias = list[tuple[str, Array | list[str | None]]]

#: Rows that are converted at a time: a table is never copied as a whole, but to be fitted to.
ROWS = 1 << 16

#: Where nothing is given.
NOTHING: Array = np.empty((1, 0))


def source(table: Any, name: str) -> Any:
    """A table as the native half reads it: an array of two dimensions, or what has columns with names."""
    if hasattr(table, "toarray") and hasattr(table, "nnz"):
        raise TypeError(f"{name} is a sparse matrix, and dense data is required; use {name}.toarray()")
    if isinstance(table, Mapping):
        return [(str(key), _column(np.atleast_1d(np.asarray(value)), str(key))) for key, value in table.items()]
    pandas = sys.modules.get("pandas")
    if pandas is not None and isinstance(table, (pandas.DataFrame, pandas.Series)):
        return _of_pandas(table if table.ndim == 2 else table.to_frame(), name)
    polars = sys.modules.get("polars")
    if polars is not None and isinstance(table, polars.Series):
        table = table.to_frame()
    if polars is not None and isinstance(table, polars.LazyFrame):
        raise TypeError(f"{name} is a LazyFrame of polars, which holds no rows yet; call collect() on it")
    if hasattr(table, "__arrow_c_stream__") or hasattr(table, "__arrow_c_array__"):
        # An array of Arrow's has no columns; numpy knows it.
        return np.asarray(table) if hasattr(table, "__array__") and not hasattr(table, "schema") else table
    return _array(table, name)


def has_names(table: Any) -> bool:
    """Whether what `source` returned has columns with names."""
    return not isinstance(table, np.ndarray)


def _array(table: Any, name: str) -> NDArray[Any]:
    """An array of numbers, or of texts."""
    if isinstance(table, np.ma.MaskedArray):
        if np.ma.is_masked(table):
            raise ValueError(f"{name} is a masked array with values that are masked; leave out such rows, or fill them")
        table = np.ma.getdata(table)
    array = np.asarray(table)
    if array.dtype.kind == "c":
        raise ValueError(f"Complex data not supported: {name} has dtype {array.dtype}")
    if array.dtype.kind == "O":
        try:
            array = array.astype(np.float64)
        except ValueError as error:
            if not all(isinstance(value, str) for value in array.flat):
                raise ValueError(f"{name} holds what is no number: {error}") from None
            array = array.astype(str)
    if array.dtype.kind not in "fiubU":
        raise ValueError(f"{name} has dtype {array.dtype}, which holds no numbers")
    return array


def rows_of(array: NDArray[Any], name: str) -> NDArray[Any]:
    """Refuses an array that is no table of numbers, in the words that scikit-learn's users know."""
    if array.ndim != 2:
        what = {0: "scalar array", 1: "1D array"}.get(array.ndim)
        if what is None:
            raise ValueError(f"Found array with dim {array.ndim}, where {name} is expected to have 2")
        raise ValueError(
            f"Expected 2D array, got {what} instead: {name} has shape {array.shape}. Reshape your data either using "
            "array.reshape(-1, 1) if it has a single feature or array.reshape(1, -1) if it contains a single sample."
        )
    for count, what in zip(array.shape, ["sample", "feature"], strict=True):
        if count == 0:
            raise ValueError(
                f"Found array with 0 {what}(s) (shape={array.shape}) while a minimum of 1 is required: {name} is empty"
            )
    if array.dtype.kind == "U":
        raise ValueError(f"{name} holds text, not numbers, for instance {str(array.flat[0])!r}")
    return array


def blocks(array: NDArray[Any]) -> Iterator[Array]:
    """Rows as float64, some at a time."""
    for begin in range(0, len(array), ROWS):
        yield np.asarray(array[begin : begin + ROWS], dtype=np.float64)


def _of_pandas(frame: Any, name: str) -> Any:
    if not any(isinstance(column, str) for column in frame.columns):
        # Numbered columns are no names.
        return _array(frame.to_numpy(), name)
    if not all(isinstance(column, str) for column in frame.columns):
        raise TypeError(
            f"{name} has columns whose names are text, and others whose names are not; rename them by "
            f"{name}.columns = {name}.columns.astype(str)"
        )
    if frame.shape[0] == 0:
        raise ValueError(
            f"Found array with 0 sample(s) (shape={frame.shape}) while a minimum of 1 is required: {name} is empty"
        )
    return [(column, _of_series(frame.iloc[:, j], column)) for j, column in enumerate(frame.columns)]


def _of_series(series: Any, name: str) -> Array | list[str | None]:
    dtype = series.dtype
    if hasattr(dtype, "categories"):
        # Levels, whether these are texts or numbers.
        return [None if value != value or value is None else str(value) for value in series.to_numpy(dtype=object)]
    if dtype.kind in "fiub":
        numbers: Array = series.to_numpy(dtype=np.float64, na_value=np.nan)
        return numbers
    if dtype.kind == "c":
        raise ValueError(f"Complex data not supported: column {name!r} has dtype {dtype}")
    if dtype.kind != "O" and str(dtype) not in ("string", "str"):
        raise ValueError(f"column {name!r} holds {dtype}, which are no numbers; leave it out")
    is_missing = series.isna().to_numpy()
    values = series.to_numpy(dtype=object)
    try:
        # Numbers that stand in a column of objects.
        if not any(isinstance(value, str) for value in values):
            return np.array([np.nan if no else value for value, no in zip(values, is_missing, strict=True)], np.float64)
    except (TypeError, ValueError) as error:
        raise type(error)(f"column {name!r}: {error}") from None
    return [None if no else str(value) for value, no in zip(values, is_missing, strict=True)]


def _column(values: NDArray[Any], name: str) -> Array | list[str | None]:
    """A column of numbers, or of texts."""
    if values.ndim != 1:
        raise ValueError(f"{name!r} has shape {values.shape}, where one value or a column of them is expected")
    values = _array(values, name)
    if values.dtype.kind == "U":
        return [str(value) for value in values]
    return values.astype(np.float64)


def named_columns(array: NDArray[Any], names: Sequence[str]) -> Columns:
    """The columns of an array of texts or numbers with names."""
    return [(name, _column(array[:, j], name)) for j, name in enumerate(names)]


def kind_of(table: Any) -> str:
    """The library that a table is of."""
    module = type(table).__module__.partition(".")[0]
    return module if module in ("pandas", "polars", "pyarrow") else "numpy"


def types_of(table: Any) -> dict[str, Any]:
    """The type of each column of a frame."""
    kind = kind_of(table)
    if kind == "pandas" and table.ndim == 2:
        return {str(name): dtype for name, dtype in table.dtypes.items()}
    if kind == "polars" and hasattr(table, "schema"):
        return dict(table.schema)
    if kind == "pyarrow":
        return {field.name: field.type for field in table.schema}
    return {}


def like(kind: str, native: _couplet.Flow, types: dict[str, Any], rows: Array) -> Any:
    """Rows of the modelled columns as a table of that library, in the order and with the types of the one fitted to."""
    if kind == "numpy" and not any(levels for levels, _ in native.kinds):
        return rows
    columns = named(native, rows)
    if kind == "numpy":
        numbers = all(array.dtype.kind == "f" for array in columns.values())
        return np.column_stack([array if numbers else array.astype(object) for array in columns.values()])
    if kind == "pandas":
        return _to_pandas(columns, types)
    if kind == "polars":
        import polars

        frame = polars.DataFrame({name: polars.Series(name, array.tolist()) for name, array in columns.items()})
        return frame.cast({name: dtype for name, dtype in types.items() if name in columns and dtype != polars.Object})
    import pyarrow

    table = pyarrow.table({name: pyarrow.array(array.tolist()) for name, array in columns.items()})
    for j, name in enumerate(columns):
        wanted = types.get(name)
        if wanted is not None:
            column = table[name].dictionary_encode() if pyarrow.types.is_dictionary(wanted) else table[name]
            table = table.set_column(j, name, column.cast(wanted))
    return table


def named(native: _couplet.Flow, rows: Array) -> dict[str, NDArray[Any]]:
    """Rows of the modelled columns as columns by their names, in the order of the table fitted to."""
    pairs = enumerate(native.kinds)
    values = [_values(rows[:, j], levels, kind.startswith("integer")) for j, (levels, kind) in pairs]
    return {native.columns[j]: values[j] for j in native.order}


def _values(numbers: Array, levels: list[str], is_whole: bool) -> NDArray[Any]:
    """A column as its kind has it: levels by their names, which may be numbers, and whole numbers."""
    if levels:
        try:
            of_levels: NDArray[Any] = np.array([float(level) for level in levels])
        except ValueError:
            of_levels = np.array(levels, dtype=object)
        return of_levels[numbers.astype(np.intp)]
    if is_whole and np.abs(numbers).max(initial=0.0) < 2**53:
        return numbers.astype(np.int64)
    return np.ascontiguousarray(numbers)


def _to_pandas(columns: dict[str, NDArray[Any]], types: dict[str, Any]) -> Any:
    import pandas

    for name, array in columns.items():
        dtype = types.get(name)
        if dtype is None:
            continue
        if hasattr(dtype, "categories"):
            known = {str(level): level for level in dtype.categories}
            texts = [str(int(x)) if isinstance(x, float) and str(x) not in known else str(x) for x in array]
            columns[name] = pandas.Categorical([known.get(text, text) for text in texts], dtype=dtype)
        elif dtype.kind in "fiub" and array.dtype.kind in "iu":
            columns[name] = pandas.array(array.astype(bool) if dtype.kind == "b" else array, dtype=dtype)
    return pandas.DataFrame(columns)


def as_column(table: Any) -> Any:
    """One dimension as one column."""
    return table.reshape(-1, 1) if isinstance(table, np.ndarray) and table.ndim == 1 else table


def names_in(given: Any) -> list[str]:
    """The names of columns, where context is given by these; none where it is given itself."""
    names = [given] if isinstance(given, str) else given
    are_names = isinstance(names, (list, tuple)) and all(isinstance(name, str) for name in names)
    return list(names) if are_names else []


def to_fit(
    X: Any, given: Any, sample_weight: Any, categories: list[str]
) -> tuple[_couplet.Table, list[str], str | None, list[str]]:
    """The table to fit to, the names of its columns of context and of weights, and what to know of how it was read."""
    table = source(X, "X")
    in_table = names_in(given)
    if (in_table or isinstance(sample_weight, str)) and not has_names(table):
        raise ValueError("given and sample_weight name columns of X, which has no names; give the columns themselves")
    weights = sample_weight if isinstance(sample_weight, str) else None
    parts: list[tuple[_couplet.Table, str]] = []
    notes: list[str] = []
    if has_names(table):
        read, notes = _couplet.Reader(table, "X", given=in_table, weights=weights, categories=categories).read()
    else:
        read = _of_array(rows_of(table, "X"))
    if len(read) == 1:
        raise ValueError("X has n_samples = 1, and nothing varies in one row; more rows are needed")
    parts.append((read, "x"))
    context = in_table
    if given is not None and not in_table:
        read, of_context = _read_context(given)
        _check_length(len(parts[0][0]), len(read), "given")
        parts.append((read, "c"))
        notes += of_context
        context = []
    if sample_weight is not None and weights is None:
        values = np.asarray(sample_weight, dtype=np.float64)
        if values.ndim == 0:
            values = np.full(len(parts[0][0]), float(values))
        if values.ndim != 1:
            raise ValueError(f"Sample weights must be 1D array or scalar, and have shape {values.shape}")
        _check_length(len(parts[0][0]), len(values), "sample_weight")
        if not values.any():
            raise ValueError("every sample weight is zero: no row counts")
        parts.append((_of_array(values.reshape(-1, 1)), "weight"))
    if len(parts) == 1:
        return parts[0][0], context, weights, notes
    joined = _couplet.Table.join([table for table, _ in parts], [prefix for _, prefix in parts])
    columns = joined.columns
    if parts[-1][1] == "weight":
        weights = columns.pop()
    if given is not None and not in_table:
        context = columns[len(parts[0][0].columns) :]
    return joined, context, weights, notes


def _of_array(array: NDArray[Any]) -> _couplet.Table:
    return _couplet.Table.from_blocks(blocks(array), array.shape[0], array.shape[1])


def _read_context(given: Any) -> tuple[_couplet.Table, list[str]]:
    table = as_column(source(given, "given"))
    if not has_names(table) and table.ndim == 2 and table.dtype.kind == "U":
        table = named_columns(table, [f"c{j}" for j in range(table.shape[1])])
    if not has_names(table):
        return _of_array(rows_of(table, "given")), []
    # All of its columns may hold categories.
    return _couplet.Reader(table, "given", given=None).read()


def _check_length(rows: int, others: int, name: str) -> None:
    if rows != others:
        raise ValueError(f"Found input variables with inconsistent numbers of samples: X has {rows}, {name} has {others}")
