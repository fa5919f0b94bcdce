from __future__ import annotations

import json
import os
import secrets
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np

from couplet import _couplet, _errors, _tables
from couplet._base import Estimator
from couplet._devices import quiet_drivers
from couplet._pictures import Pictures
from couplet._progress import reporter
from couplet._report import Report, report_of
from couplet._tables import NOTHING, Array


class Flow(Estimator):
    """A normalizing flow: the density of a table's rows, of all columns, or of some given others.

    Its parameters are settings. Those that are None suit the table that it is fitted to; most users set none, or `steps` and
    `seed`.

    Parameters
    ----------
    preset : safe, published
        Where the settings that are None come from: what suits the table, or the reference experiment as published.
    layers : K
        Coupling layers.
    coupling : affine, additive, spline
        What a layer does to its columns.
    bins : K
        Splines: the number of bins.
    spline_bound : B
        Splines: the identity beyond it.
    mixing : none, lu
        What stands between two coupling layers.
    mixture : True, False
        Whether a Gaussian mixture stands beside the flow, or in its place where no steps are taken.
    conditioner : mlp, hermite, legendre
        A network, or polynomials.
    hidden : WIDTHS
        Widths of the network's hidden layers, for instance 64,64.
    activation : tanh, relu, silu, gelu
        Activation of the hidden layers.
    separate : True, False
        One network for the scales and another for the shifts; otherwise one for both.
    degree : N
        Polynomials: the highest degree in each dimension.
    total_degree : N
        Polynomials: the highest total degree.
    base : BASE
        The density that the latent has: normal, trainable-normal, logistic or trainable-logistic.
    scale_bound : C
        c > 0 makes the log-scale c * tanh(s / c); 0 leaves it.
    input_bound : C
        Polynomials: c > 0 makes their input c * tanh(x / c); 0 leaves it.
    steps : K
        Maximum number of steps; with 0 the flow keeps its initial parameters.
    extension : K
        Steps to go on for, along a second cosine, where the first ends while held-out rows still gain; 0 means none.
    batch_size : ROWS
        Rows in each step; 0 means all.
    learning_rate : RATE
        Peak learning rate.
    schedule : constant, cosine
        Whether the learning rate is constant, or decays to 0 along a cosine.
    warm_up : K
        Steps of warm-up, over which the learning rate rises to its peak.
    weight_decay : DECAY
        Decay of every parameter, times the learning rate.
    clip_norm : NORM
        Gradients with a larger norm are scaled down to it; 0 means no clipping.
    average : DECAY
        Decay of a moving average of the parameters, which then is the model; 0 means none.
    validation : FRACTION
        The fraction of rows held out for validation, on which the best parameters are chosen; 0 means none.
    patience : K
        Early stopping: steps without a better validation NLL after which training ends; 0 means never.
    ensemble : K
        Flows to train, each with other rows held out; the model is their average.
    effort : E
        The time that a fit may take: 4 allows four times the steps and flows.
    start : random, identity
        Whether the flow starts as the identity.
    seed : N
        Seed of everything random: initial parameters, order of the rows, rows held out, targets.
    standardize : True, False
        Shift and scale columns to mean 0 and deviation 1.
    whiten : True, False
        Remove linear correlations between columns.
    robust : True, False
        Fit both to the bulk of the rows, and compress outliers.
    kinds : NAME=KIND
        What a column holds: real, positive, bounded(0,1), integer, circular(360) or categorical.
    device : auto, gpu, cpu
        auto takes a hardware GPU if there is one, else the CPU.
    adapter : NAME, INDEX
        A GPU by part of its name, or by its number in `couplet devices`.
    gpu_path : auto, fused, staged
        How a GPU runs the flow: in one kernel where that suits it, always, or one kernel an operation.
    fallback : cpu
        The CPU takes over where a GPU keeps failing, or cannot be opened.
    threads : K
        Threads to compute with on the CPU; None takes all cores. Their number changes no bit of the result.
    warm_start : True, False
        A further call of fit continues from the parameters of the last.
    progress : True, False, FUNCTION
        True shows how far a fit is, in a terminal or below the cell of a notebook. A function is called with a
        `couplet.Progress` four times a second; if it returns True, the fit ends with the best parameters so far.
    """

    #: What the density is of: the names of the modelled columns, and of those that are given.
    columns_: list[str]
    context_columns_: list[str]
    #: How the fit went, and how good the model is; none of a model that was loaded.
    report_: Report
    #: The columns of the table that it was fitted to.
    n_features_in_: int

    def fit(self, X: Any, y: Any = None, *, given: Any = None, sample_weight: Any = None) -> Flow:
        """Fits the flow to the rows of a table.

        Parameters
        ----------
        X : array, or frame of pandas, polars, pyarrow or whatever speaks Arrow's C interface, of shape (n, d)
            The rows. Names of columns are kept.
        y : ignored
            There is no target; scikit-learn's pipelines pass one.
        given : names of columns of X, or a table of n rows
            Context: the density is that of the other columns given these. Text holds categories.
        sample_weight : array of n numbers, or the name of a column of X
            Weights of the rows: one of weight 2 counts as two rows.

        Returns
        -------
        The flow itself.

        Raises
        ------
        ValueError
            For rows that cannot be fitted, and settings that cannot be.
        DivergedError, DeviceError
            Where training fails. Whatever ends a fit early, Ctrl-C included: the flow then has the best parameters so far.
        """
        start = self._native if self.warm_start and self.__sklearn_is_fitted__() else None
        kind = _tables.kind_of(X)
        table, context, weights, notes = _tables.to_fit(
            X, given, sample_weight, [name for name, kind in (self.kinds or {}).items() if kind == "categorical"]
        )
        names = _feature_names(X)
        for note in notes:
            warnings.warn(note, _errors.CoupletWarning, stacklevel=2)
        report_progress = reporter(self.progress)

        def on_event(event: str, *said: Any) -> bool:
            if event == "progress":
                return report_progress(*said)
            category, text = said
            # Of who called fit.
            warnings.warn(text, getattr(_errors, category), stacklevel=3)
            return False

        try:
            with quiet_drivers():
                native, report, ended_by = _couplet.fit(
                    table,
                    self._settings(),
                    given=context,
                    weights=weights,
                    start=start,
                    threads=self._thread_count(),
                    on_event=on_event,
                )
        finally:
            report_progress.end()
        if native is not None:
            self._set_fitted(native, kind, names, _tables.types_of(X))
            self.n_features_in_ = len(table.columns) if _tables.names_in(given) else len(self.columns_)
            if report is not None:
                self.report_ = report_of(report)
        if ended_by is not None:
            raise ended_by
        return self

    def _set_fitted(
        self, native: _couplet.Flow, kind: str, names: list[str] | None, types: dict[str, Any] | None = None
    ) -> None:
        for name in ("report_", "feature_names_in_"):
            vars(self).pop(name, None)
        self._native = native
        self._kind = kind
        self._types = types or {}
        self.columns_ = native.columns
        self.context_columns_ = native.context_columns
        if names is not None:
            self.feature_names_in_ = np.array(names, dtype=object)

    def score_samples(self, X: Any, *, given: Any = None) -> Array:
        """The log-density of each row, in nats and in the units of the table.

        Parameters
        ----------
        X : table of n rows
            The columns that it was fitted to: by their names where it has names, else in their order.
        given : table of n rows or of one, or a mapping of names to values
            The context, of a flow that has one and does not find it in X.

        Returns
        -------
        An array of n numbers. Where 32-bit numbers overflow the log-density is minus infinity.
        """
        native = self._fitted()
        return _joined([native.log_prob(rows, context) for rows, context in self._pairs(X, given)])

    def score(self, X: Any, y: Any = None, *, given: Any = None, sample_weight: Any = None) -> float:
        """The mean log-density of rows, in nats: higher is better."""
        scores = self.score_samples(X, given=given)
        return float(np.average(scores, weights=sample_weight))

    def sample(self, n_samples: int = 1, random_state: Any = None, *, given: Any = None) -> Any:
        """Draws rows from the density.

        Parameters
        ----------
        n_samples : int
            How many, for each row of the context where there is one.
        random_state : int, numpy.random.Generator, numpy.random.RandomState or None
            An int is a seed: row i depends on it, on i and on what is given alone, and is what `couplet sample --seed`
            draws. None draws other rows each time.
        given : table, or a mapping of names to values
            The context, of a flow that has one.

        Returns
        -------
        A table of the kind that the flow was fitted to, with the modelled columns.
        """
        native = self._fitted()
        if n_samples < 1:
            raise ValueError(f"n_samples={n_samples}: must be at least 1")
        context = self._needed_context(given)
        total = n_samples * len(context)
        seed = _seed(random_state)
        sample = np.empty((total, len(self.columns_)))
        for begin in range(0, total, _tables.ROWS):
            end = min(begin + _tables.ROWS, total)
            of_rows = context[np.arange(begin, end) // n_samples] if len(context) > 1 else context
            rows = native.sample(begin, end, seed, of_rows)
            if not np.isfinite(rows).all():
                row = begin + int(np.argmin(np.isfinite(rows).all(axis=1)))
                raise FloatingPointError(
                    f"row {row} of the sample is not finite: the inverse of this flow overflows; fit it with scale_bound"
                )
            sample[begin:end] = rows
        return _tables.like(self._kind, native, self._types, sample)

    def transform(self, X: Any, *, given: Any = None) -> Array:
        """The latent z of each row: where the flow is good, rows of a standard normal distribution (or what `base` is)."""
        native = self._fitted()
        return _joined([native.forward(rows, context)[0] for rows, context in self._pairs(X, given)])

    def fit_transform(self, X: Any, y: Any = None, **fit_params: Any) -> Array:
        """Fits the flow, and returns the latents of its rows."""
        flow = self.fit(X, y, **fit_params)
        given = fit_params.get("given")
        return flow.transform(X, given=None if _tables.names_in(given) else given)

    def inverse_transform(self, Z: Any, *, given: Any = None) -> Any:
        """The rows that latents come from, as a table of the kind that the flow was fitted to."""
        native = self._fitted()
        latents = _tables.rows_of(_tables.source(Z, "Z"), "Z") if isinstance(Z, (np.ndarray, list)) else np.asarray(Z)
        _check_width(self, latents, "Z")
        pairs = self._beside(_tables.blocks(latents), len(latents), given)
        rows = _joined([native.inverse(z, context) for z, context in pairs])
        return _tables.like(self._kind, native, self._types, rows)

    def log_abs_det_jacobian(self, X: Any, *, given: Any = None) -> Array:
        """log |det dz/dx| at each row, in nats: what the log-density of the latent lacks of that of the row."""
        native = self._fitted()
        return _joined([native.forward(rows, context)[1] for rows, context in self._pairs(X, given)])

    def spread(self, X: Any, *, given: Any = None) -> Array:
        """How far the flows of an ensemble differ: the standard deviation of each row's log-density over them, in nats."""
        native = self._fitted()
        return _joined([native.spread(rows, context) for rows, context in self._pairs(X, given)])

    def cdf(self, X: Any, *, given: Any = None) -> Array:
        """The probability below each number, given its context: of a flow over one column."""
        native = self._fitted()
        return _joined([native.cdf(rows, context) for rows, context in self._pairs(X, given)])

    def quantiles(self, probabilities: Any, *, given: Any = None) -> Array:
        """The numbers that the column is below with these probabilities: a row for each row of context, of a flow over one
        column."""
        native = self._fitted()
        wanted = np.atleast_1d(np.asarray(probabilities, dtype=np.float64)).tolist()
        return _joined([native.quantiles(rows, wanted) for rows in self._context_blocks(given)])

    def mean(self, *, given: Any = None) -> Array:
        """The mean of the column given each row of context, of a flow over one column; over the middle 1 - 2e-6 of the mass."""
        native = self._fitted()
        return _joined([native.mean(rows) for rows in self._context_blocks(given)])

    def plot(self, X: Any = None, *, given: Any = None, columns: list[str] | None = None) -> Pictures:
        """Pictures of the flow: its columns against each other, its density, and with rows to hold it against its latents and
        scores. A flow with context is drawn for that of X, or for `given`."""
        native = self._fitted()
        rows = None
        if X is not None:
            pairs = [(rows, np.broadcast_to(c, (len(rows), c.shape[1]))) for rows, c in self._pairs(X, given)]
            rows = np.concatenate([np.hstack(pair) for pair in pairs])
        contexts = self._context(given) if X is None else None
        for name in columns or []:
            if name not in self.columns_:
                raise ValueError(f"columns: there is no {name!r} among {', '.join(self.columns_)}")
        chosen = [self.columns_.index(name) for name in columns or []]
        return Pictures(_couplet.pictures(native, rows, contexts, chosen))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the model file, which the command and other programs read. The path has the old file or the new one."""
        self._fitted().save(path)

    @classmethod
    def load(cls, path: str | os.PathLike[str], **params: Any) -> Flow:
        """Reads a model file.

        Parameters
        ----------
        path : path
            Of a file that `save` or the `couplet` command wrote.
        **params
            Parameters of the flow, such as `device` and `threads`. The others are those that the model was trained with.
        """
        flow = cls(**params)
        with quiet_drivers():
            native = _couplet.Flow.load(path, flow._device_settings(), flow._thread_count())
        known = flow._parameters()
        for section in json.loads(native.settings()).values():
            for name, value in (section or {}).items():
                name = "coupling" if name == "transform" else name
                if name in known and getattr(flow, name) is None:
                    setattr(flow, name, value)
        flow._set_fitted(native, "numpy", native.columns if native.named else None)
        flow.n_features_in_ = len(flow.columns_)
        return flow

    def __getstate__(self) -> dict[str, Any]:
        state = dict(vars(self))
        if "_native" in state:
            state["_native"] = self._native.to_bytes()
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        if "_native" in state:
            with quiet_drivers():
                self._native = _couplet.Flow.from_bytes(state["_native"], self._device_settings(), self._thread_count())

    def get_feature_names_out(self, input_features: Any = None) -> Any:
        """Names of the latents."""
        self._fitted()
        return np.array([f"flow{j}" for j in range(len(self.columns_))], dtype=object)

    def __sklearn_tags__(self) -> Any:
        from sklearn.utils import InputTags, Tags, TargetTags, TransformerTags

        return Tags(
            estimator_type="density_estimator",
            target_tags=TargetTags(required=False),
            transformer_tags=TransformerTags(preserves_dtype=["float64"]),
            input_tags=InputTags(),
        )

    def _fitted(self) -> _couplet.Flow:
        if not self.__sklearn_is_fitted__():
            raise _errors.not_fitted(type(self).__name__)
        return self._native

    def _names_of_context(self) -> str:
        return ", ".join(self.context_columns_)

    def _pairs(self, X: Any, given: Any) -> Iterator[tuple[Array, Array]]:
        """Modelled columns and context, some rows at a time."""
        native = self._fitted()
        table = _tables.source(X, "X")
        if not _tables.has_names(table):
            has_levels = any(levels for levels, _ in native.kinds)
            array = table if has_levels else _tables.rows_of(table, "X")
            _check_width(self, array, "X")
            if has_levels:
                names = [self.columns_[j] for j in native.order]
                return self._pairs(dict(zip(names, array.T, strict=True)), given)
            return self._beside(_tables.blocks(array), len(array), given)
        if given is None and self.context_columns_:
            dims = len(self.columns_)
            reader = _couplet.Reader(table, "X", flow=native)
            return ((rows[:, :dims], rows[:, dims:]) for rows in reader)
        reader = _couplet.Reader(table, "X", flow=native, columns="modelled")
        return self._beside(iter(reader), None, given)

    def _beside(self, blocks: Iterator[Array], rows: int | None, given: Any) -> Iterator[tuple[Array, Array]]:
        """Blocks of rows, each with its context; `rows` are there in all, where that is known."""
        context = self._needed_context(given)
        if rows is None and len(context) > 1:
            whole = np.concatenate(list(blocks))
            blocks, rows = _tables.blocks(whole), len(whole)
        if rows is not None and len(context) not in (1, rows):
            raise ValueError(
                f"Found input variables with inconsistent numbers of samples: X has {rows}, given has {len(context)}"
            )
        return _with_context(blocks, context)

    def _context(self, given: Any) -> Array | None:
        """The context as the flow has it: numbers, with categories by their levels."""
        native = self._fitted()
        if given is None:
            return None
        names = self.context_columns_
        if not names:
            raise ValueError("the flow is a density without context, so nothing is given; leave given out")
        table = _tables.as_column(_tables.source(given, "given"))
        if not _tables.has_names(table):
            if table.ndim == 2 and table.shape[1] != len(names):
                raise ValueError(
                    f"given has {table.shape[1]} columns, but {type(self).__name__} was fitted with {len(names)}: "
                    f"{self._names_of_context()}"
                )
            if table.dtype.kind != "U":
                return np.concatenate(list(_tables.blocks(_tables.rows_of(table, "given"))))
            table = _tables.named_columns(table, names)
        return np.concatenate(list(_couplet.Reader(table, "given", flow=native, columns="context")))

    def _needed_context(self, given: Any) -> Array:
        """The same where it must be there: a row of none of a flow without context."""
        context = self._context(given)
        if context is not None:
            return context
        if self.context_columns_:
            raise ValueError(f"the flow is a density given {self._names_of_context()}; say by given what they are")
        return NOTHING

    def _modelled(self, X: Any, given: Any) -> Array:
        """The modelled columns of rows, as the flow has them."""
        return _joined([rows for rows, _ in self._pairs(X, given)])

    def _context_blocks(self, given: Any) -> Iterator[Array]:
        return _tables.blocks(self._needed_context(given))


def _with_context(blocks: Iterator[Array], context: Array) -> Iterator[tuple[Array, Array]]:
    begin = 0
    for rows in blocks:
        end = begin + len(rows)
        yield rows, context if len(context) == 1 else context[begin:end]
        begin = end


def _joined(blocks: list[Array]) -> Array:
    return blocks[0] if len(blocks) == 1 else np.concatenate(blocks)


def _check_width(flow: Flow, array: Array, name: str) -> None:
    if array.ndim == 2 and array.shape[1] != len(flow.columns_):
        raise ValueError(
            f"{name} has {array.shape[1]} features, but {type(flow).__name__} is expecting {len(flow.columns_)} "
            "features as input"
        )


def _feature_names(X: Any) -> list[str] | None:
    columns = getattr(X, "columns", None)
    if _tables.kind_of(X) == "pyarrow":
        columns = X.schema.names
    names = None if columns is None else list(columns)
    return names if names and all(isinstance(name, str) for name in names) else None


def _seed(random_state: Any) -> int:
    if random_state is None:
        return secrets.randbits(63)
    if isinstance(random_state, np.random.Generator):
        return int(random_state.integers(2**63))
    if isinstance(random_state, np.random.RandomState):
        return int(random_state.randint(2**31))
    try:
        seed = int(random_state)
    except (TypeError, ValueError):
        raise ValueError(f"{random_state!r} cannot be used to seed a sample; give an int or a numpy.random.Generator") from None
    if not 0 <= seed < 2**64:
        raise ValueError(f"random_state={seed}: must be from 0 to 2^64 - 1")
    return seed
