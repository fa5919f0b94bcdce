"""The same flows as jax_flow.py, in plain PyTorch: eager, and through torch.compile. Prints a line of JSON."""

import argparse
import json
import time

import numpy as np
import torch

parser = argparse.ArgumentParser()
parser.add_argument("workload", choices=["seed", "small", "table", "wide", "score"])
parser.add_argument("--way", choices=["eager", "compile"], default="eager")
parser.add_argument("--rounds", type=int, default=5)
arguments = parser.parse_args()

SHAPES = {
    #        D, layers, hidden, activation, separate, bound, trained base, rows, batch, steps a round
    "seed": (4, 2, [32], torch.tanh, True, 0.0, True, 50_000, 0, 20),
    "small": (4, 10, [32, 32], torch.nn.functional.silu, False, 2.0, False, 50_000, 512, 100),
    "table": (8, 10, [128, 128], torch.tanh, False, 2.0, False, 100_000, 4096, 10),
    "wide": (64, 8, [512, 512], torch.relu, False, 2.0, False, 20_000, 4096, 3),
}
SHAPES["score"] = SHAPES["table"]
D, LAYERS, HIDDEN, ACTIVATION, SEPARATE, BOUND, TRAINED, ROWS, BATCH, STEPS = SHAPES[arguments.workload]
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
once()
times = []
for _ in range(arguments.rounds):
    begin = time.perf_counter()
    once()
    times.append((time.perf_counter() - begin) / count)
print(
    json.dumps(
        {
            "peer": f"torch {arguments.way}",
            "workload": arguments.workload,
            "ms": round(1e3 * float(np.median(times)), 4),
            "low": round(1e3 * min(times), 4),
            "high": round(1e3 * max(times), 4),
        }
    )
)
