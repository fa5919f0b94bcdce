"""Couplet's four workloads in plain JAX, as a careful user would write them: one jitted step a call, and a hundred steps in one
call by lax.scan. Prints a line of JSON: milliseconds a step, the median of the rounds."""

import os

import workloads

parser = workloads.parser(["scan", "step"])
parser.add_argument("--isa", help="hold XLA to an instruction set, for instance AVX2")
arguments = parser.parse_args()
if arguments.isa:
    os.environ["XLA_FLAGS"] = f"--xla_cpu_max_isa={arguments.isa}"

import jax
import jax.numpy as jnp
import numpy as np
import optax

D, LAYERS, HIDDEN, activation, SEPARATE, BOUND, TRAINED, ROWS, BATCH = workloads.SHAPES[arguments.workload]
ACTIVATION = {"tanh": jnp.tanh, "silu": jax.nn.silu, "relu": jax.nn.relu}[activation]
STEPS = {"seed": 100, "small": 500, "table": 20, "wide": 5, "score": 0}[arguments.workload]
rng = np.random.default_rng(0)


def linear(inputs, outputs):
    bound = 1 / np.sqrt(inputs)
    return (
        rng.uniform(-bound, bound, (inputs, outputs)).astype(np.float32),
        rng.uniform(-bound, bound, outputs).astype(np.float32),
    )


def network(inputs, outputs):
    widths = [inputs, *HIDDEN, outputs]
    return [linear(a, b) for a, b in zip(widths, widths[1:])]


half = D // 2
parameters = {"layers": []}
for layer in range(LAYERS):
    active = half if layer % 2 == 0 else D - half
    names = {"s": active, "t": active} if SEPARATE else {"net": 2 * active}
    parameters["layers"].append({k: network(D - active, n) for k, n in names.items()})
if TRAINED:
    parameters["base"] = (np.zeros(D, np.float32), rng.uniform(0, 1, D).astype(np.float32))


def run(net, x):
    for weight, bias in net[:-1]:
        x = ACTIVATION(x @ weight + bias)
    weight, bias = net[-1]
    return x @ weight + bias


def log_prob(parameters, x):
    log_det = 0.0
    for layer, net in enumerate(parameters["layers"]):
        first, second = x[:, :half], x[:, half:]
        a, b = (first, second) if layer % 2 == 0 else (second, first)
        if SEPARATE:
            s, t = run(net["s"], b), run(net["t"], b)
        else:
            s, t = jnp.split(run(net["net"], b), 2, axis=1)
        if BOUND:
            s = BOUND * jnp.tanh(s / BOUND)
        a = a * jnp.exp(s) + t
        log_det = log_det + s.sum(1)
        x = jnp.concatenate([a, b] if layer % 2 == 0 else [b, a], axis=1)
    if TRAINED:
        mean, raw = parameters["base"]
        variance = jax.nn.softplus(raw)
    else:
        mean, variance = 0.0, jnp.ones(D)
    z = -0.5 * ((x - mean) ** 2 / variance + jnp.log(2 * jnp.pi * variance))
    return z.sum(1) + log_det


def loss(parameters, x):
    return -log_prob(parameters, x).mean()


optimizer = optax.adamw(1e-3, weight_decay=0.1)
if not TRAINED:
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), optimizer)
data = jnp.asarray(rng.normal(size=(ROWS, D)).astype(np.float32))


def step(carry, key):
    parameters, state = carry
    if BATCH:
        # A random batch; a permutation an epoch would cost more.
        x = data[jax.random.randint(key, (BATCH,), 0, ROWS)]
    else:
        x = data
    value, gradient = jax.value_and_grad(loss)(parameters, x)
    updates, state = optimizer.update(gradient, state, parameters)
    return (optax.apply_updates(parameters, updates), state), value


if arguments.workload == "score":
    rows = jnp.asarray(rng.normal(size=(1_000_000, D)).astype(np.float32))
    score = jax.jit(log_prob)
    peer, count, once = "jax", 1, lambda: score(parameters, rows).block_until_ready()
else:
    carry = (parameters, optimizer.init(parameters))
    keys = jax.random.split(jax.random.key(0), STEPS)
    if arguments.way == "scan":
        many = jax.jit(lambda carry, keys: jax.lax.scan(step, carry, keys))
        once = lambda: jax.block_until_ready(many(carry, keys))
    else:
        one = jax.jit(step)

        def once():
            now = carry
            for key in keys:
                now, value = one(now, key)
            jax.block_until_ready((now, value))

    peer, count = f"jax {arguments.way}", STEPS
workloads.report(peer, arguments.workload, arguments.rounds, once, count)
