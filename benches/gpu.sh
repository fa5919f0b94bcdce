#!/usr/bin/env bash
# Checks and times Couplet on a GPU, beside the CPU of the same machine and, where a Python has them, JAX and PyTorch on the
# same GPU. The machine needs a driver and nothing else: give it a release binary built elsewhere.
#
#     benches/gpu.sh target/release/couplet [OUTPUT_FOLDER]
#
#     COUPLET_ADAPTER  the GPU, by number or name, where there are several
#     WORKLOADS        those of `couplet bench`               (seed small table wide default)
#     ROUNDS           rounds of each, of which the median counts                         (7)
#     PYTHON           a Python, with JAX or PyTorch or both; for the tables, any    (python3)
#
# Parity first: the times of a wrong result mean nothing. What the GPU does at most is measured; kernels are timed by its own
# clock. Everything is left in OUTPUT_FOLDER, the tables in gpu.md. On a software adapter take WORKLOADS="seed small" ROUNDS=1.
set -euo pipefail
here=$(dirname "$(realpath "$0")")
couplet=$(realpath "${1:?the couplet binary}")
out=$(realpath -m "${2:-$(mktemp -d)}")
mkdir -p "$out"
cd "$out"
python=${PYTHON:-python3}
gpu=(--device gpu ${COUPLET_ADAPTER:+--adapter "$COUPLET_ADAPTER"})
rounds=${ROUNDS:-7}
: >parity.txt
: >peers.jsonl
: >errors.txt

"$couplet" devices | tee devices.txt

echo "== parity, GPU against the CPU in f64"
for path in staged fused; do
    for flow in "--steps 100" "--target two-moons --rows 2000 --steps 50"; do
        echo "-- $path: train $flow"
        # shellcheck disable=SC2086 # several flags
        "$couplet" train $flow "${gpu[@]}" --gpu-path "$path" --cpu-reference --log-every 100000 --force \
            --out parity.safetensors >last.txt 2>&1 ||
            # What does not fit the fused path is refused; a difference is no such thing.
            grep -q "does not fit the fused path" last.txt || { cat last.txt; exit 1; }
        grep -E "^(verdict|error)" last.txt
        cat last.txt >>parity.txt
    done
done

echo "== times"
for workload in ${WORKLOADS:-seed small table wide default}; do
    for path in cpu staged fused; do
        device=("${gpu[@]}" --gpu-path "$path")
        if [[ $path == cpu ]]; then device=(--device cpu); fi
        echo "-- $workload, $path"
        "$couplet" bench "$workload" "${device[@]}" --rounds "$rounds" --json >"$workload.$path.json" 2>"$workload.$path.txt" || {
            tail -n 1 "$workload.$path.txt"
            rm "$workload.$path.json"
        }
    done
    # The peers know the affine workloads.
    if [[ $workload == default ]]; then continue; fi
    for peer in "jax_flow.py scan" "jax_flow.py step" "torch_flow.py eager" "torch_flow.py compile"; do
        read -r script way <<<"$peer"
        "$python" "$here/peers/$script" "$workload" --way "$way" --on gpu --rounds "$rounds" >>peers.jsonl 2>>errors.txt ||
            echo "   $script, $way: not here, see errors.txt"
    done
done
"$python" "$here/gpu_table.py" . | tee gpu.md
