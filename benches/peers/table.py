"""Puts the lines of run.sh into tables: medians over the rounds, and the most memory that a process held.

    table.py ours WORKLOAD COUPLET         runs Couplet, and prints what the peers' scripts print
    table.py table LINES.jsonl TABLE.json  the tables, in Markdown and as JSON
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

import numpy

import workloads

WORKLOADS = list(workloads.SHAPES)
CONFIG = """
[model]
layers = {layers}
hidden = {hidden}
activation = "{activation}"
separate = {separate}
base = "{base}"
scale_bound = {bound}
[train]
steps = 10
batch_size = {batch}
"""


def ours(workload, couplet):
    what = workload if workload in ("score", "sample") else "train"
    timed = "table" if workload in ("score", "sample") else workload
    command = [couplet, "bench", timed, "--device", "cpu", "--rounds", "3", "--json"]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
    for timing in json.loads(output)["timings"]:
        if timing["what"] == what:
            line = {"peer": "couplet", "workload": workload, "ms": timing["ms"], "peak_mb": peak_mb(workload, couplet)}
            print(json.dumps({**line, "low": timing["min"], "high": timing["max"]}))


def peak_mb(workload, couplet):
    """Of the command that a user would run; `bench` measures the machine too, which takes more memory than the flow."""
    columns, layers, hidden, activation, separate, bound, trained, rows, batch = workloads.SHAPES[workload]
    config = CONFIG.format(
        layers=layers,
        hidden=hidden,
        activation=activation,
        separate=str(separate).lower(),
        base="trainable-normal" if trained else "normal",
        bound=bound,
        batch=batch,
    )
    with tempfile.TemporaryDirectory() as folder:
        path = lambda name: os.path.join(folder, name)
        open(path("flow.toml"), "w").write('preset = "published"' + config)
        generator = numpy.random.default_rng(0)
        numpy.save(path("data.npy"), generator.normal(size=(rows, columns)).astype(numpy.float32))
        train = ["train", path("data.npy"), "--config", path("flow.toml"), "--out", path("flow.safetensors")]
        if workload == "score":
            rows = generator.normal(size=(workloads.MILLION, columns)).astype(numpy.float32)
            numpy.save(path("rows.npy"), rows)
        commands = {
            "score": ["score", path("flow.safetensors"), path("rows.npy"), "--out", path("scores.npy")],
            "sample": ["sample", path("flow.safetensors"), "-n", str(workloads.MILLION), "--out", path("draws.npy")],
        }
        peak = watch([couplet, *train, "--device", "cpu"])
        if workload in commands:
            peak = watch([couplet, *commands[workload], "--device", "cpu"])
        return peak


def watch(command):
    """The most memory a command held, by looking again and again (Linux): what wait4 tells counts this process in."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    peak = 0
    while process.poll() is None:
        for line in open(f"/proc/{process.pid}/status"):
            if line.startswith("VmHWM"):
                peak = max(peak, int(line.split()[1]) / 1024)
        time.sleep(0.002)
    if process.returncode:
        sys.exit(f"failed: {command}")
    return peak


def table(lines, to):
    # peer -> workload -> the lines of all rounds
    timings = {}
    for line in map(json.loads, open(lines)):
        timings.setdefault(line["peer"], {}).setdefault(line["workload"], []).append(line)
    over_rounds = {"ms": statistics.median, "peak_mb": max}
    values = {
        what: {
            peer: {workload: over(line[what] for line in lines) for workload, lines in by_workload.items()}
            for peer, by_workload in timings.items()
        }
        for what, over in over_rounds.items()
    }
    json.dump(values, open(to, "w"), indent=1)
    titles = {"ms": "ms a step, or a million rows", "peak_mb": "most memory of the process, MB"}
    for what, title in titles.items():
        print(f"| {title} | " + " | ".join(WORKLOADS) + " |\n| --- |" + " --- |" * len(WORKLOADS))
        for peer, by_workload in values[what].items():
            cells = [f"{by_workload[name]:.4g}" if name in by_workload else "" for name in WORKLOADS]
            print(f"| {peer} | " + " | ".join(cells) + " |")
        print()


if sys.argv[1] == "ours":
    ours(*sys.argv[2:])
else:
    table(*sys.argv[2:])
