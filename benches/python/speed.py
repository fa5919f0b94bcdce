"""Times fit, score and sample of a million rows in Python, in turn with the command of the same wheel, and prints the medians.

    python benches/python/speed.py [--rows N] [--runs K] [--check]

With --check it takes fewer rows, and fails where Python takes a tenth longer: noise is larger than what there should be to see.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import couplet

COMMAND = str(Path(sys.executable).parent / "couplet")


def command(*words):
    """Runs the command; returns the seconds that it took."""
    begin = time.perf_counter()
    subprocess.run([COMMAND, *map(str, words), "--quiet"], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begin


def module(lines):
    """Runs lines of Python in a process of their own; returns the seconds that it took."""
    begin = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import numpy as np, couplet\n" + lines], check=True)
    return time.perf_counter() - begin


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--check", action="store_true")
    args = parser.parse_args()
    rows = args.rows or (200_000 if args.check else 1_000_000)
    rng = np.random.default_rng(1)
    table = rng.normal(size=(rows, 4)) @ rng.normal(size=(4, 4)) + rng.gamma(2, size=(rows, 1))
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        np.save("rows.npy", table)
        both = {
            "fit": (
                lambda: command("train", "rows.npy", "--steps", 400, "--out", "flow.safetensors", "--device", "cpu"),
                lambda: module(
                    "couplet.Flow(steps=400, device='cpu').fit(np.load('rows.npy')).save('flow.py.safetensors')"
                ),
            ),
            "score": (
                lambda: command("score", "flow.safetensors", "rows.npy", "--out", "scores.npy", "--device", "cpu"),
                lambda: module(
                    "flow = couplet.Flow.load('flow.safetensors', device='cpu')\n"
                    "np.save('scores.py.npy', flow.score_samples(np.load('rows.npy')))"
                ),
            ),
            "sample": (
                lambda: command("sample", "flow.safetensors", "-n", rows, "--out", "new.npy", "--device", "cpu"),
                lambda: module(
                    "flow = couplet.Flow.load('flow.safetensors', device='cpu')\n"
                    f"np.save('new.py.npy', flow.sample({rows}, 0))"
                ),
            ),
        }
        print(f"couplet {couplet.__version__}, {rows} rows of 4 columns: seconds by the command, in Python, ratio")
        slower = []
        for name, (by_command, in_python) in both.items():
            times = [(by_command(), in_python()) for _ in range(args.runs)]
            ours, theirs = (statistics.median(column) for column in zip(*times))
            ratio = statistics.median(theirs / ours for ours, theirs in times)
            print(f"{name:8} {ours:8.2f} {theirs:8.2f} {ratio:8.3f}", flush=True)
            if ratio > 1.1:
                slower.append(name)
        same = Path("flow.safetensors").read_bytes() == Path("flow.py.safetensors").read_bytes()
        print(f"the model files are {'the same' if same else 'different'}")
        if args.check and (slower or not same):
            sys.exit(f"slower in Python: {', '.join(slower) or 'nothing, but the models differ'}")


if __name__ == "__main__":
    main()
