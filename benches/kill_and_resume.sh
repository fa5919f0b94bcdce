#!/usr/bin/env bash
# Kills a training run with -9 at random moments, resumes it each time, and compares the end with that of a run left alone.
#
#     benches/kill_and_resume.sh target/release/couplet [OUTPUT_FOLDER]
#
#     KILLS    during training                                    (200)
#     SAVES    kills while a model is being written               (100)
#     DEVICE   flags that choose it              ("--device cpu")
#     STEPS    of a run                                          (3000)
#     SEED     of the moments                                       (1)
#
# Kills are spread over as many runs as it takes. Says what it found, and ends with 1 where a run did not end as it should have.
set -euo pipefail
couplet=$(realpath "${1:?the couplet binary}")
out=$(realpath -m "${2:-$(mktemp -d)}")
kills=${KILLS:-200} saves=${SAVES:-100} device=${DEVICE:---device cpu} steps=${STEPS:-3000}
RANDOM=${SEED:-1}
mkdir -p "$out"
cd "$out"
awk 'BEGIN { srand(1); print "x,y"; for (i = 0; i < 3000; i++) { a = 6.2832 * rand(); r = 2 + rand(); print r * cos(a) "," r * sin(a) } }' >rows.csv

# shellcheck disable=SC2206 # several flags
run=("$couplet" train rows.csv $device --layers 3 --hidden 24,24 --patience 0 --log-every 1000000 --force)
begin=$(date +%s%N)
"${run[@]}" --steps "$steps" --out whole.safetensors 2>whole.txt
took=$((($(date +%s%N) - begin) / 1000000))
echo "a run left alone takes $took ms"

killed=0 runs=0 wrong=0
while ((killed < kills)); do
    rm -rf kept model.safetensors
    while true; do
        "${run[@]}" --steps "$steps" --out model.safetensors --resume kept --checkpoint-every 10ms 2>last.txt &
        pid=$!
        # Up to a third of a run, so that each meets some kills.
        ms=$((RANDOM % (took / 3 + 100)))
        sleep "$((ms / 1000)).$(printf %03d $((ms % 1000)))"
        kill -9 "$pid" 2>/dev/null && ended=no || ended=yes
        code=0
        wait "$pid" 2>/dev/null || code=$?
        if ((code == 137)); then
            killed=$((killed + 1))
            continue
        fi
        if [[ $code != 0 ]]; then
            echo "run $runs ended with $code: $(tail -n 1 last.txt)"
            wrong=$((wrong + 1))
        fi
        break
    done
    cmp -s whole.safetensors model.safetensors || {
        echo "run $runs ended with other bytes"
        wrong=$((wrong + 1))
    }
    runs=$((runs + 1))
done
echo "$killed kills over $runs runs: $wrong wrong"

# A run of one step soon writes its model, over one that is there: whichever is left, it must be whole. Kills fall on its second half.
"${run[@]}" --steps 1 --out saved.safetensors 2>/dev/null
begin=$(date +%s%N)
"${run[@]}" --steps 1 --out saved.safetensors 2>/dev/null
took=$((($(date +%s%N) - begin) / 1000000))
broken=0 struck=0
while ((struck < saves)); do
    "${run[@]}" --steps 1 --out saved.safetensors 2>/dev/null &
    pid=$!
    ms=$((took / 2 + RANDOM % (took / 2 + 1)))
    sleep "$((ms / 1000)).$(printf %03d $((ms % 1000)))"
    kill -9 "$pid" 2>/dev/null || true
    code=0
    wait "$pid" 2>/dev/null || code=$?
    ((code == 137)) && struck=$((struck + 1))
    "$couplet" info saved.safetensors >/dev/null 2>&1 || broken=$((broken + 1))
done
echo "$struck kills around a save: $broken models broken"
((wrong == 0 && broken == 0))
