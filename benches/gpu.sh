#!/usr/bin/env bash
# Checks and times the GPU executor on a machine that has nothing but a driver: give it a release binary built elsewhere.
#
#     benches/gpu.sh target/release/couplet [OUTPUT_FOLDER]
#
# Parity first: the times of a wrong result mean nothing. Then the median step of the reference experiment and of a wider
# flow, on the GPU and on the CPU of the same machine, alternating; each figure is what `train --json` reports for the steps
# alone (compilation, sampling and files left out).
set -euo pipefail
binary=$(realpath "${1:?the couplet binary}")
out=${2:-$(mktemp -d)}
mkdir -p "$out"
cd "$out"
adapter=${COUPLET_ADAPTER:-}
gpu=(--device gpu ${adapter:+--adapter "$adapter"})

"$binary" devices | tee devices.txt
echo "== parity"
"$binary" train "${gpu[@]}" --cpu-reference --steps 200 --out parity.safetensors 2>&1 | tee parity.txt

cat >wide.toml <<'TOML'
[model]
layers = 8
hidden = [512, 512]
activation = "relu"
separate = false
base = "normal"
scale_bound = 2.0
[train]
batch_size = 4096
weight_decay = 0.0
TOML

echo "== times, ms a step"
runs=${RUNS:-5}
for ((run = 1; run <= runs; run++)); do
    for device in gpu cpu; do
        flags=(--device cpu)
        steps=${CPU_STEPS:-100}
        if [[ $device == gpu ]]; then
            flags=("${gpu[@]}")
            steps=${GPU_STEPS:-1000}
        fi
        for workload in seed wide; do
            config=()
            if [[ $workload == wide ]]; then config=(--config wide.toml); fi
            summary=$("$binary" train "${flags[@]}" "${config[@]}" --steps "$steps" --log-every 1000000 --json \
                --out "$workload.safetensors" 2>>log.txt)
            time=$(sed -E 's/.*"ms_per_step":([0-9.e-]+).*/\1/' <<<"$summary")
            echo "$workload $device run $run: $time" | tee -a times.txt
        done
    done
done
