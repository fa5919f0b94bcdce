"""Models as modules of PyTorch.

>>> import couplet.torch
>>> flow = couplet.torch.load("ring.safetensors")  # doctest: +SKIP
>>> loss = -flow.log_prob(rows).mean()  # doctest: +SKIP
"""

from __future__ import annotations

import os
from typing import Any

import torch
from torch import Tensor, nn

from couplet._reader import model_file
from couplet._reader.density import Density

__all__ = ["Flow", "load"]


def load(path: str | os.PathLike[str], dtype: torch.dtype | None = None) -> Flow:
    """The model of a file, with numbers of this type, torch's default one where none is named: f64 gives the density to as many
    digits as the command's `score --f64`, f32 to some five."""
    return Flow(Density(model_file.read(path)), dtype or torch.get_default_dtype())


class Flow(nn.Module):
    """A model of couplet's. Rows have the modelled columns in the order of `columns`, and context those of `context_columns`, a
    row for each or one for all; levels are numbers, their indices in `levels`. All is differentiable in the rows and in the
    parameters, but for samples in what member of a stack they come from."""

    def __init__(self, density: Density, dtype: torch.dtype) -> None:
        super().__init__()
        self._density = density
        self._library = _Torch()
        # A module's names have no dots.
        self._parameter_names = {name: name.replace(".", "_") for name in density.parameters}
        self._constant_names = {name: "constant_" + name.replace(".", "_") for name in density.constants}
        for name, numbers in density.parameters.items():
            self.register_parameter(self._parameter_names[name], nn.Parameter(torch.tensor(numbers, dtype=dtype)))
        for name, numbers in density.constants.items():
            self.register_buffer(self._constant_names[name], torch.tensor(numbers, dtype=dtype))

    @property
    def columns(self) -> list[str]:
        """The modelled columns: those of numbers, then those of categories."""
        return self._density.columns

    @property
    def context_columns(self) -> list[str]:
        """The columns that the density is given."""
        return self._density.context_columns

    @property
    def levels(self) -> dict[str, list[str]]:
        """The levels of the columns of categories."""
        return self._density.levels

    def log_prob(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """The log-density of each row [rows], in nats and in the units of the table; -inf outside of the support."""
        return self._density.log_prob(self._library, self._arrays(), x, self._context(x.shape[0], context))

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The latents of rows, and log |det dz/dx|; of a model of one flow. Levels follow the latents as they are."""
        return self._density.forward(self._library, self._arrays(), x, self._context(x.shape[0], context))

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        """The rows that latents come from; of a model of one flow."""
        return self._density.inverse(self._library, self._arrays(), z, self._context(z.shape[0], context))

    def sample(self, count: int, context: Tensor | None = None, generator: torch.Generator | None = None) -> Tensor:
        """Rows drawn from the density, as many as `count` for one row of context or none, else one for each."""
        context = self._context(count, context)
        return self._density.sample(self._library, self._arrays(), context, _Random(generator, context))

    def _arrays(self) -> dict[str, Tensor]:
        names = self._parameter_names | self._constant_names
        return {name: getattr(self, attribute) for name, attribute in names.items()}

    def _context(self, rows: int, context: Tensor | None) -> Tensor:
        if context is not None and context.ndim == 1:
            context = context.reshape(1, -1)
        self._density.check_context(rows, None if context is None else tuple(context.shape))
        if context is None:
            some = next(iter(self._arrays().values()))
            return torch.empty((rows, 0), dtype=some.dtype, device=some.device)
        return context.expand(rows, -1)


class _Torch:
    """What jax.numpy has under other names."""

    xp = torch

    def real(self, x: Tensor, like: Tensor) -> Tensor:
        return x.to(like.dtype)

    def range(self, count: int, like: Tensor) -> Tensor:
        return torch.arange(count, device=like.device)

    def take(self, x: Tensor, index: Tensor) -> Tensor:
        return torch.take_along_dim(x, index, dim=-1)

    def entries(self, table: Tensor, *indices: Tensor) -> Tensor:
        return table[indices]

    def solve(self, triangle: Tensor, rows: Tensor, upper: bool) -> Tensor:
        return torch.linalg.solve_triangular(triangle, rows.mT, upper=upper).mT

    def log_sum_exp(self, x: Tensor) -> Tensor:
        return torch.logsumexp(x, dim=0)

    def normal_cdf(self, x: Tensor) -> Tensor:
        return torch.special.ndtr(x)


class _Random:
    def __init__(self, generator: torch.Generator | None, like: Tensor) -> None:
        self._options: dict[str, Any] = {"generator": generator, "dtype": like.dtype, "device": like.device}

    def uniform(self, rows: int, columns: int) -> Tensor:
        u = torch.rand((rows, columns), **self._options)
        # Never 0, whose logarithm no number is.
        return torch.clip(u, torch.finfo(u.dtype).tiny, None)

    def normal(self, rows: int, columns: int) -> Tensor:
        return torch.randn((rows, columns), **self._options)
