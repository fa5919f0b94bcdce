"""Couplet's workloads in PyTorch: written by hand, eager or through torch.compile, and by the libraries zuko, nflows and
normflows. Prints a line of JSON."""

import torch

import workloads

arguments = workloads.parser(["eager", "compile", "zuko", "nflows", "normflows"]).parse_args()
D, LAYERS, HIDDEN, activation, SEPARATE, BOUND, TRAINED, ROWS, BATCH = workloads.SHAPES[arguments.workload]
if arguments.on == "gpu":
    assert torch.cuda.is_available(), "PyTorch finds no GPU"
    torch.set_default_device("cuda")
ACTIVATION = {"tanh": torch.nn.Tanh, "silu": torch.nn.SiLU, "relu": torch.nn.ReLU}[activation]
STEPS = {"seed": 20, "small": 100, "table": 10, "wide": 3, "score": 1, "sample": 1}[arguments.workload]
half = D // 2
# The libraries' flows have one network a layer and a fixed base: for `seed` as many units as the two together.
TOGETHER = [2 * width for width in HIDDEN] if SEPARATE else HIDDEN


def network(inputs, hidden, outputs):
    widths = [inputs, *hidden, outputs]
    maps = [torch.nn.Linear(a, b) for a, b in zip(widths, widths[1:])]
    between = [part for linear in maps[:-1] for part in (linear, ACTIVATION())]
    return torch.nn.Sequential(*between, maps[-1])


class ByHand(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = torch.nn.ModuleList()
        for layer in range(LAYERS):
            active = half if layer % 2 == 0 else D - half
            outputs = [active, active] if SEPARATE else [2 * active]
            self.layers.append(torch.nn.ModuleList(network(D - active, HIDDEN, n) for n in outputs))
        if TRAINED:
            self.mean = torch.nn.Parameter(torch.zeros(D))
            self.raw = torch.nn.Parameter(torch.rand(D))

    def scale_and_shift(self, nets, frozen):
        s, t = (nets[0](frozen), nets[1](frozen)) if SEPARATE else nets[0](frozen).chunk(2, 1)
        return (BOUND * torch.tanh(s / BOUND) if BOUND else s), t

    def base(self):
        return (self.mean, torch.nn.functional.softplus(self.raw)) if TRAINED else (0.0, torch.ones(D))

    def forward(self, x):
        log_det = torch.zeros(())
        for layer, nets in enumerate(self.layers):
            first, second = x[:, :half], x[:, half:]
            active, frozen = (first, second) if layer % 2 == 0 else (second, first)
            s, t = self.scale_and_shift(nets, frozen)
            active = active * torch.exp(s) + t
            log_det = log_det + s.sum(1)
            x = torch.cat([active, frozen] if layer % 2 == 0 else [frozen, active], 1)
        mean, variance = self.base()
        z = -0.5 * ((x - mean) ** 2 / variance + torch.log(2 * torch.pi * variance))
        return z.sum(1) + log_det

    def sample(self, rows):
        mean, variance = self.base()
        x = mean + torch.sqrt(variance) * torch.randn(rows, D)
        for layer, nets in reversed(list(enumerate(self.layers))):
            first, second = x[:, :half], x[:, half:]
            active, frozen = (first, second) if layer % 2 == 0 else (second, first)
            s, t = self.scale_and_shift(nets, frozen)
            active = (active - t) * torch.exp(-s)
            x = torch.cat([active, frozen] if layer % 2 == 0 else [frozen, active], 1)
        return x


def by_zuko():
    import zuko

    flow = zuko.flows.RealNVP(D, transforms=LAYERS, hidden_features=TOGETHER, activation=ACTIVATION)
    return flow, lambda x: flow().log_prob(x), lambda rows: flow().sample((rows,))


def by_nflows():
    from nflows.distributions.normal import StandardNormal
    from nflows.flows.base import Flow
    from nflows.transforms.base import CompositeTransform
    from nflows.transforms.coupling import AffineCouplingTransform

    class Net(torch.nn.Module):
        """Its couplings hand over a context too."""

        def __init__(self, inputs, outputs):
            super().__init__()
            self.net = network(inputs, TOGETHER, outputs)

        def forward(self, x, context=None):
            return self.net(x)

    masks = [[1] * half + [-1] * (D - half), [-1] * half + [1] * (D - half)]
    layers = [AffineCouplingTransform(masks[layer % 2], Net) for layer in range(LAYERS)]
    flow = Flow(CompositeTransform(layers), StandardNormal([D]))
    return flow, flow.log_prob, flow.sample


def by_normflows():
    import normflows

    # Its own networks know leaky ReLU alone.
    layers = []
    for _ in range(LAYERS):
        layers += [
            normflows.flows.AffineCouplingBlock(network(half, TOGETHER, 2 * (D - half))),
            normflows.flows.Permute(D, mode="swap"),
        ]
    flow = normflows.NormalizingFlow(normflows.distributions.DiagGaussian(D, trainable=TRAINED), layers)
    return flow, flow.log_prob, flow.sample


def by_hand():
    flow = ByHand()
    if arguments.way == "compile":
        return flow, torch.compile(flow), torch.compile(flow.sample)
    return flow, flow, flow.sample


torch.manual_seed(0)
make = {"zuko": by_zuko, "nflows": by_nflows, "normflows": by_normflows}.get(arguments.way, by_hand)
flow, log_prob, sample = make()
data = torch.randn(ROWS, D)
optimizer = torch.optim.AdamW(flow.parameters(), lr=1e-3, weight_decay=0.1)
rows = torch.randn(workloads.MILLION, D) if arguments.workload == "score" else None


def once():
    if arguments.workload == "score":
        with torch.no_grad():
            return log_prob(rows)
    if arguments.workload == "sample":
        with torch.no_grad():
            return sample(workloads.MILLION)
    for _ in range(STEPS):
        x = data[torch.randint(0, ROWS, (BATCH,))] if BATCH else data
        loss = -log_prob(x).mean()
        optimizer.zero_grad()
        loss.backward()
        if not TRAINED:
            torch.nn.utils.clip_grad_norm_(flow.parameters(), 1.0)
        optimizer.step()
    if arguments.on == "gpu":
        torch.cuda.synchronize()


peer = arguments.way if make is not by_hand else f"torch {arguments.way}"
workloads.report(peer, arguments.workload, arguments.rounds, once, STEPS)
