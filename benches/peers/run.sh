#!/usr/bin/env bash
# Times Couplet beside other implementations of the same flows, on this machine, on the CPU: one after the other, and again,
# so that the machine's moods fall on all of them. Writes tables, in Markdown and as JSON.
#
#     benches/peers/run.sh [OUTPUT_FOLDER]        ROUNDS=3 WORKLOADS="seed small table wide score sample" ISA=AVX2
#
# The first run makes a Python environment in the folder that PEERS names, or in OUTPUT_FOLDER/peers. ISA=AVX2 holds Couplet's
# loops and JAX to that instruction set.
set -euo pipefail
cd "$(dirname "$0")/../.."
out=$(realpath -m "${1:-target/peers}")
peers=$(realpath -m "${PEERS:-$out/peers}")
mkdir -p "$out"
if [[ ! -x $peers/bin/python ]]; then
    python3 -m venv "$peers"
    "$peers/bin/pip" install --quiet jax equinox optax numpy torch flowjax zuko nflows normflows
fi
cargo build --release --locked
jax=()
if [[ ${ISA:-} ]]; then
    export COUPLET_INSTRUCTIONS=${ISA,,}
    jax=(--isa "$ISA")
fi
: >"$out/times.jsonl"
: >"$out/errors.txt"
# Runs one script; what it cannot do is said, and the others continue.
peer() {
    "$peers/bin/python" "benches/peers/$@" --rounds 3 >>"$out/times.jsonl" 2>>"$out/errors.txt" ||
        echo "$*: failed, see $out/errors.txt" >&2
}
for ((round = 1; round <= ${ROUNDS:-3}; round++)); do
    for workload in ${WORKLOADS:-seed small table wide score sample}; do
        "$peers/bin/python" benches/peers/table.py ours "$workload" target/release/couplet >>"$out/times.jsonl"
        for way in ${JAX:-scan step flowjax}; do
            # Outside training a call is a call.
            if [[ $workload =~ ^(score|sample)$ && $way == step ]]; then continue; fi
            peer jax_flow.py "$workload" --way "$way" "${jax[@]}"
        done
        for way in ${TORCH-eager compile zuko nflows normflows}; do
            peer torch_flow.py "$workload" --way "$way"
        done
    done
done
"$peers/bin/python" benches/peers/table.py table "$out/times.jsonl" "$out/table.json" | tee "$out/table.md"
