"""Models in torch and JAX: densities, latents, samples and gradients are the command's, of every kind of model."""

from __future__ import annotations

import os
import re
import warnings
from pathlib import Path
from typing import Any

# What is compiled here runs once.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true")

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from models import MODELS, Fitted, fitted, table

import couplet
import couplet.jax
import couplet.torch
from couplet._reader import model_file

jax.config.update("jax_enable_x64", True)


class OfTorch:
    """A model in torch, of arrays."""

    def __init__(self, path: Path) -> None:
        self.flow = couplet.torch.load(path, torch.float64)

    def log_prob(self, x: Any, context: Any) -> np.ndarray:
        return self.flow.log_prob(torch.tensor(x), torch.tensor(context)).detach().numpy()

    def forward(self, x: Any, context: Any) -> list[np.ndarray]:
        return [it.detach().numpy() for it in self.flow.forward(torch.tensor(x), torch.tensor(context))]

    def inverse(self, z: Any, context: Any) -> np.ndarray:
        return self.flow.inverse(torch.tensor(z), torch.tensor(context)).detach().numpy()

    def sample(self, count: int, context: Any) -> np.ndarray:
        generator = torch.Generator().manual_seed(5)
        return self.flow.sample(count, torch.tensor(context), generator).detach().numpy()

    def gradients(self, x: Any, context: Any) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        rows = torch.tensor(x, requires_grad=True)
        self.flow.log_prob(rows, torch.tensor(context)).sum().backward()
        assert rows.grad is not None
        names = {attribute: name for name, attribute in self.flow._parameter_names.items()}
        of_parameters = {names[name]: it.grad.numpy() for name, it in self.flow.named_parameters() if it.grad is not None}
        return rows.grad.numpy(), of_parameters

    def moved(self, name: str, by: np.ndarray) -> None:
        with torch.no_grad():
            getattr(self.flow, self.flow._parameter_names[name]).add_(torch.tensor(by))


LOG_PROB = jax.jit(couplet.jax.Flow.log_prob)
FORWARD, INVERSE = jax.jit(couplet.jax.Flow.forward), jax.jit(couplet.jax.Flow.inverse)
SAMPLE = jax.jit(couplet.jax.Flow.sample, static_argnums=2)


class OfJax:
    """The same in JAX."""

    def __init__(self, path: Path) -> None:
        self.flow = couplet.jax.load(path)

    def log_prob(self, x: Any, context: Any) -> np.ndarray:
        return np.asarray(LOG_PROB(self.flow, jnp.asarray(x), jnp.asarray(context)))

    def forward(self, x: Any, context: Any) -> list[np.ndarray]:
        return [np.asarray(it) for it in FORWARD(self.flow, jnp.asarray(x), jnp.asarray(context))]

    def inverse(self, z: Any, context: Any) -> np.ndarray:
        return np.asarray(INVERSE(self.flow, jnp.asarray(z), jnp.asarray(context)))

    def sample(self, count: int, context: Any) -> np.ndarray:
        return np.asarray(SAMPLE(self.flow, jax.random.key(5), count, jnp.asarray(context)))

    def gradients(self, x: Any, context: Any) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        def sum_of(flow: couplet.jax.Flow, x: jax.Array) -> jax.Array:
            return flow.log_prob(x, jnp.asarray(context)).sum()

        of_flow, of_rows = jax.jit(jax.grad(sum_of, argnums=(0, 1)))(self.flow, jnp.asarray(x))
        assert not any(np.any(array) for array in of_flow.constants.values())
        return np.asarray(of_rows), {name: np.asarray(array) for name, array in of_flow.parameters.items()}

    def moved(self, name: str, by: np.ndarray) -> None:
        self.flow.parameters[name] = self.flow.parameters[name] + by


READERS = [OfTorch, OfJax]


@pytest.fixture(scope="module", params=MODELS)
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Fitted:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", couplet.CoupletWarning)
        return fitted(request.param, tmp_path_factory.mktemp("model"))


@pytest.mark.parametrize("reader", READERS)
def test_log_prob_is_that_of_the_command(model: Fitted, reader: Any) -> None:
    of_model = reader(model.path)
    assert of_model.flow.columns == model.flow.columns_
    log_prob = of_model.log_prob(model.rows, model.context)
    np.testing.assert_allclose(log_prob, model.log_prob, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("reader", READERS)
def test_latents_and_samples_are_those_of_the_model(model: Fitted, reader: Any) -> None:
    of_model = reader(model.path)
    inside = np.isfinite(model.log_prob)
    x, context = model.rows[inside], model.context[inside]
    native = model.flow._native
    if "members" in model_file.read(model.path).metadata:
        with pytest.raises(ValueError, match="stack"):
            of_model.forward(x, context)
    else:
        expected, log_det = native.forward(x, context)
        z, of_model_log_det = of_model.forward(x, context)
        np.testing.assert_allclose(z, expected, atol=2e-4)
        np.testing.assert_allclose(of_model_log_det, log_det, atol=2e-3)
        np.testing.assert_allclose(of_model.inverse(z, context), x, rtol=1e-6, atol=1e-6)
    # Samples are scored as those of the command are: the mean log-density of both is the negative entropy.
    rows = 4000
    given = np.repeat(context[:1], rows, axis=0)
    ours = of_model.sample(rows, given)
    theirs = native.sample(0, rows, 3, given)
    scores = [native.log_prob(sample, given) for sample in (ours, theirs)]
    assert all(np.isfinite(score).all() for score in scores)
    error = np.sqrt(sum(score.var() for score in scores) / rows)
    assert abs(scores[0].mean() - scores[1].mean()) < 4.5 * error


@pytest.mark.parametrize("reader", READERS)
def test_gradients_are_those_of_differences(model: Fitted, reader: Any) -> None:
    inside = np.flatnonzero(np.isfinite(model.log_prob))[:6]
    x, context = model.rows[inside], model.context[inside]
    of_model = reader(model.path)
    of_rows, of_parameters = of_model.gradients(x, context)
    assert np.isfinite(of_rows).all() and all(np.isfinite(it).all() for it in of_parameters.values())
    metadata = model_file.read(model.path).metadata
    kinds = metadata["preprocessing"].get("kinds") or [{"kind": "real"}] * len(metadata["columns"])
    for j, column in enumerate(kinds):
        if column["kind"].startswith("integer") or column.get("step") or column.get("edge"):
            continue
        step = 1e-6 * np.maximum(np.abs(x[:, j]), 1e-2)
        low, high = x.copy(), x.copy()
        low[:, j] -= step
        high[:, j] += step
        by_differences = (of_model.log_prob(high, context) - of_model.log_prob(low, context)) / (2.0 * step)
        np.testing.assert_allclose(of_rows[:, j], by_differences, rtol=1e-4, atol=1e-4)
    # In a random direction of some tensors.
    rng = np.random.default_rng(1)
    for name in rng.permutation(sorted(of_parameters))[:8]:
        gradient = of_parameters[name]
        direction = rng.normal(size=gradient.shape) * 1e-6
        of_model.moved(name, direction)
        above = of_model.log_prob(x, context).sum()
        of_model.moved(name, -2.0 * direction)
        below = of_model.log_prob(x, context).sum()
        of_model.moved(name, direction)
        expected = (gradient * direction).sum()
        assert abs(above - below - 2.0 * expected) < 1e-4 * max(np.abs(gradient * direction).sum(), 1e-6) + 2e-10, name


def test_training_in_torch_continues_from_a_model(tmp_path: Path) -> None:
    model = fitted("spline", tmp_path)
    flow = couplet.torch.load(model.path)
    assert flow.log_prob(torch.tensor(model.rows, dtype=torch.float32)).dtype == torch.float32
    rows = torch.tensor(table(2000)[["a", "b", "c"]].to_numpy(), dtype=torch.float32)
    optimizer = torch.optim.Adam(flow.parameters(), 3e-3)
    losses = []
    for _ in range(60):
        optimizer.zero_grad()
        loss = -flow.log_prob(rows).mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] - 0.05
    # Its state can be kept as that of any module, and moves between types.
    again = couplet.torch.load(model.path)
    again.load_state_dict(flow.state_dict())
    assert torch.equal(again.log_prob(rows), flow.log_prob(rows))
    assert again.double().log_prob(rows.double()).dtype == torch.float64


def test_single_rows_are_mapped_over_in_jax(tmp_path: Path) -> None:
    model = fitted("given", tmp_path)
    flow = couplet.jax.load(model.path)
    x, context = jnp.asarray(model.rows), jnp.asarray(model.context)
    together = jax.jit(couplet.jax.Flow.log_prob)(flow, x, context)
    np.testing.assert_allclose(jax.jit(jax.vmap(flow.log_prob))(x, context), together, rtol=1e-10)
    assert flow.log_prob(x[0], context[0]).shape == ()
    one = jax.jit(jax.value_and_grad(flow.log_prob))(x[0], context[0])
    assert one[1].shape == x[0].shape
    keys = jax.random.split(jax.random.key(1), 3)
    samples = jax.vmap(lambda key: flow.sample(key, 4, context[0]))(keys)
    assert samples.shape == (3, 4, x.shape[1])
    assert len(np.unique(samples)) == samples.size


def test_what_is_no_model_or_has_no_context_is_refused(tmp_path: Path) -> None:
    model = fitted("given", tmp_path)
    for reader in (couplet.torch, couplet.jax):
        path = tmp_path / "no.safetensors"
        path.write_bytes(b"\x02\0\0\0\0\0\0\0{}")
        with pytest.raises(ValueError, match=r"no\.safetensors: no model of couplet's"):
            reader.load(path)
        newer = re.sub(rb'(format_version\\":) ?\d', rb"\g<1>9", model.path.read_bytes())
        path.write_bytes(newer)
        with pytest.raises(ValueError, match="version 9"):
            reader.load(path)
    flow = couplet.torch.load(model.path)
    with pytest.raises(ValueError, match="given b, side, angle"):
        flow.log_prob(torch.zeros(3, 2))
    with pytest.raises(ValueError, match="context of shape"):
        flow.log_prob(torch.zeros(3, 2), torch.zeros(2, 3))
