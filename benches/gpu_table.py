"""The tables of gpu.sh, in Markdown, from the files that it leaves in a folder. The standard library alone."""

import json
import os
import sys

folder = sys.argv[1]
path = lambda name: os.path.join(folder, name)
runs = {}
for name in sorted(os.listdir(folder)):
    if name.endswith(".json"):
        workload, way, _ = name.split(".")
        runs.setdefault(workload, {})[way] = json.load(open(path(name)))
peers = {}
for line in open(path("peers.jsonl")):
    line = json.loads(line)
    peers.setdefault(line["workload"], {})[line["peer"]] = line["ms"]

peaks = {it["device"]: it for ways in runs.values() for run in ways.values() for it in run["peaks"]}
for device, it in peaks.items():
    print(f"- {device}: {it['gflops']:,.0f} GFLOP/s of multiply-adds, {it['copy_gb_per_second']:,.0f} GB/s of copying.")


def timing(run, what):
    return next((it for it in run["timings"] if it["what"] == what), None)


names = list(dict.fromkeys(peer for found in peers.values() for peer in found))
ways = ["cpu", "staged", "fused"]
for what, title in [("train", "Milliseconds a step"), ("score", "Milliseconds a million rows scored"), ("sample", "Milliseconds a million rows drawn")]:
    columns = ways + (names if what == "train" else [])
    print(f"\n{title}:\n\n| | " + " | ".join(columns) + " |")
    print("| --- " * (1 + len(columns)) + "|")
    for workload, found in runs.items():
        times = [timing(found[way], what)["ms"] if way in found else None for way in ways]
        if what == "train":
            times += [peers.get(workload, {}).get(name) for name in names]
        print(f"| {workload} | " + " | ".join("" if time is None else f"{time:,.4g}" for time in times) + " |")

print("\nThe kernels of a step, by the GPU's clock; what they are given to read and to write, each buffer of a dispatch once; the")
print("products' share of its multiply-adds:\n")
print("| workload | path | kernel | dispatches | µs | GB/s | of copying | products, of the peak |")
print("| --- | --- | --- | --- | --- | --- | --- | --- |")
for workload, found in runs.items():
    for way in ways[1:]:
        train = timing(found[way], "train") if way in found else None
        for number, kernel in enumerate(train.get("kernels", []) if train else []):
            share = train.get("products_of_peak")
            first = f"{100 * share:.1f} %" if number == 0 and share is not None else ""
            bytes_moved = f"{kernel['gb_per_second']:,.1f} | {100 * kernel['of_copy_peak']:.0f} %"
            print(
                f"| {workload} | {way} | `{kernel['kernel']}` | {kernel['dispatches']} | {kernel['us']:,.1f} "
                f"| {bytes_moved} | {first} |"
            )
