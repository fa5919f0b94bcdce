"""Puts the lines of run.sh into tables, Markdown on standard output and JSON in a file.

    table.py couplet FOLDER TABLE LABEL BINARY [FLAGS...]    fits Couplet and prints such a line
    table.py table LINES.jsonl TABLE.json
"""

import json
import os
import subprocess
import sys
import tempfile
import time

import numpy


def couplet(folder, table, label, binary, *flags):
    with tempfile.TemporaryDirectory() as scratch:
        model, scores = os.path.join(scratch, "m.safetensors"), os.path.join(scratch, "scores.npy")
        run = lambda *command: subprocess.run([binary, *command, "--device", "cpu"], check=True, capture_output=True)
        begin = time.perf_counter()
        run("train", f"{folder}/{table}.train.npy", "--out", model, *flags)
        seconds = time.perf_counter() - begin
        run("score", model, f"{folder}/{table}.test.npy", "--out", scores)
        log_prob = numpy.load(scores).astype(float)
    error = log_prob.std() / len(log_prob) ** 0.5
    return {"table": table, "fit": label, "nll": -log_prob.mean(), "error": error, "seconds": seconds}


def show(lines, to):
    lines = [json.loads(line) for line in open(lines)]
    json.dump(lines, open(to, "w"), indent=1)
    tables = list(dict.fromkeys(line["table"] for line in lines))
    cells = {}
    for line in lines:
        text = f"{line['nll']:.2f} ± {line['error']:.2f} ({line['seconds']:.0f} s)"
        cells.setdefault(line["fit"], {})[line["table"]] = text
    print("| | " + " | ".join(tables) + " |\n| --- |" + " --- |" * len(tables))
    for fit, row in cells.items():
        print(f"| {fit} | " + " | ".join(row.get(table, "") for table in tables) + " |")


if sys.argv[1] == "couplet":
    print(json.dumps(couplet(*sys.argv[2:])))
else:
    show(*sys.argv[2:])
