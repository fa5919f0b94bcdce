"""The density that a model file describes, in terms of an array library. docs/model-file.md says what each step is."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from couplet._reader import mixture
from couplet._reader.flow import CouplingFlow
from couplet._reader.frequencies import Frequencies
from couplet._reader.library import Library, Random, Tensor
from couplet._reader.model_file import ModelFile
from couplet._reader.preimages import Preimages
from couplet._reader.preprocessing import Preprocessing


class Density:
    """The structure of a model. Arrays come with each call: tensors by their names in the file, and `constants` by theirs.
    Rows have the columns of numbers, then those of categories, as the indices of their levels; context has its columns in
    their order."""

    def __init__(self, file: ModelFile) -> None:
        metadata, spec = file.metadata, file.metadata["spec"]
        self._dims: int = spec["dims"]
        self._preprocessing = Preprocessing(metadata["preprocessing"])
        self._preimages = Preimages(self._preprocessing)
        #: Numbers that never change, in f64.
        self.constants: dict[str, NDArray[np.float64]] = self._preprocessing.constants | self._preimages.constants
        context, of_levels = self._preprocessing.context, metadata.get("frequencies") or []
        categories, given = context[: len(of_levels)], context[len(of_levels) :]
        #: The names of the modelled columns, and of the given ones.
        self.columns: list[str] = [*metadata["columns"], *(column["name"] for column in categories)]
        self.context_columns: list[str] = [column["name"] for column in given]
        #: The levels of the columns of categories.
        self.levels: dict[str, list[str]] = {column["name"]: column["levels"] for column in context if column.get("levels")}
        self._frequencies = None
        if of_levels:
            self._frequencies = Frequencies(of_levels, [len(levels) for levels in self.levels.values()], file.tensors)
            self.constants |= self._frequencies.constants
        self._is_alone = metadata.get("members") is None
        self._weights: list[float] = [1.0] if self._is_alone else metadata["members"]
        self._mixture_weight: float | None = metadata.get("mixture")
        #: The tensors that a fit changes; those of a mixture's weights by their logarithms, which may be any numbers.
        self.parameters = {name: it for name, it in file.tensors.items() if not name.startswith("frequencies.")}
        if (of_components := self.parameters.pop("mixture.weights", None)) is not None:
            self.parameters["mixture.log_weights"] = np.log(of_components)
        self._flow = CouplingFlow(spec, self.parameters)

    def log_prob(self, o: Library, a: Mapping[str, Tensor], x: Tensor, context: Tensor) -> Tensor:
        """The log-density of each row, in nats and in the units of the table; -inf outside of the support."""
        numbers, given = x[:, : self._dims], o.xp.concatenate([x[:, self._dims :], context], axis=1)
        seen = self._preprocessing.seen_context(o, a, given)
        log_prob = (self._of_kinds if self._preprocessing.kinds else self._of_interval)(o, a, numbers, seen)
        if self._frequencies is not None:
            log_prob = log_prob + self._frequencies.log_prob(o, a, self._levels_of(o, given))
        return log_prob

    def forward(self, o: Library, a: Mapping[str, Tensor], x: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        """The latents of rows, and log |det dz/dx|. A whole number has the latent of the middle of its cell; levels follow as
        they are."""
        self._check_alone()
        numbers, levels = x[:, : self._dims], x[:, self._dims :]
        seen = self._preprocessing.seen_context(o, a, o.xp.concatenate([levels, context], axis=1))
        y, log_det = self._preprocessing.to_flow(o, a, numbers, seen)
        z, of_flow = self._flow.forward(o, a, "", y, seen)
        return o.xp.concatenate([z, levels], axis=1), log_det + of_flow

    def inverse(self, o: Library, a: Mapping[str, Tensor], z: Tensor, context: Tensor) -> Tensor:
        """The rows that latents come from; levels stand behind those of numbers."""
        self._check_alone()
        levels = z[:, self._dims :]
        seen = self._preprocessing.seen_context(o, a, o.xp.concatenate([levels, context], axis=1))
        y = self._flow.inverse(o, a, "", z[:, : self._dims], seen)
        return o.xp.concatenate([self._preprocessing.from_flow(o, a, y, seen), levels], axis=1)

    def sample(self, o: Library, a: Mapping[str, Tensor], context: Tensor, random: Random) -> Tensor:
        """A row drawn for each row of context."""
        rows = context.shape[0]
        levels = context[:, :0]
        if self._frequencies is not None:
            levels = self._frequencies.sample(o, a, self._levels_of(o, context), random)
        seen = self._preprocessing.seen_context(o, a, o.xp.concatenate([levels, context], axis=1))
        samples = []
        if self._weights:
            prefixes = [prefix for prefix, _ in self._members() if prefix != "mixture"]
            samples = [self._flow.inverse(o, a, it, self._flow.sample_base(o, a, random, rows, it), seen) for it in prefixes]
        if self._mixture_weight is not None:
            samples.append(mixture.sample(o, a, random, seen))
        y = samples[0]
        if len(samples) > 1:
            below = np.cumsum([weight for _, weight in self._members()])[: len(samples) - 1]
            u = random.uniform(rows, 1)
            for edge, other in zip(below, samples[1:], strict=True):
                y = o.xp.where(u < edge, y, other)
        return o.xp.concatenate([self._preprocessing.from_flow(o, a, y, seen), levels], axis=1)

    def check_context(self, rows: int, shape: tuple[int, ...] | None) -> None:
        """Refuses context of another shape than as many rows need, and none where some is needed."""
        columns = self.context_columns
        if shape is None and columns:
            raise ValueError(f"the model is a density given {', '.join(columns)}, and no context is there")
        if shape is not None and (shape[1] != len(columns) or shape[0] not in (1, rows)):
            raise ValueError(f"context of shape {shape} for {rows} rows given {len(columns)} columns")

    def _check_alone(self) -> None:
        if not self._is_alone:
            raise ValueError("the model is a stack of several densities, which have no latent in common")

    def _levels_of(self, o: Library, given: Tensor) -> Tensor:
        """The columns of categories, of those that the flows see as context."""
        columns = self._preprocessing.context[len(self._preprocessing.context) - given.shape[1] :]
        of_levels = [j for j, column in enumerate(columns) if column.get("levels")]
        return given[:, of_levels] if of_levels else given[:, :0]

    def _of_kinds(self, o: Library, a: Mapping[str, Tensor], x: Tensor, seen: Tensor) -> Tensor:
        """The log-density of rows: what it is of all the real numbers that become theirs, added up."""
        xp, columns = o.xp, list(enumerate(self._preprocessing.kinds))
        inside = xp.stack([column.contains(xp, x[:, j]) for j, column in columns], axis=1)
        # Some row of the support stands for each that is not in it, so that every number below is finite.
        x = xp.where(inside, x, self._preimages.some_row(o, a))
        v, log_weight = self._preimages.of(o, a, x)
        rows, points = v.shape[:2]
        again = xp.reshape(xp.broadcast_to(seen[:, None, :], (rows, points, seen.shape[1])), (rows * points, seen.shape[1]))
        log_prob = self._of_interval(o, a, xp.reshape(v, (rows * points, v.shape[2])), again)
        log_prob = o.log_sum_exp((xp.reshape(log_prob, (rows, points)) + log_weight).T)
        if len(columns) == 1 and columns[0][1].is_discrete:
            cell = self._probability_of_cell(o, a, x[:, 0], seen)
            # Of less the rounding of the two leaves little.
            is_rare = cell < 1e-9
            log_prob = xp.where(is_rare, log_prob, xp.log(xp.where(is_rare, 1.0, cell)))
        return xp.where(xp.all(inside, axis=1), log_prob, -math.inf)

    def _probability_of_cell(self, o: Library, a: Mapping[str, Tensor], x: Tensor, seen: Tensor) -> Tensor:
        """The probability of the only column's whole numbers: the difference of two values of its distribution function."""
        xp, column = o.xp, self._preprocessing.kinds[0]
        below, above = column.is_open(xp, x)
        half = 0.5 * column.step
        last = xp.where(above, 1.0, self._cdf(o, a, xp.where(above, x, x + half), seen))
        first = xp.where(below, 0.0, self._cdf(o, a, xp.where(below, x, x - half), seen))
        return xp.clip(last - first, 0.0, 1.0)

    def _cdf(self, o: Library, a: Mapping[str, Tensor], v: Tensor, seen: Tensor) -> Tensor:
        """The distribution function of a density over one column."""
        y, _ = self._preprocessing.to_flow(o, a, v[:, None], seen)
        sum_ = o.xp.zeros_like(v)
        for prefix, weight in self._members():
            is_mixture = prefix == "mixture"
            of_member = mixture.cdf(o, a, y, seen) if is_mixture else self._flow.cdf(o, a, prefix, y, seen)
            sum_ = sum_ + weight * of_member
        return sum_

    def _members(self) -> list[tuple[str, float]]:
        """The prefixes of the flows' tensors, and "mixture" for a mixture, with their weights."""
        flows = [("" if self._is_alone else f"members.{k}.", weight) for k, weight in enumerate(self._weights)]
        return flows if self._mixture_weight is None else [*flows, ("mixture", self._mixture_weight)]

    def _of_interval(self, o: Library, a: Mapping[str, Tensor], v: Tensor, seen: Tensor) -> Tensor:
        """The log-density of numbers of the columns' intervals."""
        y, log_det = self._preprocessing.to_flow(o, a, v, seen)
        terms = []
        for prefix, weight in self._members():
            is_mixture = prefix == "mixture"
            of_member = mixture.log_prob(o, a, y, seen) if is_mixture else self._flow.log_prob(o, a, prefix, y, seen)
            terms.append(of_member + math.log(weight))
        return log_det + (terms[0] if len(terms) == 1 else o.log_sum_exp(o.xp.stack(terms, axis=0)))
