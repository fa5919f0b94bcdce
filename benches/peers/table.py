"""Puts the lines of run.sh into a table: medians over the rounds, in ms a step, or ms a million rows scored."""

import json
import statistics
import sys

if sys.argv[1] == "ours":
    # `couplet bench --json` on standard input, as the peers' scripts print.
    what = "score" if sys.argv[2] == "score" else "train"
    for timing in json.load(sys.stdin)["timings"]:
        if timing["what"] == what:
            line = {"peer": "couplet", "workload": sys.argv[2], "ms": timing["ms"]}
            print(json.dumps({**line, "low": timing["least"], "high": timing["most"]}))
else:
    times = {}
    for line in open(sys.argv[2]):
        timing = json.loads(line)
        times.setdefault(timing["peer"], {}).setdefault(timing["workload"], []).append(timing["ms"])
    workloads = ["seed", "small", "table", "wide", "score"]
    print("| ms | " + " | ".join(workloads) + " |\n| --- |" + " --- |" * len(workloads))
    for peer, by_workload in times.items():
        cells = []
        for workload in workloads:
            values = by_workload.get(workload)
            cells.append(f"{statistics.median(values):.4g}" if values else "")
        print(f"| {peer} | " + " | ".join(cells) + " |")
