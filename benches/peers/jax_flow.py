"""Couplet's workloads in plain JAX, as a careful user would write them, one jitted step a call or many by lax.scan; and by
FlowJAX, by lax.scan too. Prints a line of JSON."""

import os

import workloads

parser = workloads.parser(["scan", "step", "flowjax"])
parser.add_argument("--isa", help="hold XLA to an instruction set, for instance AVX2")
arguments = parser.parse_args()
if arguments.isa:
    os.environ["XLA_FLAGS"] = f"--xla_cpu_max_isa={arguments.isa}"

# Whatever else is there: a GPU that cannot be used must not become a CPU in silence.
os.environ["JAX_PLATFORMS"] = {"cpu": "cpu", "gpu": "cuda"}[arguments.on]

import jax
import jax.numpy as jnp
import numpy as np
import optax

D, LAYERS, HIDDEN, activation, SEPARATE, BOUND, TRAINED, ROWS, BATCH = workloads.SHAPES[arguments.workload]
ACTIVATION = {"tanh": jnp.tanh, "silu": jax.nn.silu, "relu": jax.nn.relu}[activation]
STEPS = {"seed": 100, "small": 500, "table": 20, "wide": 5, "score": 1, "sample": 1}[arguments.workload]
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


def halves(layer, x):
    first, second = x[:, :half], x[:, half:]
    return (first, second) if layer % 2 == 0 else (second, first)


def whole(layer, active, frozen):
    return jnp.concatenate([active, frozen] if layer % 2 == 0 else [frozen, active], axis=1)


def scale_and_shift(net, frozen):
    if SEPARATE:
        s, t = run(net["s"], frozen), run(net["t"], frozen)
    else:
        s, t = jnp.split(run(net["net"], frozen), 2, axis=1)
    return (BOUND * jnp.tanh(s / BOUND) if BOUND else s), t


def base(parameters):
    if TRAINED:
        mean, raw = parameters["base"]
        return mean, jax.nn.softplus(raw)
    return 0.0, jnp.ones(D)


def log_prob(parameters, x):
    log_det = 0.0
    for layer, net in enumerate(parameters["layers"]):
        active, frozen = halves(layer, x)
        s, t = scale_and_shift(net, frozen)
        x = whole(layer, active * jnp.exp(s) + t, frozen)
        log_det = log_det + s.sum(1)
    mean, variance = base(parameters)
    z = -0.5 * ((x - mean) ** 2 / variance + jnp.log(2 * jnp.pi * variance))
    return z.sum(1) + log_det


def sample(parameters, key):
    mean, variance = base(parameters)
    x = mean + jnp.sqrt(variance) * jax.random.normal(key, (workloads.MILLION, D))
    for layer, net in reversed(list(enumerate(parameters["layers"]))):
        active, frozen = halves(layer, x)
        s, t = scale_and_shift(net, frozen)
        x = whole(layer, (active - t) * jnp.exp(-s), frozen)
    return x


if arguments.way == "flowjax":
    import equinox as eqx
    from flowjax.distributions import Normal
    from flowjax.flows import coupling_flow

    # Its flows have one network a layer, and a fixed base: for `seed` as many units as the two together.
    flow = coupling_flow(
        jax.random.key(0),
        base_dist=Normal(jnp.zeros(D)),
        flow_layers=LAYERS,
        nn_width=HIDDEN[0] * (2 if SEPARATE else 1),
        nn_depth=len(HIDDEN),
        nn_activation=ACTIVATION,
    )
    parameters, static = eqx.partition(flow, eqx.is_inexact_array)
    log_prob = lambda parameters, x: eqx.combine(parameters, static).log_prob(x)
    sample = lambda parameters, key: eqx.combine(parameters, static).sample(key, (workloads.MILLION,))


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
    rows = jnp.asarray(rng.normal(size=(workloads.MILLION, D)).astype(np.float32))
    score = jax.jit(log_prob)
    once = lambda: score(parameters, rows).block_until_ready()
elif arguments.workload == "sample":
    draw = jax.jit(sample)
    once = lambda: draw(parameters, jax.random.key(1)).block_until_ready()
else:
    carry = (parameters, optimizer.init(parameters))
    keys = jax.random.split(jax.random.key(0), STEPS)
    many = jax.jit(lambda carry, keys: jax.lax.scan(step, carry, keys))
    one = jax.jit(step)

    def once():
        if arguments.way != "step":
            return jax.block_until_ready(many(carry, keys))
        now = carry
        for key in keys:
            now, value = one(now, key)
        jax.block_until_ready((now, value))


peer = "flowjax" if arguments.way == "flowjax" else f"jax {arguments.way}"
workloads.report(peer, arguments.workload, arguments.rounds, once, STEPS)
