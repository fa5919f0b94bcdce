"""Chains and weighted samples of other programs: GetDist's and CosmoMC's files, ArviZ, emcee, nested sampling, HDF5.

>>> from couplet import samples
>>> chain = samples.read("chains/planck")  # doctest: +SKIP
>>> flow = chain.fit(seed=1)  # doctest: +SKIP
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from couplet._flow import Flow
from couplet._tables import Array

__all__ = ["Samples", "draw", "read", "read_hdf5"]


@dataclass(frozen=True)
class Samples:
    """Rows of parameters, perhaps with weights."""

    #: The rows [rows, parameters].
    values: Array
    #: The parameters' names.
    names: list[str]
    #: A weight for each row; none where all count the same.
    weights: Array | None = None
    #: The log-density of each row that the sampler knew, up to a constant, such as the log-posterior.
    log_density: Array | None = None
    #: The bounds of the prior, by names; a side without one is None.
    bounds: dict[str, tuple[float | None, float | None]] = field(default_factory=dict)
    #: The parameters in TeX, by names.
    labels: dict[str, str] = field(default_factory=dict)

    @property
    def table(self) -> dict[str, Array]:
        """The rows as columns, which `Flow.fit` takes."""
        return {name: np.ascontiguousarray(self.values[:, j]) for j, name in enumerate(self.names)}

    @property
    def kinds(self) -> dict[str, str]:
        """Parameters whose prior has bounds, as columns of that kind: for `Flow(kinds=...)`."""
        kinds = {}
        for name, (low, high) in self.bounds.items():
            if name in self.names and (low is not None or high is not None):
                kinds[name] = f"bounded({'' if low is None else repr(low)},{'' if high is None else repr(high)})"
        return kinds

    @property
    def effective_sample_size(self) -> float:
        """How many rows of equal weight the weighted ones are worth (Kish); correlations along a chain are not seen."""
        if self.weights is None:
            return float(len(self.values))
        return float(self.weights.sum() ** 2 / (self.weights**2).sum())

    def fit(self, **settings: Any) -> Flow:
        """A flow that is fitted to the rows by their weights, with the bounds of the prior. Settings are those of
        `couplet.Flow`."""
        settings["kinds"] = {**self.kinds, **(settings.get("kinds") or {})} or None
        return Flow(**settings).fit(self.table, sample_weight=self.weights)

    def select(self, names: list[str]) -> Samples:
        """The same rows of some parameters."""
        lacking = [name for name in names if name not in self.names]
        if lacking:
            raise ValueError(f"there is no {lacking[0]!r} among {', '.join(self.names)}")
        return replace(self, values=self.values[:, [self.names.index(name) for name in names]], names=list(names))

    def to_getdist(self, root: str | os.PathLike[str]) -> None:
        """Writes GetDist's files: root.txt with weights, minus log-densities and parameters, root.paramnames, root.ranges."""
        rows = len(self.values)
        weights = np.ones(rows) if self.weights is None else self.weights
        minus = np.zeros(rows) if self.log_density is None else -self.log_density
        np.savetxt(f"{os.fspath(root)}.txt", np.column_stack([weights, minus, self.values]), fmt="%.17g")
        names = [f"{name}\t{self.labels.get(name, name)}\n" for name in self.names]
        Path(f"{os.fspath(root)}.paramnames").write_text("".join(names))
        bounds = [(name, *self.bounds.get(name, (None, None))) for name in self.names]
        ranges = [
            f"{name} {'N' if low is None else repr(low)} {'N' if high is None else repr(high)}\n" for name, low, high in bounds
        ]
        Path(f"{os.fspath(root)}.ranges").write_text("".join(ranges))

    def to_inference_data(self, chains: int = 1) -> Any:
        """ArviZ's InferenceData: parameters in `posterior`, weights and log-densities as `weight` and `lp` in `sample_stats`.
        Names such as theta[0], theta[1] are one variable theta."""
        import arviz

        rows = len(self.values) // chains * chains
        if rows == 0:
            raise ValueError(f"{len(self.values)} rows are fewer than {chains} chains")

        def as_chains(numbers: Array) -> Array:
            return numbers[:rows].reshape(chains, -1, *numbers.shape[1:])

        groups: dict[str, list[int]] = {}
        for j, name in enumerate(self.names):
            groups.setdefault(re.sub(r"\[\d+\]$", "", name), []).append(j)
        posterior = {}
        for name, columns in groups.items():
            is_vector = [self.names[j] for j in columns] == [f"{name}[{k}]" for k in range(len(columns))]
            if is_vector:
                posterior[name] = as_chains(self.values[:, columns])
            else:
                posterior |= {self.names[j]: as_chains(self.values[:, j]) for j in columns}
        stats = {}
        if self.weights is not None:
            stats["weight"] = as_chains(self.weights)
        if self.log_density is not None:
            stats["lp"] = as_chains(self.log_density)
        groups_of_data = {"posterior": posterior} | ({"sample_stats": stats} if stats else {})
        from_dict: Any = arviz.from_dict
        return from_dict(groups_of_data) if _is_new(arviz) else from_dict(**groups_of_data)

    def __repr__(self) -> str:
        weighted = "" if self.weights is None else f", worth {self.effective_sample_size:.0f} of equal weight"
        return f"{len(self.values)} rows of {', '.join(self.names)}{weighted}"


def draw(flow: Flow, n: int, *, chains: int = 4, given: Any = None, random_state: Any = None) -> Any:
    """Rows drawn from a flow as ArviZ's InferenceData, with their log-densities as `lp`."""
    drawn = flow.sample(n, random_state, given=given)
    log_density = flow.score_samples(drawn, given=given)
    return Samples(flow._modelled(drawn, given), flow.columns_, log_density=log_density).to_inference_data(chains)


def read(source: Any, names: list[str] | None = None, *, burn_in: float = 0.0, derived: bool = False) -> Samples:
    """Reads a chain or weighted samples.

    Parameters
    ----------
    source
        The root of GetDist's files (root.txt, or root_1.txt, root_2.txt, ... with root.paramnames and root.ranges); a file of
        ArviZ (.nc, .zarr) or its InferenceData or DataTree; an HDF5 file (.h5, .hdf5); a sampler of emcee; the results of a
        nested sampler with `samples` and `logwt`, such as dynesty's; an array [rows, parameters] or [steps, walkers,
        parameters].
    names : list of str
        The parameters' names, where the source has none; else those to take.
    burn_in : fraction
        What to leave out at the beginning of each chain.
    derived : bool
        GetDist's files: whether to take derived parameters, which follow from the others.
    """
    if not 0.0 <= burn_in < 1.0:
        raise ValueError(f"burn_in={burn_in}: must be at least 0 and below 1")
    if isinstance(source, (str, os.PathLike)):
        path = Path(source)
        if path.suffix in (".h5", ".hdf5"):
            return _chosen(read_hdf5(path, burn_in=burn_in), names)
        if path.suffix in (".nc", ".zarr"):
            return _chosen(_of_inference_data(_open_inference_data(path), burn_in), names)
        return _chosen(_read_getdist(path, burn_in, derived), names)
    if hasattr(source, "posterior") or (hasattr(source, "children") and "posterior" in source.children):
        return _chosen(_of_inference_data(source, burn_in), names)
    if hasattr(source, "get_chain"):
        chain, log_prob = source.get_chain(), source.get_log_prob()
        return _of_chains(chain, names, burn_in, log_prob)
    if hasattr(source, "logwt") and hasattr(source, "samples"):
        log_weights = np.asarray(source.logwt, dtype=np.float64)
        weights = np.exp(log_weights - log_weights.max())
        log_density = getattr(source, "logl", None)
        values = np.asarray(source.samples, dtype=np.float64)
        return Samples(
            values, _names(names, values.shape[1]), weights, None if log_density is None else np.asarray(log_density)
        )
    array = np.asarray(source, dtype=np.float64)
    if array.ndim not in (2, 3):
        raise ValueError(f"an array of shape {array.shape}: [rows, parameters] or [steps, walkers, parameters] is needed")
    return _of_chains(array if array.ndim == 3 else array[:, None, :], names, burn_in, None)


def read_hdf5(path: str | os.PathLike[str], dataset: str | None = None, *, burn_in: float = 0.0) -> Samples:
    """Reads an HDF5 file with h5py: a chain of emcee's backend, a table (a compound type, as pandas and PyTables write it), an
    array of two or three dimensions, or a group of columns of the same length. `dataset` names it where the file has
    several."""
    import h5py

    with h5py.File(path, "r") as file:
        if dataset is None and "mcmc" in file and "chain" in file["mcmc"]:
            group = file["mcmc"]
            done = int(group.attrs.get("iteration", len(group["chain"])))
            return _of_chains(group["chain"][:done], None, burn_in, group["log_prob"][:done])
        found = file if dataset is None else file.get(dataset)
        if found is None:
            raise ValueError(f"{os.fspath(path)}: there is no dataset {dataset!r}; it has {', '.join(file)}")
        while isinstance(found, h5py.Group) and len(found) == 1:
            found = next(iter(found.values()))
        if isinstance(found, h5py.Dataset):
            array = found[()]
            if array.dtype.names:
                columns = {name: array[name] for name in array.dtype.names if np.issubdtype(array.dtype[name], np.number)}
                return _of_columns(columns, burn_in, path)
            if array.ndim in (2, 3):
                return _of_chains(array if array.ndim == 3 else array[:, None, :], None, burn_in, None)
            raise ValueError(f"{os.fspath(path)}: {found.name} is an array of shape {array.shape}, and no table")
        one = {name: it[()] for name, it in found.items() if isinstance(it, h5py.Dataset) and it.ndim == 1}
        if not one:
            raise ValueError(f"{os.fspath(path)}: name one of its datasets: {', '.join(found)}")
        return _of_columns({name: it for name, it in one.items() if np.issubdtype(it.dtype, np.number)}, burn_in, path)


def _of_columns(columns: dict[str, Any], burn_in: float, path: Any) -> Samples:
    lengths = {len(column) for column in columns.values()}
    if len(lengths) != 1:
        raise ValueError(f"{os.fspath(path)}: its columns have different lengths: {', '.join(map(str, sorted(lengths)))}")
    special = {name.lower(): name for name in columns}
    weights = columns.get(special.get("weight", special.get("weights", "")))
    log_density = columns.get(special.get("log_prob", special.get("logp", special.get("lp", ""))))
    others = {name: it for name, it in columns.items() if it is not weights and it is not log_density}
    first = int(burn_in * lengths.pop())
    values = np.column_stack([np.asarray(it, dtype=np.float64)[first:] for it in others.values()])

    def rest(column: Any) -> Array | None:
        return None if column is None else np.asarray(column, dtype=np.float64)[first:]

    return Samples(values, list(others), rest(weights), rest(log_density))


def _of_chains(chain: Any, names: list[str] | None, burn_in: float, log_prob: Any) -> Samples:
    """Of chains [steps, walkers, parameters]."""
    chain = np.asarray(chain, dtype=np.float64)
    first = int(burn_in * len(chain))
    values = chain[first:].reshape(-1, chain.shape[2])
    log_density = None if log_prob is None else np.asarray(log_prob, dtype=np.float64)[first:].reshape(-1)
    return Samples(values, _names(names, values.shape[1]), None, log_density)


def _names(names: list[str] | None, count: int) -> list[str]:
    if names is not None and len(names) != count:
        raise ValueError(f"{len(names)} names for {count} parameters")
    return list(names) if names is not None else [f"x{j}" for j in range(count)]


def _chosen(samples: Samples, names: list[str] | None) -> Samples:
    return samples if names is None else samples.select(names)


def _read_getdist(root: Path, burn_in: float, derived: bool) -> Samples:
    """Files of GetDist and CosmoMC: a weight, minus the log-density and the parameters in each line."""
    stem = str(root).removesuffix(".txt")
    numbered = [path for path in root.parent.glob(f"{Path(stem).name}_*.txt") if re.fullmatch(r".*_\d+\.txt", path.name)]
    files = sorted(numbered, key=lambda path: int(path.stem.rpartition("_")[2]))
    if Path(f"{stem}.txt").exists():
        files = [Path(f"{stem}.txt")]
    if not files:
        raise FileNotFoundError(f"{stem}: there is neither {stem}.txt nor {stem}_1.txt")
    chains: list[Array] = []
    for file in files:
        rows = np.loadtxt(file, ndmin=2)
        if rows.shape[1] < 3 or (chains and rows.shape[1] != chains[0].shape[1]):
            raise ValueError(
                f"{file}: its lines have {rows.shape[1]} numbers, where a weight, a log-density and parameters are needed"
            )
        chains.append(rows[int(burn_in * len(rows)) :])
    rows = np.concatenate(chains)
    of_root = Path(f"{stem}.paramnames")
    if not of_root.exists():
        of_root = Path(re.sub(r"_\d+$", "", stem) + ".paramnames")
    names, labels, is_derived = [f"x{j}" for j in range(rows.shape[1] - 2)], {}, [False] * (rows.shape[1] - 2)
    if of_root.exists():
        lines = [line.split(None, 1) for line in of_root.read_text().splitlines() if line.strip()]
        if len(lines) != rows.shape[1] - 2:
            raise ValueError(f"{of_root}: {len(lines)} names for {rows.shape[1] - 2} parameters")
        is_derived = [line[0].endswith("*") for line in lines]
        names = [line[0].removesuffix("*") for line in lines]
        labels = {name: line[1].strip() for name, line in zip(names, lines, strict=True) if len(line) > 1}
    bounds: dict[str, tuple[float | None, float | None]] = {}
    ranges = of_root.with_suffix(".ranges")
    if ranges.exists():
        for line in ranges.read_text().splitlines():
            words = line.split()
            if len(words) >= 3:
                low, high = (None if word == "N" else float(word) for word in words[1:3])
                bounds[words[0].removesuffix("*")] = (low, high)
    values = rows[:, 2:]
    # What follows from other parameters, and what is fixed, has no density.
    kept = [j for j in range(values.shape[1]) if (derived or not is_derived[j]) and np.ptp(values[:, j]) > 0.0]
    kept_names = [names[j] for j in kept]
    return Samples(
        values[:, kept],
        kept_names,
        None if (rows[:, 0] == rows[0, 0]).all() else rows[:, 0],
        -rows[:, 1],
        {name: bounds[name] for name in kept_names if name in bounds},
        {name: labels[name] for name in kept_names if name in labels},
    )


def _open_inference_data(path: Path) -> Any:
    import arviz

    return arviz.from_zarr(path) if path.suffix == ".zarr" else arviz.from_netcdf(path)


def _is_new(arviz: Any) -> bool:
    """Whether ArviZ has DataTrees in place of InferenceData."""
    return not hasattr(arviz, "InferenceData")


def _of_inference_data(data: Any, burn_in: float) -> Samples:
    """The posterior of InferenceData, or of a DataTree."""

    def group(name: str) -> Any:
        if hasattr(data, "children"):
            return data[name] if name in data.children else None
        return getattr(data, name, None)

    def flat(variable: Any) -> Array:
        array = np.asarray(variable.transpose("chain", "draw", ...).values, dtype=np.float64)
        array = array[:, int(burn_in * array.shape[1]) :]
        return array.reshape(array.shape[0] * array.shape[1], -1)

    columns: dict[str, Array] = {}
    for name, variable in group("posterior").data_vars.items():
        of_variable = flat(variable)
        is_scalar = variable.ndim == 2
        columns |= {str(name) if is_scalar else f"{name}[{k}]": of_variable[:, k] for k in range(of_variable.shape[1])}
    stats = group("sample_stats")
    found = {
        name: flat(stats[name])[:, 0] if stats is not None and name in stats.data_vars else None for name in ("weight", "lp")
    }
    return Samples(np.column_stack(list(columns.values())), list(columns), found["weight"], found["lp"])
