"""What a flow does, by what it should be."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path

import numpy as np
import pytest

import couplet

FAST = {"steps": 300, "seed": 3}


def test_density_is_better_than_a_gaussian_and_integrates_to_1(flow: couplet.Flow, moons: np.ndarray) -> None:
    assert flow.score(moons) > -flow.report_.baselines["gaussian"] + 0.3
    axis = np.linspace(-4, 4, 401)
    grid = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    mass = np.exp(flow.score_samples(grid)).sum() * (axis[1] - axis[0]) ** 2
    assert abs(mass - 1) < 0.01


def test_score_is_the_mean_of_the_rows_by_weight(flow: couplet.Flow, moons: np.ndarray) -> None:
    scores = flow.score_samples(moons)
    assert scores.shape == (1500,) and scores.dtype == np.float64
    assert flow.score(moons) == pytest.approx(scores.mean())
    weights = np.arange(1500.0)
    assert flow.score(moons, sample_weight=weights) == pytest.approx(np.average(scores, weights=weights))


def test_transform_is_undone_by_its_inverse_and_explains_the_density(flow: couplet.Flow, moons: np.ndarray) -> None:
    latents = flow.transform(moons)
    assert np.abs(flow.inverse_transform(latents) - moons).max() < 1e-4
    of_latents = -0.5 * (latents**2).sum(axis=1) - np.log(2 * np.pi)
    assert np.allclose(of_latents + flow.log_abs_det_jacobian(moons), flow.score_samples(moons), atol=1e-5)


def test_samples_are_those_of_a_seed(flow: couplet.Flow, moons: np.ndarray) -> None:
    sample = flow.sample(70_000, 7)
    assert sample.shape == (70_000, 2)
    assert np.array_equal(flow.sample(10, 7), sample[:10])
    assert not np.array_equal(flow.sample(10), flow.sample(10))
    generator = np.random.default_rng(5)
    assert not np.array_equal(flow.sample(10, generator), flow.sample(10, generator))
    assert np.array_equal(flow.sample(4, np.random.RandomState(1)), flow.sample(4, np.random.RandomState(1)))
    assert np.abs(sample.mean(axis=0) - moons.mean(axis=0)).max() < 0.1
    assert np.abs(sample.std(axis=0) - moons.std(axis=0)).max() < 0.1


def test_same_seed_is_the_same_model_whatever_the_threads(moons: np.ndarray, tmp_path: Path) -> None:
    files = []
    for threads, seed in [(1, 3), (2, 3), (None, 4)]:
        path = tmp_path / f"{threads}.safetensors"
        couplet.Flow(steps=50, seed=seed, threads=threads).fit(moons).save(path)
        files.append(path.read_bytes())
    assert files[0] == files[1] and files[0] != files[2]


@pytest.mark.parametrize("how", ["pickle", "copy", "deepcopy", "file"])
def test_copies_score_the_same(flow: couplet.Flow, moons: np.ndarray, tmp_path: Path, how: str) -> None:
    if how == "file":
        flow.save(tmp_path / "flow.safetensors")
        other = couplet.Flow.load(tmp_path / "flow.safetensors")
        assert not hasattr(other, "report_")
    else:
        ways = {"pickle": lambda it: pickle.loads(pickle.dumps(it)), "copy": copy.copy, "deepcopy": copy.deepcopy}
        other = ways[how](flow)
        assert other.report_.nll == flow.report_.nll
    assert np.array_equal(other.score_samples(moons), flow.score_samples(moons))
    assert np.array_equal(other.sample(5, 1), flow.sample(5, 1))
    assert other.columns_ == ["x0", "x1"]


def test_loaded_model_is_fitted_again_as_it_was(flow: couplet.Flow, moons: np.ndarray, tmp_path: Path) -> None:
    flow.save(tmp_path / "a.safetensors")
    again = couplet.Flow.load(tmp_path / "a.safetensors").fit(moons)
    again.save(tmp_path / "b.safetensors")
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()


def test_warm_start_continues(moons: np.ndarray) -> None:
    flow = couplet.Flow(steps=100, seed=1, validation=0.0, average=0.0).fit(moons)
    once = flow.report_
    flow.set_params(warm_start=True, steps=50, learning_rate=1e-3).fit(moons)
    assert flow.report_.losses[0, 1] < once.losses[:20, 1].min()


def test_report_says_how_it_went(flow: couplet.Flow) -> None:
    report = flow.report_
    assert report.steps == 400 and 0 < report.best_step <= 400
    assert report.rows + report.rows_held_out == 1500 and report.rows_held_out > 0
    assert report.validation_nll is not None and report.validation_nll < report.baselines["gaussian"]
    assert report.losses.shape == (400, 2) and report.losses[-1, 0] == 399
    assert len(report.validation_losses) > 3
    assert report.settings["train"]["steps"] == 400 and report.settings["model"]["transform"] == "spline"
    assert report.verdict is not None and "better" in report.verdict and report.verdict in str(report)
    html = report._repr_html_()
    assert "<svg" in html and "<script" not in html and "a Gaussian" in html


def test_context_as_columns_and_apart_give_the_same_density() -> None:
    pandas = pytest.importorskip("pandas")
    rng = np.random.default_rng(4)
    frame = pandas.DataFrame({"x": rng.normal(size=1500), "kind": rng.choice(["near", "far"], 1500)})
    frame["y"] = frame.x**2 + 3 * (frame.kind == "far") + 0.2 * rng.normal(size=1500)
    whole = couplet.Flow(**FAST).fit(frame, given=["x", "kind"])
    apart = couplet.Flow(**FAST).fit(frame[["y"]], given=frame[["x", "kind"]])
    assert whole.columns_ == apart.columns_ == ["y"] and whole.context_columns_ == ["x", "kind"]
    scores = whole.score_samples(frame)
    assert np.array_equal(scores, apart.score_samples(frame[["y"]], given=frame[["x", "kind"]]))
    assert np.array_equal(scores, whole.score_samples(frame.y, given=frame))
    one = whole.score_samples(frame.y, given={"x": 1.0, "kind": "far"})
    assert np.array_equal(one, whole.score_samples(frame.y, given={"x": [1.0] * 1500, "kind": ["far"] * 1500}))
    assert whole.report_.worth_of_context is not None and whole.report_.worth_of_context > 0.5
    near, far = (whole.mean(given={"x": 1.0, "kind": kind})[0] for kind in ("near", "far"))
    assert abs(near - 1) < 0.3 and abs(far - 4) < 0.3
    draws = whole.sample(3000, 1, given={"x": [0.0, 2.0], "kind": ["near", "far"]})
    assert list(draws.columns) == ["y"] and len(draws) == 6000
    assert abs(draws.y[:3000].mean() - 0) < 0.3 and abs(draws.y[3000:].mean() - 7) < 0.5
    latents = whole.transform(frame)
    back = whole.inverse_transform(latents, given=frame[["x", "kind"]])
    assert np.abs(back.y - frame.y).max() < 1e-3


def test_context_without_names_is_an_array() -> None:
    rng = np.random.default_rng(4)
    given = rng.normal(size=(1500, 1))
    y = np.sin(given) + 0.2 * rng.normal(size=(1500, 1))
    flow = couplet.Flow(**FAST).fit(y, given=given)
    same = couplet.Flow(**FAST).fit(y, given=given.ravel())
    assert flow.columns_ == ["x0"] and flow.context_columns_ == ["x1"] and flow.n_features_in_ == 1
    scores = flow.score_samples(y, given=given)
    assert np.array_equal(scores, same.score_samples(y, given=given.ravel()))
    below = flow.cdf(y, given=given)
    assert below.min() > 0 and below.max() < 1 and abs(below.mean() - 0.5) < 0.05
    low, middle, high = flow.quantiles([0.025, 0.5, 0.975], given=[[0.0]])[0]
    assert low < middle < high and abs(middle) < 0.1
    kinds = np.where(given > 0, "up", "down").ravel()
    of_text = couplet.Flow(**FAST).fit(y, given=kinds)
    assert of_text.mean(given=["up"])[0] > 0.3 > -0.3 > of_text.mean(given=["down"])[0]
    for wrong, words in [(None, "given x1"), (given[:5], "inconsistent"), (np.ones((1500, 2)), "2 columns")]:
        with pytest.raises(ValueError, match=words):
            flow.score_samples(y, given=wrong)
    with pytest.raises(ValueError, match="without context"):
        couplet.Flow(steps=1).fit(y).score_samples(y, given=given)


def test_weighted_rows_count_as_they_weigh(moons: np.ndarray) -> None:
    weights = np.where(moons[:, 0] > 0, 1.0, 0.0)
    flow = couplet.Flow(**FAST).fit(moons, sample_weight=weights)
    right = couplet.Flow(**FAST).fit(moons, sample_weight=weights * 7)
    assert np.array_equal(flow.sample(5, 1), right.sample(5, 1))
    assert (flow.sample(2000, 1)[:, 0] > 0).mean() > 0.95
    assert flow.columns_ == ["x0", "x1"] and flow.report_.effective_sample_size is not None


def test_regressor_has_the_distribution_of_a_number() -> None:
    rng = np.random.default_rng(6)
    x = rng.uniform(-2, 2, (3000, 1))
    noise = (0.1 + 0.3 * np.abs(x)) * rng.normal(size=x.shape)
    y = (np.sin(2 * x) + noise).ravel()
    model = couplet.FlowRegressor(steps=600, seed=1).fit(x, y)
    assert model.score(x, y) > 0.6
    low, high = model.predict_interval(x, 0.8).T
    assert abs(np.mean((low < y) & (y < high)) - 0.8) < 0.04
    assert np.corrcoef(high - low, np.abs(x).ravel())[0, 1] > 0.8
    quantiles = model.predict_quantiles(x[:7])
    assert quantiles.shape == (7, 5) and (np.diff(quantiles) > 0).all()
    draws = model.sample(x[:7], 2000, 1)
    assert draws.shape == (7, 2000) and np.abs(draws.mean(axis=1) - model.predict(x[:7])).max() < 0.05
    assert abs(model.cdf(x, y).mean() - 0.5) < 0.03
    assert model.log_prob(x, y).mean() == pytest.approx(model.flow_.score(y.reshape(-1, 1), given=x))


def test_mean_is_that_of_samples(moons: np.ndarray) -> None:
    rng = np.random.default_rng(1)
    skewed = rng.gamma(2, size=(4000, 1))
    for base in ("normal", "trainable-logistic"):
        flow = couplet.Flow(steps=400, base=base).fit(skewed)
        assert flow.mean()[0] == pytest.approx(flow.sample(200_000, 1).mean(), abs=0.02)
    with pytest.raises(ValueError, match="over 2 columns"):
        couplet.Flow(steps=1).fit(moons).mean()


def test_few_rows_get_mixtures_that_are_used_like_a_flow(moons: np.ndarray, tmp_path: Path) -> None:
    few = moons[:300]
    flow = couplet.Flow(seed=1).fit(few)
    assert flow.report_.members is not None and flow.report_.members.startswith("a mixture of")
    assert flow.report_.steps == 0 and len(flow.report_.losses) == 0 and "<svg" not in flow.report_.html
    of_flow = couplet.Flow(seed=1, mixture=False).fit(few)
    assert flow.score(moons[300:]) > of_flow.score(moons[300:])
    latents = flow.transform(few)
    assert np.abs(flow.inverse_transform(latents) - few).max() < 1e-6
    of_latents = -0.5 * (latents**2).sum(axis=1) - np.log(2 * np.pi)
    assert np.allclose(of_latents + flow.log_abs_det_jacobian(few), flow.score_samples(few))
    flow.save(tmp_path / "m.safetensors")
    assert np.array_equal(couplet.Flow.load(tmp_path / "m.safetensors").sample(9, 1), flow.sample(9, 1))
    both = couplet.Flow(steps=400, mixture=True).fit(moons)
    assert both.report_.members is not None and both.report_.members.startswith("a flow of weight")
    assert np.isfinite(both.sample(100, 1)).all()
    with pytest.raises(ValueError, match="mixture=False"):
        both.transform(moons)


def test_pictures_are_drawn_and_written(flow: couplet.Flow, moons: np.ndarray, tmp_path: Path) -> None:
    pictures = flow.plot(moons)
    assert [picture.name for picture in pictures] == ["corner", "density", "latent", "scores"]
    assert pictures.corner._repr_svg_().startswith("<svg") and "1500 rows" in pictures.corner.caption
    assert pictures.density.png(1.0).startswith(b"\x89PNG")
    assert pictures._repr_html_().count("<figure>") == 4
    pictures.save(tmp_path / "pictures")
    assert len(list((tmp_path / "pictures").glob("*.svg"))) == 4
    pictures.corner.save(tmp_path / "corner.png")
    assert (tmp_path / "corner.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(AttributeError, match="corner, density"):
        pictures.loss  # noqa: B018
    with pytest.raises(FileNotFoundError):
        pictures.corner.save(tmp_path / "none" / "corner.svg")


def test_spread_is_that_of_several_flows_and_a_column_alone_has_a_cdf():
    rows = np.exp(np.random.default_rng(0).normal(size=(300, 2)))
    settings = {"steps": 60, "layers": 2, "hidden": [8], "device": "cpu"}
    spread = couplet.Flow(ensemble=2, **settings).fit(rows).spread(rows)
    assert spread.shape == (300,) and (spread > 0).all()
    with pytest.raises(ValueError, match="ensemble=5"):
        couplet.Flow(**settings).fit(rows).spread(rows)
    below = couplet.Flow(device="cpu").fit(rows[:, :1]).cdf(rows[:, :1])
    assert abs(below.mean() - 0.5) < 0.02
