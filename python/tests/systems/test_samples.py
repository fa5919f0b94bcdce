"""Chains of other programs go in and come out with their weights, names and numbers."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import arviz
import getdist
import h5py
import numpy as np
import pytest
import xarray

import couplet
from couplet import samples

pytestmark = pytest.mark.filterwarnings("ignore::couplet.CoupletWarning")


@pytest.fixture
def chain() -> samples.Samples:
    rng = np.random.default_rng(1)
    values = np.column_stack([rng.normal(size=1200), rng.exponential(size=1200), rng.uniform(2.0, 3.0, 1200)])
    bounds = {"tau": (0.0, None), "n_s": (2.0, 3.0)}
    weights = rng.integers(1, 9, 1200).astype(float)
    return samples.Samples(values, ["omega", "tau", "n_s"], weights, rng.normal(size=1200), bounds, {"omega": r"\Omega_m h^2"})


def same(a: samples.Samples, b: samples.Samples) -> None:
    assert a.names == b.names
    np.testing.assert_array_equal(a.values, b.values)
    for one, other in ((a.weights, b.weights), (a.log_density, b.log_density)):
        assert (one is None) == (other is None)
        if one is not None:
            np.testing.assert_array_equal(one, other)


def test_files_of_getdist_go_round(chain: samples.Samples, tmp_path: Path) -> None:
    chain.to_getdist(tmp_path / "run")
    again = samples.read(tmp_path / "run")
    same(again, chain)
    assert again.bounds == {"omega": (None, None), **chain.bounds} and again.labels["omega"] == r"\Omega_m h^2"
    assert again.kinds == {"tau": "bounded(0.0,)", "n_s": "bounded(2.0,3.0)"}
    theirs = getdist.loadMCSamples(str(tmp_path / "run"), settings={"ignore_rows": 0})
    np.testing.assert_array_equal(theirs.samples, chain.values)
    np.testing.assert_array_equal(theirs.weights, chain.weights)
    assert theirs.ranges.getLower("tau") == 0.0 and theirs.ranges.getUpper("n_s") == 3.0
    assert [it.name for it in theirs.paramNames.names] == chain.names


def test_what_getdist_writes_is_read(chain: samples.Samples, tmp_path: Path) -> None:
    theirs = getdist.MCSamples(
        samples=[chain.values[:700], chain.values[700:]],
        weights=[chain.weights[:700], chain.weights[700:]],
        loglikes=[-chain.log_density[:700], -chain.log_density[700:]],
        names=chain.names,
        ranges={"tau": (0.0, None)},
    )
    theirs.addDerived(chain.values[:, 0] ** 2, name="square")
    theirs.saveAsText(str(tmp_path / "run"))
    again = samples.read(tmp_path / "run")
    assert again.names == chain.names and again.bounds["tau"] == (0.0, None)
    np.testing.assert_allclose(again.values, chain.values, rtol=1e-6)
    np.testing.assert_allclose(again.weights, chain.weights, rtol=1e-6)
    assert samples.read(tmp_path / "run", derived=True).names == [*chain.names, "square"]
    # Two files, half of each left out.
    for k, part in enumerate(np.array_split(np.column_stack([chain.weights, -chain.log_density, chain.values]), 2)):
        np.savetxt(tmp_path / f"two_{k + 1}.txt", part)
    half = samples.read(tmp_path / "two", burn_in=0.5)
    assert half.names == ["x0", "x1", "x2"] and len(half.values) == 600


def test_inference_data_goes_round(chain: samples.Samples, tmp_path: Path) -> None:
    vector = samples.Samples(chain.values, ["theta[0]", "theta[1]", "n_s"], chain.weights, chain.log_density)
    data = vector.to_inference_data(chains=4)
    assert data["posterior"]["theta"].shape == (4, 300, 2)
    same(samples.read(data), vector)
    data.to_netcdf(tmp_path / "m.nc")
    same(samples.read(tmp_path / "m.nc"), vector)
    assert len(samples.read(tmp_path / "m.nc", ["n_s"], burn_in=0.5).values) == 600
    # As newer versions of ArviZ have it.
    tree = xarray.DataTree.from_dict({"posterior": data["posterior"], "sample_stats": data["sample_stats"]})
    same(samples.read(tree), vector)
    summary = arviz.summary(data, round_to="none")
    assert abs(summary["mean"]["n_s"] - chain.values[:, 2].mean()) < 1e-9


def test_a_fit_respects_weights_and_bounds_and_samples_go_back(chain: samples.Samples) -> None:
    flow = chain.fit(steps=200, seed=1, ensemble=1)
    drawn = samples.draw(flow, 2000, random_state=1)
    again = samples.read(drawn)
    assert again.names == chain.names and (again.values[:, 1] >= 0.0).all()
    assert (again.values[:, 2] >= 2.0).all() and (again.values[:, 2] <= 3.0).all()
    np.testing.assert_allclose(again.log_density, flow.score_samples(again.values), atol=1e-9)
    mean = np.average(chain.values, axis=0, weights=chain.weights)
    assert (np.abs(again.values.mean(axis=0) - mean) < 0.15).all()
    assert chain.effective_sample_size < 1200 and "worth" in repr(chain)


def test_samplers_and_arrays_are_read() -> None:
    rng = np.random.default_rng(2)
    steps = rng.normal(size=(50, 8, 2))
    assert samples.read(steps, burn_in=0.2).values.shape == (320, 2)
    emcee = SimpleNamespace(get_chain=lambda: steps, get_log_prob=lambda: steps.sum(axis=2))
    read = samples.read(emcee, ["a", "b"])
    np.testing.assert_allclose(read.values.sum(axis=1), read.log_density)
    results = SimpleNamespace(samples=steps[:, 0], logwt=np.log(np.arange(1.0, 51.0)) - 900.0, logl=np.zeros(50))
    read = samples.read(results)
    np.testing.assert_allclose(read.weights / read.weights[0], np.arange(1.0, 51.0))


def test_tables_of_hdf5_are_read(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    path, rows = tmp_path / "t.h5", rng.normal(size=(60, 3))
    with h5py.File(path, "w") as file:
        file["a"], file["b"], file["weight"] = rows[:, 0], rows[:, 1], np.abs(rows[:, 2])
    read = samples.read(path)
    assert read.names == ["a", "b"]
    np.testing.assert_array_equal(read.weights, np.abs(rows[:, 2]))
    with h5py.File(path, "w") as file:
        file.create_dataset("t", data=np.array([tuple(row) for row in rows], dtype=[("u", "f8"), ("v", "f4"), ("w", "f8")]))
        file["other"] = rows
    assert samples.read_hdf5(path, "t").names == ["u", "v", "w"]
    np.testing.assert_array_equal(samples.read_hdf5(path, "other").values, rows)
    with pytest.raises(ValueError, match="there is no dataset 'no'; it has other, t"):
        samples.read_hdf5(path, "no")
    with h5py.File(path, "w") as file:
        group = file.create_group("mcmc")
        group.attrs["iteration"] = 20
        group["chain"], group["log_prob"] = rows.reshape(30, 2, 3), rows[:, 0].reshape(30, 2)
    read = samples.read(path)
    assert read.values.shape == (40, 3)
    np.testing.assert_array_equal(read.log_density, rows[:40, 0])


def test_what_is_no_chain_is_refused(tmp_path: Path, chain: samples.Samples) -> None:
    with pytest.raises(FileNotFoundError, match=r"neither .*no\.txt nor .*no_1\.txt"):
        samples.read(tmp_path / "no")
    chain.to_getdist(tmp_path / "run")
    (tmp_path / "run.paramnames").write_text("a\nb\n")
    with pytest.raises(ValueError, match="2 names for 3 parameters"):
        samples.read(tmp_path / "run")
    with pytest.raises(ValueError, match="there is no 'x' among"):
        chain.select(["x"])
    with pytest.raises(ValueError, match="burn_in"):
        samples.read(chain.values, burn_in=1.0)
    with pytest.raises(couplet.NotFittedError):
        samples.draw(couplet.Flow(), 10)
