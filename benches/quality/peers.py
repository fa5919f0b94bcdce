"""Fits a peer's flow to one of the tables that tables.py made, and prints a line of JSON: the held-out NLL in the units of the
data, its standard error, and the seconds that the fit took, compilation included.

    peers.py FOLDER TABLE PEER

Of the table "redshifts" the density of the first column given the others is fitted, of NAME:given that of the first half of the columns given the others. Flows train as
Couplet does by default: 4,000 steps of 512 rows, a tenth of the rows held out for the choice of the best
parameters. Their columns are standardized, or whitened where the peer's name says so: of redshifts those of the context.
"""

import json
import sys
import time

import numpy

folder, table, peer = sys.argv[1:]
STEPS, BATCH, EVERY = 4000, 512, 100
source = "galaxies" if table == "redshifts" else table.removesuffix(":given")
train = numpy.load(f"{folder}/{source}.train.npy")
test = numpy.load(f"{folder}/{source}.test.npy")
# Modelled columns; the others are context.
columns = train.shape[1]
dims = 1 if table == "redshifts" else (columns + 1) // 2 if table.endswith(":given") else columns
context = train.shape[1] - dims
generator = numpy.random.default_rng(0)

mean, deviation = train.mean(0), train.std(0)
if context and peer.endswith("-whitened"):
    lower = numpy.linalg.cholesky(numpy.cov(train[:, dims:].T))
    whiten = lambda rows: numpy.linalg.solve(lower, (rows - mean)[:, dims:].T).T
    scale = lambda rows: ((rows - mean) / deviation)[:, :dims]
    prepare = lambda rows: numpy.concatenate([scale(rows), whiten(rows)], 1).astype(numpy.float32)
    log_det = -numpy.log(deviation[:dims]).sum()
elif peer.endswith("-whitened"):
    lower = numpy.linalg.cholesky(numpy.cov(train.T))
    prepare = lambda rows: numpy.linalg.solve(lower, (rows - mean).T).T.astype(numpy.float32)
    log_det = -numpy.log(numpy.diag(lower)).sum()
else:
    prepare = lambda rows: ((rows - mean) / deviation).astype(numpy.float32)
    log_det = -numpy.log(deviation[:dims]).sum()
order = generator.permutation(len(train))
held_out = min(len(train) // 10, 10_000)
validation, rows = prepare(train[order[:held_out]]), prepare(train[order[held_out:]])


def gaussian():
    if context:
        return regression()
    covariance = numpy.cov(train.T)
    offset = test - mean
    distance = numpy.einsum("ij,jk,ik->i", offset, numpy.linalg.inv(covariance), offset)
    return -0.5 * (distance + numpy.linalg.slogdet(2 * numpy.pi * covariance)[1]) - log_det


def regression():
    """A linear one with Gaussian residuals."""
    columns = lambda rows: numpy.concatenate([numpy.ones((len(rows), 1)), (rows - mean)[:, dims:]], 1)
    slopes, *_ = numpy.linalg.lstsq(columns(train), train[:, :dims], rcond=None)
    residual = lambda rows: rows[:, :dims] - columns(rows) @ slopes
    spread = residual(train).std(0)
    return (-0.5 * (residual(test) / spread) ** 2 - numpy.log(spread * (2 * numpy.pi) ** 0.5)).sum(1) - log_det


def chosen(estimator, candidates):
    """The scores of scikit-learn's best estimator by five folds, on standardized columns."""
    import warnings

    from sklearn.model_selection import GridSearchCV

    scale = lambda rows: (rows - mean) / deviation
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        best = GridSearchCV(estimator, candidates, cv=5, n_jobs=1).fit(scale(train)).best_estimator_
    rows = scale(test)
    return best.score_samples(rows) - (of_context(best, rows[:, dims:]) if context else 0)


def of_context(mixture, rows):
    """The log-density of the context under a mixture of context and modelled columns."""
    from scipy.special import logsumexp
    from scipy.stats import multivariate_normal

    covariances = {
        "full": lambda k: mixture.covariances_[k][dims:, dims:],
        "tied": lambda k: mixture.covariances_[dims:, dims:],
        "diag": lambda k: numpy.diag(mixture.covariances_[k][dims:]),
    }[mixture.covariance_type]
    terms = [multivariate_normal(mean[dims:], covariances(k)).logpdf(rows) for k, mean in enumerate(mixture.means_)]
    return logsumexp(terms, axis=0, b=mixture.weights_[:, None])


def gmm():
    from sklearn.mixture import GaussianMixture

    counts = [count for count in [1, 2, 3, 4, 6, 8, 12, 20, 32] if 5 * count <= len(train)]
    shapes = ["full", "tied", "diag"]
    return chosen(GaussianMixture(random_state=0), {"n_components": counts, "covariance_type": shapes})


def kde():
    from sklearn.neighbors import KernelDensity

    return chosen(KernelDensity(), {"bandwidth": numpy.logspace(-2, 0.5, 26)})


def flowjax():
    import equinox as eqx
    import jax
    import jax.numpy as jnp
    import optax
    from flowjax.bijections import RationalQuadraticSpline
    from flowjax.distributions import Normal
    from flowjax.flows import coupling_flow, masked_autoregressive_flow

    spline = RationalQuadraticSpline(knots=8, interval=4) if "spline" in peer else None
    # A coupling layer has nothing to do with one column.
    make = masked_autoregressive_flow if context else coupling_flow
    flow = make(
        jax.random.key(0),
        base_dist=Normal(jnp.zeros(dims)),
        cond_dim=context or None,
        transformer=spline,
        flow_layers=5 if context else 10,
        nn_width=64,
        nn_depth=2,
    )
    parameters, static = eqx.partition(flow, eqx.is_inexact_array)
    split = lambda x: (x[:, :dims], x[:, dims:]) if context else (x,)
    loss = lambda parameters, x: -eqx.combine(parameters, static).log_prob(*split(x)).mean()
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(optax.cosine_decay_schedule(3e-3, STEPS)))
    data = jnp.asarray(rows)

    def step(carry, key):
        parameters, state = carry
        x = data[jax.random.randint(key, (min(BATCH, len(data)),), 0, len(data))]
        gradient = jax.grad(loss)(parameters, x)
        updates, state = optimizer.update(gradient, state)
        return (optax.apply_updates(parameters, updates), state), None

    some = jax.jit(lambda carry, keys: jax.lax.scan(step, carry, keys)[0])
    evaluate = jax.jit(loss)
    carry, best = (parameters, optimizer.init(parameters)), (numpy.inf, parameters)
    for keys in jax.random.split(jax.random.key(1), STEPS).reshape(STEPS // EVERY, EVERY):
        carry = some(carry, keys)
        value = float(evaluate(carry[0], validation))
        if value < best[0]:
            best = (value, carry[0])
    return numpy.asarray(eqx.combine(best[1], static).log_prob(*split(jnp.asarray(prepare(test)))), float)


def zuko():
    import copy

    import torch
    import zuko

    torch.manual_seed(0)
    passes = 2 if "coupling" in peer else None
    flow = zuko.flows.NSF(dims, context, transforms=5, bins=8, hidden_features=(64, 64), passes=passes)
    log_prob = lambda x: flow(x[:, dims:]).log_prob(x[:, :dims]) if context else flow().log_prob(x)
    optimizer = torch.optim.Adam(flow.parameters(), lr=1e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
    data, held = torch.as_tensor(rows), torch.as_tensor(validation)
    best, value = copy.deepcopy(flow.state_dict()), numpy.inf
    for step in range(STEPS):
        loss = -log_prob(data[torch.randint(0, len(data), (min(BATCH, len(data)),))]).mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(flow.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % EVERY == EVERY - 1:
            with torch.no_grad():
                now = -log_prob(held).mean().item()
            if now < value:
                best, value = copy.deepcopy(flow.state_dict()), now
    flow.load_state_dict(best)
    with torch.no_grad():
        return log_prob(torch.as_tensor(prepare(test))).double().numpy()


begin = time.perf_counter()
fit = {"gaussian": gaussian, "gmm": gmm, "kde": kde, "flowjax": flowjax, "zuko": zuko}[peer.split("-")[0]]
log_prob = fit() + log_det
seconds = time.perf_counter() - begin
error = log_prob.std() / len(log_prob) ** 0.5
print(json.dumps({"table": table, "fit": peer, "nll": -log_prob.mean(), "error": error, "seconds": seconds}))
