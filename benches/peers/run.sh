#!/usr/bin/env bash
# Times Couplet beside other implementations of the same flows, on this machine, on the CPU: one after the other, and again,
# so that the machine's moods fall on all of them. Writes a table.
#
#     benches/peers/run.sh [OUTPUT_FOLDER]        ROUNDS=3 WORKLOADS="seed small table wide score"
#
# The first run makes a Python environment (jax, optax, torch) in the folder that PEERS names, or in OUTPUT_FOLDER/peers.
set -euo pipefail
cd "$(dirname "$0")/../.."
out=$(realpath -m "${1:-target/peers}")
peers=$(realpath -m "${PEERS:-$out/peers}")
mkdir -p "$out"
if [[ ! -x $peers/bin/python ]]; then
    python3 -m venv "$peers"
    "$peers/bin/pip" install --quiet jax optax numpy torch
fi
cargo build --release --locked
couplet=target/release/couplet
: >"$out/times.jsonl"
for ((round = 1; round <= ${ROUNDS:-3}; round++)); do
    for workload in ${WORKLOADS:-seed small table wide score}; do
        timed=$workload
        if [[ $workload == score ]]; then timed=table; fi
        "$couplet" bench "$timed" --device cpu --rounds 3 --json 2>/dev/null |
            "$peers/bin/python" benches/peers/table.py ours "$workload" >>"$out/times.jsonl"
        for way in scan step; do
            if [[ $workload == score && $way == step ]]; then continue; fi
            "$peers/bin/python" benches/peers/jax_flow.py "$workload" --way $way --rounds 3 >>"$out/times.jsonl"
        done
        for way in eager compile; do
            "$peers/bin/python" benches/peers/torch_flow.py "$workload" --way $way --rounds 3 >>"$out/times.jsonl" \
                2>>"$out/errors.txt" || echo "torch $way, $workload: failed, see $out/errors.txt" >&2
        done
    done
done
"$peers/bin/python" benches/peers/table.py table "$out/times.jsonl" | tee "$out/table.md"
