"""The same flows as jax_flow.py, in plain PyTorch: eager, and through torch.compile. Prints a line of JSON."""

import torch

import workloads

arguments = workloads.parser(["eager", "compile"]).parse_args()
D, LAYERS, HIDDEN, activation, SEPARATE, BOUND, TRAINED, ROWS, BATCH = workloads.SHAPES[arguments.workload]
ACTIVATION = {"tanh": torch.tanh, "silu": torch.nn.functional.silu, "relu": torch.relu}[activation]
STEPS = {"seed": 20, "small": 100, "table": 10, "wide": 3, "score": 0}[arguments.workload]
half = D // 2


class Network(torch.nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        widths = [inputs, *HIDDEN, outputs]
        self.maps = torch.nn.ModuleList(torch.nn.Linear(a, b) for a, b in zip(widths, widths[1:]))

    def forward(self, x):
        for linear in self.maps[:-1]:
            x = ACTIVATION(linear(x))
        return self.maps[-1](x)


class Flow(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = torch.nn.ModuleList()
        for layer in range(LAYERS):
            active = half if layer % 2 == 0 else D - half
            outputs = [active, active] if SEPARATE else [2 * active]
            self.layers.append(torch.nn.ModuleList(Network(D - active, n) for n in outputs))
        if TRAINED:
            self.mean = torch.nn.Parameter(torch.zeros(D))
            self.raw = torch.nn.Parameter(torch.rand(D))

    def forward(self, x):
        log_det = torch.zeros(())
        for layer, nets in enumerate(self.layers):
            first, second = x[:, :half], x[:, half:]
            a, b = (first, second) if layer % 2 == 0 else (second, first)
            s, t = (nets[0](b), nets[1](b)) if SEPARATE else nets[0](b).chunk(2, 1)
            if BOUND:
                s = BOUND * torch.tanh(s / BOUND)
            a = a * torch.exp(s) + t
            log_det = log_det + s.sum(1)
            x = torch.cat([a, b] if layer % 2 == 0 else [b, a], 1)
        mean, variance = (self.mean, torch.nn.functional.softplus(self.raw)) if TRAINED else (0.0, torch.ones(D))
        z = -0.5 * ((x - mean) ** 2 / variance + torch.log(2 * torch.pi * variance))
        return z.sum(1) + log_det


torch.manual_seed(0)
flow = Flow()
log_prob = torch.compile(flow) if arguments.way == "compile" else flow
data = torch.randn(ROWS, D)
optimizer = torch.optim.AdamW(flow.parameters(), lr=1e-3, weight_decay=0.1)


def steps():
    for _ in range(STEPS):
        x = data[torch.randint(0, ROWS, (BATCH,))] if BATCH else data
        loss = -log_prob(x).mean()
        optimizer.zero_grad()
        loss.backward()
        if not TRAINED:
            torch.nn.utils.clip_grad_norm_(flow.parameters(), 1.0)
        optimizer.step()


rows = torch.randn(1_000_000 if arguments.workload == "score" else 1, D)


def score():
    with torch.no_grad():
        log_prob(rows)


once, count = (score, 1) if arguments.workload == "score" else (steps, STEPS)
workloads.report(f"torch {arguments.way}", arguments.workload, arguments.rounds, once, count)
