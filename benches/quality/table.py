"""Puts the lines of run.sh into tables, Markdown on standard output and JSON in a file.

    table.py couplet FOLDER TABLE LABEL BINARY [FLAGS...]    fits Couplet and prints such a line
    table.py table LINES.jsonl TABLE.json                    a column a table, with errors and seconds
    table.py small LINES.jsonl TABLE.json                    a row a table, the splits of one averaged
"""

import json
import os
import re
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
        # The redshift of galaxies, given their magnitudes.
        source, _, half = ("galaxies::" if table == "redshifts" else table).partition(":")
        given = ["--given", "2..7"] if table == "redshifts" else []
        if half == "given":
            # The first half of the columns, given the others.
            columns = numpy.load(f"{folder}/{source}.train.npy").shape[1]
            given = ["--given", f"{(columns + 1) // 2 + 1}..{columns}"]
        run("train", f"{folder}/{source}.train.npy", "--out", model, *given, *flags)
        seconds = time.perf_counter() - begin
        cdf = ["--cdf"] if table == "redshifts" else []
        run("score", model, f"{folder}/{source}.test.npy", "--out", scores, *cdf)
        log_prob, *cdf = numpy.load(scores).astype(float).reshape(-1, 1 + len(cdf)).T
    error = log_prob.std() / len(log_prob) ** 0.5
    line = {"table": table, "fit": label, "nll": -log_prob.mean(), "error": error, "seconds": seconds, "lowest": log_prob.min()}
    if cdf:
        p, ranks = numpy.sort(cdf[0]), numpy.arange(len(log_prob) + 1) / len(log_prob)
        line["calibration"] = max((p - ranks[:-1]).max(), (ranks[1:] - p).max())
    return line


def show(lines, to):
    lines = [json.loads(line) for line in open(lines)]
    json.dump(lines, open(to, "w"), indent=1)
    tables = list(dict.fromkeys(line["table"] for line in lines))
    cells = {}
    for line in lines:
        text = f"{line['nll']:.2f} ± {line['error']:.2f} ({line['seconds']:.0f} s)"
        if "calibration" in line:
            text += f", calibrated to {line['calibration']:.3f}"
        cells.setdefault(line["fit"], {})[line["table"]] = text
    print("| | " + " | ".join(tables) + " |\n| --- |" + " --- |" * len(tables))
    for fit, row in cells.items():
        print(f"| {fit} | " + " | ".join(row.get(table, "") for table in tables) + " |")


def show_small(lines, to):
    lines = [json.loads(line) for line in open(lines)]
    json.dump(lines, open(to, "w"), indent=1)
    fits = list(dict.fromkeys(line["fit"] for line in lines))
    # The splits of a named table are NAME-0 to NAME-4; those drawn at random have one each.
    name = lambda table: table if table.startswith("random-") else re.sub(r"-\d(:given)?$", r"\1", table)
    print("| | " + " | ".join(fits) + " | behind the best | lowest |\n| --- |" + " --- |" * (len(fits) + 2))
    for table in dict.fromkeys(name(line["table"]) for line in lines):
        of_table = [line for line in lines if name(line["table"]) == table]
        splits = [[line["nll"] for line in of_table if line["fit"] == fit] for fit in fits]
        means = {fit: numpy.mean(nll) for fit, nll in zip(fits, splits) if nll}
        best = min((fit for fit in means if fit != "couplet"), key=means.get)
        behind = numpy.subtract(splits[fits.index("couplet")], splits[fits.index(best)])
        paired = f"{behind.mean():+.3f}" + (f" ± {behind.std(ddof=1) / len(behind) ** 0.5:.3f}" if len(behind) > 1 else "")
        cells = [f"{means[fit]:.2f}" if fit in means else "" for fit in fits]
        lowest = min(line["lowest"] for line in of_table if line["fit"] == "couplet")
        print(f"| {table} | " + " | ".join(cells) + f" | {paired} ({best}) | {lowest:.1f} |")


if sys.argv[1] == "couplet":
    print(json.dumps(couplet(*sys.argv[2:])))
elif sys.argv[1] == "small":
    show_small(*sys.argv[2:])
else:
    show(*sys.argv[2:])
