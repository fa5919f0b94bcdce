"""Models as pytrees of JAX.

>>> import couplet.jax
>>> flow = couplet.jax.load("ring.safetensors")  # doctest: +SKIP
>>> gradient = jax.grad(flow.log_prob)(row)  # doctest: +SKIP
"""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from couplet._reader import model_file
from couplet._reader.density import Density

__all__ = ["Flow", "load"]


def load(path: str | os.PathLike[str], dtype: Any = None) -> Flow:
    """The model of a file, with numbers of this type, else of JAX's default: f64, which takes `jax_enable_x64`, gives the
    density to as many digits as the command's `score --f64`, f32 to some five."""
    density = Density(model_file.read(path))

    def arrays(numbers: dict[str, Any]) -> dict[str, Array]:
        return {name: jnp.asarray(array, dtype) for name, array in numbers.items()}

    return Flow(arrays(density.parameters), arrays(density.constants), density)


@functools.partial(jax.tree_util.register_dataclass, data_fields=["parameters", "constants"], meta_fields=["density"])
@dataclass(frozen=True)
class Flow:
    """A model of couplet's: a pytree of its tensors, with pure methods. A row is an array of the modelled columns in the order
    of `columns`, rows an array of these; context has the columns of `context_columns`, in a row for each or in one for all.
    Levels are numbers, their indices in `levels`."""

    #: The tensors, by their names in the file: what a fit changes.
    parameters: dict[str, Array]
    #: What prepares rows, which has no gradient.
    constants: dict[str, Array]
    #: The structure.
    density: Density

    @property
    def columns(self) -> list[str]:
        """The modelled columns: those of numbers, then those of categories."""
        return self.density.columns

    @property
    def context_columns(self) -> list[str]:
        """The columns that the density is given."""
        return self.density.context_columns

    @property
    def levels(self) -> dict[str, list[str]]:
        """The levels of the columns of categories."""
        return self.density.levels

    def log_prob(self, x: Array, context: Array | None = None) -> Array:
        """The log-density of a row, or of each row, in nats and in the units of the table; -inf outside of the support."""
        rows = jnp.atleast_2d(x)
        log_prob = self.density.log_prob(_LIBRARY, self._arrays(), rows, self._context(len(rows), context))
        return log_prob if x.ndim == 2 else log_prob[0]

    def forward(self, x: Array, context: Array | None = None) -> tuple[Array, Array]:
        """The latents of rows, and log |det dz/dx|; of a model of one flow. Levels follow the latents as they are."""
        rows = jnp.atleast_2d(x)
        z, log_det = self.density.forward(_LIBRARY, self._arrays(), rows, self._context(len(rows), context))
        return (z, log_det) if x.ndim == 2 else (z[0], log_det[0])

    def inverse(self, z: Array, context: Array | None = None) -> Array:
        """The rows that latents come from; of a model of one flow."""
        rows = jnp.atleast_2d(z)
        x = self.density.inverse(_LIBRARY, self._arrays(), rows, self._context(len(rows), context))
        return x if z.ndim == 2 else x[0]

    def sample(self, key: Array, count: int, context: Array | None = None) -> Array:
        """Rows drawn from the density, as many as `count` for one row of context or none, else one for each."""
        context = self._context(count, context)
        return self.density.sample(_LIBRARY, self._arrays(), context, _Random(key, context.dtype))

    def _arrays(self) -> dict[str, Array]:
        return self.parameters | {name: jax.lax.stop_gradient(array) for name, array in self.constants.items()}

    def _context(self, rows: int, context: Array | None) -> Array:
        context = None if context is None else jnp.atleast_2d(context)
        self.density.check_context(rows, None if context is None else context.shape)
        if context is None:
            return jnp.zeros((rows, 0), next(iter(self.parameters.values())).dtype)
        return jnp.broadcast_to(context, (rows, context.shape[1]))


class _Jax:
    """What torch has under other names."""

    xp = jnp

    def real(self, x: Array, like: Array) -> Array:
        return x.astype(like.dtype)

    def range(self, count: int, like: Array) -> Array:
        return jnp.arange(count)

    def take(self, x: Array, index: Array) -> Array:
        return jnp.take_along_axis(x, index, axis=-1)

    def entries(self, table: Array, *indices: Array) -> Array:
        return table[indices]

    def solve(self, triangle: Array, rows: Array, upper: bool) -> Array:
        # By the inverse of the triangle: in XLA on CPUs two solves of many rows beside each other can wait without end.
        unit = jnp.broadcast_to(jnp.eye(triangle.shape[-1], dtype=triangle.dtype), triangle.shape)
        inverse = jax.scipy.linalg.solve_triangular(triangle, unit, lower=not upper)
        return rows @ jnp.swapaxes(inverse, -1, -2)

    def log_sum_exp(self, x: Array) -> Array:
        return jax.scipy.special.logsumexp(x, axis=0)

    def normal_cdf(self, x: Array) -> Array:
        return jax.scipy.special.ndtr(x)


_LIBRARY = _Jax()


class _Random:
    """Numbers from a key, another for each call."""

    def __init__(self, key: Array, dtype: Any) -> None:
        self._key, self._dtype = key, dtype

    def _next(self) -> Array:
        self._key, key = jax.random.split(self._key)
        return key

    def uniform(self, rows: int, columns: int) -> Array:
        least = jnp.finfo(self._dtype).tiny
        return jax.random.uniform(self._next(), (rows, columns), self._dtype, minval=least)

    def normal(self, rows: int, columns: int) -> Array:
        return jax.random.normal(self._next(), (rows, columns), self._dtype)
