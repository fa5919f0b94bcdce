"""Fits a peer's flow to one of the tables that tables.py made, and prints a line of JSON: the held-out NLL in the units of the
data, its standard error, and the seconds that the fit took, compilation included.

    peers.py FOLDER TABLE PEER

Each peer trains as Couplet does by default: 4,000 steps of 512 rows, a tenth of the rows held out for the choice of the best
parameters. Its columns are standardized, or whitened where the peer's name says so.
"""

import json
import sys
import time

import numpy

folder, table, peer = sys.argv[1:]
STEPS, BATCH, EVERY = 4000, 512, 100
train = numpy.load(f"{folder}/{table}.train.npy")
test = numpy.load(f"{folder}/{table}.test.npy")
generator = numpy.random.default_rng(0)

mean, deviation = train.mean(0), train.std(0)
if peer.endswith("-whitened"):
    lower = numpy.linalg.cholesky(numpy.cov(train.T))
    prepare = lambda rows: numpy.linalg.solve(lower, (rows - mean).T).T.astype(numpy.float32)
    log_det = -numpy.log(numpy.diag(lower)).sum()
else:
    prepare = lambda rows: ((rows - mean) / deviation).astype(numpy.float32)
    log_det = -numpy.log(deviation).sum()
order = generator.permutation(len(train))
held_out = min(len(train) // 10, 10_000)
validation, rows = prepare(train[order[:held_out]]), prepare(train[order[held_out:]])


def gaussian():
    covariance = numpy.cov(train.T)
    offset = test - mean
    distance = numpy.einsum("ij,jk,ik->i", offset, numpy.linalg.inv(covariance), offset)
    return -0.5 * (distance + numpy.linalg.slogdet(2 * numpy.pi * covariance)[1]) - log_det


def flowjax():
    import equinox as eqx
    import jax
    import jax.numpy as jnp
    import optax
    from flowjax.bijections import RationalQuadraticSpline
    from flowjax.distributions import Normal
    from flowjax.flows import coupling_flow

    spline = RationalQuadraticSpline(knots=8, interval=4) if "spline" in peer else None
    flow = coupling_flow(
        jax.random.key(0),
        base_dist=Normal(jnp.zeros(rows.shape[1])),
        transformer=spline,
        flow_layers=10,
        nn_width=64,
        nn_depth=2,
    )
    parameters, static = eqx.partition(flow, eqx.is_inexact_array)
    loss = lambda parameters, x: -eqx.combine(parameters, static).log_prob(x).mean()
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
    return numpy.asarray(eqx.combine(best[1], static).log_prob(jnp.asarray(prepare(test))), float)


def zuko():
    import copy

    import torch
    import zuko

    torch.manual_seed(0)
    passes = 2 if "coupling" in peer else None
    flow = zuko.flows.NSF(rows.shape[1], transforms=5, bins=8, hidden_features=(64, 64), passes=passes)
    optimizer = torch.optim.Adam(flow.parameters(), lr=1e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
    data, held = torch.as_tensor(rows), torch.as_tensor(validation)
    best, value = copy.deepcopy(flow.state_dict()), numpy.inf
    for step in range(STEPS):
        loss = -flow().log_prob(data[torch.randint(0, len(data), (min(BATCH, len(data)),))]).mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(flow.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % EVERY == EVERY - 1:
            with torch.no_grad():
                now = -flow().log_prob(held).mean().item()
            if now < value:
                best, value = copy.deepcopy(flow.state_dict()), now
    flow.load_state_dict(best)
    with torch.no_grad():
        return flow().log_prob(torch.as_tensor(prepare(test))).double().numpy()


begin = time.perf_counter()
fit = {"gaussian": gaussian, "flowjax": flowjax, "zuko": zuko}[peer.split("-")[0]]
log_prob = fit() + log_det
seconds = time.perf_counter() - begin
error = log_prob.std() / len(log_prob) ** 0.5
print(json.dumps({"table": table, "fit": peer, "nll": -log_prob.mean(), "error": error, "seconds": seconds}))
