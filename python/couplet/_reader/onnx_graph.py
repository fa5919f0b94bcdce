"""Writes what is computed with values as a graph of ONNX: an array library for a density, with the names of numpy.
What is known already, such as the tensors of a model, is computed by numpy, and only the rest becomes nodes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

_TYPES = {np.dtype(np.float64): TensorProto.DOUBLE, np.dtype(np.float32): TensorProto.FLOAT}
_TYPES |= {np.dtype(np.int64): TensorProto.INT64, np.dtype(np.bool_): TensorProto.BOOL}


@dataclass(frozen=True)
class Rows:
    """So many times the number of rows that a graph is given."""

    factor: int = 1

    def __mul__(self, other: int) -> Rows:
        return Rows(self.factor * other)

    __rmul__ = __mul__


#: Sizes, whole numbers or `Rows`.
Shape = tuple[Any, ...]


class Value:
    """An array that is known when the graph runs."""

    # So that numpy leaves what is computed of its arrays and values to these.
    __array_ufunc__ = None

    def __init__(self, graph: Graph, name: str, shape: Shape, dtype: Any) -> None:
        self.graph, self.name, self.shape, self.dtype = graph, name, shape, np.dtype(dtype)

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def T(self) -> Value:  # noqa: N802
        order = tuple(reversed(range(self.ndim)))
        return self.graph.node("Transpose", [self], tuple(self.shape[k] for k in order), self.dtype, perm=list(order))

    def __add__(self, other: Any) -> Any:
        return self.graph.binary("Add", self, other)

    def __radd__(self, other: Any) -> Any:
        return self.graph.binary("Add", other, self)

    def __sub__(self, other: Any) -> Any:
        return self.graph.binary("Sub", self, other)

    def __rsub__(self, other: Any) -> Any:
        return self.graph.binary("Sub", other, self)

    def __mul__(self, other: Any) -> Any:
        return self.graph.binary("Mul", self, other)

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Any:
        return self.graph.binary("Div", self, other)

    def __rtruediv__(self, other: Any) -> Any:
        return self.graph.binary("Div", other, self)

    def __floordiv__(self, other: Any) -> Any:
        # Of whole numbers that are not negative.
        return self.graph.binary("Div", self, other)

    def __mod__(self, other: Any) -> Any:
        return self.graph.binary("Mod", self, other)

    def __rmod__(self, other: Any) -> Any:
        return self.graph.binary("Mod", other, self)

    def __neg__(self) -> Any:
        return self.graph.node("Neg", [self], self.shape, self.dtype)

    def __lt__(self, other: Any) -> Any:
        return self.graph.binary("Less", self, other, np.bool_)

    def __le__(self, other: Any) -> Any:
        return self.graph.binary("LessOrEqual", self, other, np.bool_)

    def __gt__(self, other: Any) -> Any:
        return self.graph.binary("Greater", self, other, np.bool_)

    def __ge__(self, other: Any) -> Any:
        return self.graph.binary("GreaterOrEqual", self, other, np.bool_)

    def __eq__(self, other: Any) -> Any:
        return self.graph.binary("Equal", self, other, np.bool_)

    def __ne__(self, other: Any) -> Any:
        equal = self == other
        return self.graph.node("Not", [equal], equal.shape, np.bool_)

    __hash__ = None  # type: ignore[assignment]

    def __and__(self, other: Any) -> Any:
        return self.graph.binary("And", self, other)

    def __or__(self, other: Any) -> Any:
        return self.graph.binary("Or", self, other)

    def __matmul__(self, other: Any) -> Any:
        return self.graph.matmul(self, other)

    def __rmatmul__(self, other: Any) -> Any:
        return self.graph.matmul(other, self)

    def __getitem__(self, index: Any) -> Any:
        return self.graph.index(self, index)


class Graph:
    """A graph of ONNX that grows with what is computed."""

    def __init__(self, dtype: Any) -> None:
        self.dtype = np.dtype(dtype)
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[tuple[Any, ...], str] = {}
        self._initializers: list[onnx.TensorProto] = []
        self._inputs: list[onnx.ValueInfoProto] = []
        self._rows: dict[int, str] = {}

    def input(self, name: str, columns: int) -> Value:
        """An input [rows, columns]."""
        self._inputs.append(helper.make_tensor_value_info(name, _TYPES[self.dtype], ["rows", columns]))
        value = Value(self, name, (Rows(), columns), self.dtype)
        if not self._rows:
            shape = self.node("Shape", [value], (2,), np.int64)
            self._rows[1] = self.node("Slice", [shape, *self._known([0], [1])], (1,), np.int64).name
        return value

    def model(self, outputs: dict[str, Value], producer: str, notes: dict[str, str]) -> onnx.ModelProto:
        """The graph with these outputs."""
        of_outputs = []
        for name, value in outputs.items():
            self._nodes.append(helper.make_node("Identity", [value.name], [name]))
            shape = ["rows" if isinstance(size, Rows) else size for size in value.shape]
            of_outputs.append(helper.make_tensor_value_info(name, _TYPES[value.dtype], shape))
        graph = helper.make_graph(self._nodes, "couplet", self._inputs, of_outputs, self._initializers)
        model = helper.make_model(graph, producer_name=producer, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
        helper.set_model_props(model, notes)
        onnx.checker.check_model(model, full_check=True)
        return model

    def node(self, op: str, inputs: Sequence[Any], shape: Shape, dtype: Any, **attributes: Any) -> Value:
        """A node with one output, whose shape is known."""
        name = f"{op.lower()}_{len(self._nodes)}"
        names = [self.value(it).name if it is not None else "" for it in inputs]
        self._nodes.append(helper.make_node(op, names, [name], **attributes))
        return Value(self, name, shape, dtype)

    def value(self, it: Any, dtype: Any = None) -> Value:
        """A value, or a constant as one: of the graph's type, where it is a fraction."""
        if isinstance(it, Value):
            return it
        array = np.asarray(it)
        kind = dtype if dtype is not None else (self.dtype if array.dtype.kind == "f" else np.dtype(np.int64))
        array = array.astype(np.bool_ if array.dtype.kind == "b" else kind)
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._constants:
            self._constants[key] = f"constant_{len(self._constants)}"
            self._initializers.append(onnx.numpy_helper.from_array(np.ascontiguousarray(array), self._constants[key]))
        return Value(self, self._constants[key], array.shape, array.dtype)

    def binary(self, op: str, a: Any, b: Any, dtype: Any = None) -> Value:
        """An operation on two arrays, which are broadcast; a constant has the type of the other."""
        of_values = next(it for it in (a, b) if isinstance(it, Value)).dtype
        a, b = (self.value(it, of_values if of_values.kind != "b" else None) for it in (a, b))
        return self.node(op, [a, b], _broadcast(a.shape, b.shape), dtype or of_values)

    def matmul(self, a: Any, b: Any) -> Value:
        a, b = self.value(a), self.value(b)
        shape = (*_broadcast(a.shape[:-2], b.shape[:-2]), a.shape[-2], b.shape[-1])
        return self.node("MatMul", [a, b], shape, self.dtype)

    def cast(self, x: Value, dtype: Any) -> Value:
        dtype = np.dtype(dtype)
        return x if x.dtype == dtype else self.node("Cast", [x], x.shape, dtype, to=_TYPES[dtype])

    def reshape(self, x: Value, shape: Shape) -> Value:
        if 0 in x.shape:
            return Value(self, "", shape, x.dtype)
        if -1 in shape:
            known = math.prod(size for size in shape if isinstance(size, int) and size != -1)
            whole = math.prod(size for size in x.shape if isinstance(size, int))
            shape = tuple(whole // known if size == -1 else size for size in shape)
        # The number of rows is what remains.
        sizes = [-1 if isinstance(size, Rows) else size for size in shape]
        return self.node("Reshape", [x, *self._known(sizes)], shape, x.dtype)

    def expand(self, x: Any, shape: Shape) -> Value:
        x = self.value(x)
        if x.shape == shape:
            return x
        padded = (1,) * (len(shape) - x.ndim) + x.shape
        if any(isinstance(size, Rows) and size != old for size, old in zip(shape, padded, strict=True)):
            sizes = [self._number_of(size) if isinstance(size, Rows) else self._known([size])[0] for size in shape]
            to = self.node("Concat", sizes, (len(shape),), np.int64, axis=0)
        else:
            # Those that are there already stay.
            to = self.value(np.array([1 if isinstance(size, Rows) else size for size in shape]))
        return self.node("Expand", [x, to], shape, x.dtype)

    def _number_of(self, rows: Rows) -> Value:
        if rows.factor not in self._rows:
            self._rows[rows.factor] = (self._number_of(Rows()) * np.array([rows.factor])).name
        return Value(self, self._rows[rows.factor], (1,), np.int64)

    def _known(self, *numbers: Sequence[int]) -> list[Value]:
        return [self.value(np.array(it, np.int64)) for it in numbers]

    def index(self, x: Any, index: Any) -> Value:
        """What numpy's indexing gives, of the kinds that a density uses."""
        index = index if isinstance(index, tuple) else (index,)
        if 0 in x.shape:
            sizes = iter(x.shape)
            return Value(self, "", tuple(1 if it is None else next(sizes) for it in index), x.dtype)
        if index[0] is Ellipsis:
            index = (slice(None),) * (x.ndim - sum(it is not None for it in index) + 1) + index[1:]
        axis = 0
        dropped: list[int] = []
        added: list[int] = []
        for it in index:
            if it is None:
                added.append(axis - len(dropped) + len(added))
                continue
            if isinstance(it, int):
                position = it % x.shape[axis]
                x = self._slice(x, axis, position, position + 1)
                dropped.append(axis)
            elif isinstance(it, slice):
                if it != slice(None):
                    begin, end, _ = it.indices(x.shape[axis])
                    x = self._slice(x, axis, begin, max(begin, end))
            else:
                numbers = [int(number) for number in it]
                shape = (*x.shape[:axis], len(numbers), *x.shape[axis + 1 :])
                x = self.node("Gather", [x, *self._known(numbers)], shape, x.dtype, axis=axis)
            axis += 1
        if dropped:
            shape = tuple(size for k, size in enumerate(x.shape) if k not in dropped)
            x = self.node("Squeeze", [x, *self._known(dropped)], shape, x.dtype)
        for position in added:
            shape = (*x.shape[:position], 1, *x.shape[position:])
            x = self.node("Unsqueeze", [x, *self._known([position])], shape, x.dtype)
        return x

    def _slice(self, x: Value, axis: int, begin: int, end: int) -> Value:
        shape = (*x.shape[:axis], end - begin, *x.shape[axis + 1 :])
        if 0 in shape:
            return Value(self, "", shape, x.dtype)
        return self.node("Slice", [x, *self._known([begin], [end], [axis])], shape, x.dtype)


class OnnxLibrary:
    """The functions of an array library, as nodes of a graph."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph

    @property
    def xp(self) -> OnnxLibrary:
        return self

    # What a density needs beyond what numpy has.

    def real(self, x: Any, like: Any) -> Any:
        dtype = self._graph.dtype if like.dtype.kind == "f" else like.dtype
        return self._graph.cast(x, dtype) if isinstance(x, Value) else np.asarray(x, dtype)

    def range(self, count: int, like: Any) -> Any:
        return np.arange(count)

    def take(self, x: Any, index: Any) -> Any:
        return self._graph.node("GatherElements", [x, index], index.shape, x.dtype, axis=x.ndim - 1)

    def entries(self, table: Any, *indices: Any) -> Any:
        flat = indices[0]
        for size, index in zip(table.shape[1:], indices[1:], strict=True):
            flat = flat * size + index
        return self._graph.node("Gather", [np.reshape(table, -1), flat], flat.shape, self._graph.dtype)

    def solve(self, triangle: Any, rows: Any, upper: bool) -> Any:
        return rows @ np.swapaxes(np.linalg.inv(triangle), -1, -2)

    def log_sum_exp(self, x: Any) -> Any:
        most = self.amax(x, axis=0)
        most = self.where(most == -math.inf, 0.0, most)
        return self.log(self.sum(self.exp(x - most), axis=0)) + most

    def normal_cdf(self, x: Any) -> Any:
        # Runtimes have no error function of f64. ln(erfc(z) exp(z^2)) is smooth in 1 / (2 + z); beyond z = 8 nothing is left.
        far = 8.0

        def smooth(t: NDArray[np.float64]) -> NDArray[np.float64]:
            z = 2.0 / t - 2.0
            return np.log(np.vectorize(math.erfc)(z)) + z * z

        series = np.polynomial.Chebyshev.interpolate(smooth, 30, [2.0 / (2.0 + far), 1.0])
        z = self.clip(self.abs(x) * math.sqrt(0.5), None, far)
        low, high = series.domain
        t = (2.0 / (2.0 + z) - 0.5 * (low + high)) * (2.0 / (high - low))
        last, before = 0.0 * t, 0.0 * t
        # Clenshaw's recurrence.
        for coefficient in series.coef[:0:-1]:
            last, before = 2.0 * t * last - before + float(coefficient), last
        tail = 0.5 * self.exp(t * last - before + float(series.coef[0]) - z * z)
        return self.where(x > 0.0, 1.0 - tail, tail)

    # The functions of numpy.

    def _of(self, op: str, name: str, x: Any) -> Any:
        return self._graph.node(op, [x], x.shape, x.dtype) if isinstance(x, Value) else getattr(np, name)(x)

    def exp(self, x: Any) -> Any:
        return self._of("Exp", "exp", x)

    def log(self, x: Any) -> Any:
        return self._of("Log", "log", x)

    def log1p(self, x: Any) -> Any:
        return self.log(x + 1.0) if isinstance(x, Value) else np.log1p(x)

    def expm1(self, x: Any) -> Any:
        if not isinstance(x, Value):
            return np.expm1(x)
        # 2 tanh(x / 2) / (1 - tanh(x / 2)), which keeps the digits of small numbers; beyond 1 there is nothing to keep.
        half = self.tanh(self.clip(0.5 * x, None, 0.5))
        return self.where(x < 1.0, 2.0 * half / (1.0 - half), self.exp(x) - 1.0)

    def sqrt(self, x: Any) -> Any:
        return self._of("Sqrt", "sqrt", x)

    def tanh(self, x: Any) -> Any:
        return self._of("Tanh", "tanh", x)

    def abs(self, x: Any) -> Any:
        return self._of("Abs", "abs", x)

    def sign(self, x: Any) -> Any:
        return self._of("Sign", "sign", x)

    def round(self, x: Any) -> Any:
        return self._of("Round", "round", x)

    def floor(self, x: Any) -> Any:
        return self._of("Floor", "floor", x)

    def cos(self, x: Any) -> Any:
        return self._of("Cos", "cos", x)

    def sin(self, x: Any) -> Any:
        return self._of("Sin", "sin", x)

    def clip(self, x: Any, low: Any, high: Any) -> Any:
        if not isinstance(x, Value):
            return np.clip(x, low, high)
        ends = [None if end is None else self._graph.value(np.asarray(end), x.dtype) for end in (low, high)]
        return self._graph.node("Clip", [x, *ends], x.shape, x.dtype)

    def where(self, condition: Any, a: Any, b: Any) -> Any:
        if not any(isinstance(it, Value) for it in (condition, a, b)):
            return np.where(condition, a, b)
        values = [it for it in (a, b) if isinstance(it, Value)]
        is_whole = not values and all(np.asarray(it).dtype.kind == "i" for it in (a, b))
        dtype = values[0].dtype if values else np.dtype(np.int64) if is_whole else self._graph.dtype
        condition, a, b = self._graph.value(condition), self._graph.value(a, dtype), self._graph.value(b, dtype)
        shape = _broadcast(condition.shape, _broadcast(a.shape, b.shape))
        return self._graph.node("Where", [condition, a, b], shape, dtype)

    def zeros_like(self, x: Any) -> Any:
        return self._filled(x, 0.0)

    def ones_like(self, x: Any) -> Any:
        return self._filled(x, 1.0)

    def _filled(self, x: Any, number: float) -> Any:
        if not isinstance(x, Value):
            return np.full_like(x, number)
        return self._graph.expand(np.full((1,) * x.ndim, number), x.shape)

    def sum(self, x: Any, axis: int | None = None, keepdims: bool = False) -> Any:
        return self._reduced("ReduceSum", "sum", x, axis, keepdims)

    def amax(self, x: Any, axis: int, keepdims: bool = False) -> Any:
        return self._reduced("ReduceMax", "amax", x, axis, keepdims)

    def all(self, x: Any, axis: int) -> Any:
        if not isinstance(x, Value):
            return np.all(x, axis=axis)
        return self.sum(x, axis=axis) == x.shape[axis]

    def _reduced(self, op: str, name: str, x: Any, axis: int | None, keepdims: bool) -> Any:
        if not isinstance(x, Value):
            return getattr(np, name)(x, axis=axis, keepdims=keepdims)
        assert axis is not None
        x, axis = self._graph.cast(x, np.int64) if x.dtype.kind == "b" else x, axis % x.ndim
        shape = (*x.shape[:axis], *((1,) if keepdims else ()), *x.shape[axis + 1 :])
        return self._graph.node(op, [x, np.array([axis])], shape, x.dtype, keepdims=int(keepdims))

    def cumsum(self, x: Any, axis: int) -> Any:
        if not isinstance(x, Value):
            return np.cumsum(x, axis=axis)
        return self._graph.node("CumSum", [x, np.array(axis % x.ndim)], x.shape, x.dtype)

    def concatenate(self, parts: Sequence[Any], axis: int) -> Any:
        there = [part for part in parts if part.shape[axis] != 0]
        if len(there) < 2:
            return there[0] if there else parts[0]
        if not any(isinstance(part, Value) for part in there):
            return np.concatenate(there, axis=axis)
        axis %= there[0].ndim
        values = [self._graph.value(part) for part in there]
        sizes = [part.shape[axis] for part in there]
        shape = (*values[0].shape[:axis], sum(sizes), *values[0].shape[axis + 1 :])
        return self._graph.node("Concat", values, shape, values[0].dtype, axis=axis)

    def stack(self, parts: Sequence[Any], axis: int) -> Any:
        if not any(isinstance(part, Value) for part in parts):
            return np.stack(parts, axis=axis)
        values = [self._graph.value(part) for part in parts]
        shape: Shape = ()
        for value in values:
            shape = _broadcast(shape, value.shape)
        place = (slice(None),) * axis + (None,)
        return self.concatenate([self._graph.expand(value, shape)[place] for value in values], axis)

    def reshape(self, x: Any, shape: Shape) -> Any:
        return self._graph.reshape(x, shape) if isinstance(x, Value) else np.reshape(x, shape)

    def broadcast_to(self, x: Any, shape: Shape) -> Any:
        if 0 in shape:
            return Value(self._graph, "", shape, x.dtype)
        is_known = not isinstance(x, Value) and not any(isinstance(size, Rows) for size in shape)
        return np.broadcast_to(x, shape) if is_known else self._graph.expand(x, shape)

    def einsum(self, equation: str, *operands: Any) -> Any:
        if not any(isinstance(it, Value) for it in operands):
            return np.einsum(equation, *operands)
        inputs, output = equation.split("->")
        sizes: dict[str, Any] = {}
        for letters, it in zip(inputs.split(","), operands, strict=True):
            sizes |= dict(zip(letters, it.shape, strict=True))
        return self._graph.node("Einsum", operands, tuple(sizes[it] for it in output), self._graph.dtype, equation=equation)

    # Of what is known.
    diag, diagonal, tril, triu = (staticmethod(it) for it in (np.diag, np.diagonal, np.tril, np.triu))


def _broadcast(a: Shape, b: Shape) -> Shape:
    """The shape that arrays of two shapes have together."""
    length = max(len(a), len(b))
    pairs = zip((1,) * (length - len(a)) + a, (1,) * (length - len(b)) + b, strict=True)
    return tuple(y if x == 1 else x for x, y in pairs)
