"""Couplet's workloads, and how each script here times and reports its own: as `couplet bench` does."""

import argparse
import json
import resource
import statistics
import time

SHAPES = {
    #        D, layers, hidden, activation, separate, bound, trained base, rows, batch
    "seed": (4, 2, [32], "tanh", True, 0.0, True, 50_000, 0),
    "small": (4, 10, [32, 32], "silu", False, 2.0, False, 50_000, 512),
    "table": (8, 10, [128, 128], "tanh", False, 2.0, False, 100_000, 4096),
    "wide": (64, 8, [512, 512], "relu", False, 2.0, False, 20_000, 4096),
}
# A million rows are scored, and drawn, by the flow of `table`.
SHAPES["score"] = SHAPES["sample"] = SHAPES["table"]
MILLION = 1_000_000


def parser(ways):
    parser = argparse.ArgumentParser()
    parser.add_argument("workload", choices=list(SHAPES))
    parser.add_argument("--way", choices=ways, default=ways[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--on", choices=["cpu", "gpu"], default="cpu")
    return parser


def report(peer, workload, rounds, once, count):
    """Calls `once`, which takes `count` steps, to warm up and then for each round; prints milliseconds a step, and the most
    memory that the process has held."""
    once()
    times = []
    for _ in range(rounds):
        begin = time.perf_counter()
        once()
        times.append(1e3 * (time.perf_counter() - begin) / count)
    figures = {"ms": statistics.median(times), "low": min(times), "high": max(times)}
    figures["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"peer": peer, "workload": workload, **{k: round(v, 4) for k, v in figures.items()}}))
