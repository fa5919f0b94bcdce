#!/usr/bin/env bash
# Fits Couplet and its peers to seven real tables, and to the redshifts of galaxies given their magnitudes, on the CPU, and writes
# one table of held-out NLL (nats, units of the data) with standard errors and seconds. Then Couplet and scikit-learn's mixtures and kernels
# on small tables, five splits of each, the same with half of the columns given, on forty drawn at random, and on wide ones; and Couplet once more with one default changed at a time.
#
#     benches/quality/run.sh [OUTPUT_FOLDER]        TABLES="galaxies cities" FITS="flowjax-spline" SMALL="iris wine" GIVEN="" RANDOM_TABLES=0 ABLATION=no
#
# The first run makes a Python environment in the folder that PEERS names, or in OUTPUT_FOLDER/peers, and fetches the tables.
set -euo pipefail
cd "$(dirname "$0")/../.."
out=$(realpath -m "${1:-target/quality}")
peers=$(realpath -m "${PEERS:-$out/peers}")
mkdir -p "$out"
if [[ ! -x $peers/bin/python ]]; then
    python3 -m venv "$peers"
    "$peers/bin/pip" install --quiet numpy pandas scikit-learn pillow jax equinox optax flowjax torch zuko
fi
random=${RANDOM_TABLES:-40}
if [[ ! -f $out/tables/patches.test.npy ]]; then
    "$peers/bin/python" benches/quality/tables.py "$out/tables"
    "$peers/bin/python" benches/quality/tables.py "$out/tables" random "$random"
fi
cargo build --release --locked
tables=${TABLES:-galaxies redshifts cities diamonds weather storms goldsilver quakes}
: >"$out/fits.jsonl"
: >"$out/small.jsonl"
: >"$out/ablation.jsonl"
couplet() { # FILE TABLE LABEL FLAGS...
    "$peers/bin/python" benches/quality/table.py couplet "$out/tables" "$2" "$3" target/release/couplet "${@:4}" >>"$out/$1.jsonl"
}
for table in $tables; do
    couplet fits "$table" couplet
    for fit in ${FITS-gaussian flowjax-affine flowjax-spline flowjax-spline-whitened zuko-nsf zuko-nsf-coupling}; do
        "$peers/bin/python" benches/quality/peers.py "$out/tables" "$table" "$fit" >>"$out/fits.jsonl" 2>>"$out/errors.txt" ||
            echo "$fit, $table: failed, see $out/errors.txt" >&2
    done
done
"$peers/bin/python" benches/quality/table.py table "$out/fits.jsonl" "$out/fits.json" | tee "$out/fits.md"
small=()
for table in ${SMALL-iris wine cancer diabetes faithful penguins earthquakes ring clusters}; do
    small+=("$table"-{0..4})
done
for table in ${GIVEN-iris wine cancer diabetes faithful penguins earthquakes ring clusters}; do
    small+=("$table"-{0..4}:given)
done
for ((index = 0; index < random; index++)); do
    small+=("random-$index")
done
for table in "${small[@]}" ${WIDE-patches}; do
    couplet small "$table" couplet
    for fit in gaussian gmm kde; do
        # Neither is made for so many columns and rows, nor kernels for context.
        [[ $table == patches && $fit != gaussian ]] && continue
        [[ $table == *:given && $fit == kde ]] && continue
        "$peers/bin/python" benches/quality/peers.py "$out/tables" "$table" "$fit" >>"$out/small.jsonl" 2>>"$out/errors.txt"
    done
done
"$peers/bin/python" benches/quality/table.py small "$out/small.jsonl" "$out/small.json" | tee "$out/small.md"
if [[ ${ABLATION:-yes} == yes ]]; then
    for table in $tables; do
        couplet ablation "$table" "the defaults"
        couplet ablation "$table" "affine" --transform affine
        couplet ablation "$table" "no mixing" --mixing none
        couplet ablation "$table" "8 bins" --bins 8
        couplet ablation "$table" "2 x 32 units" --hidden 32,32
        couplet ablation "$table" "6 layers" --layers 6
        couplet ablation "$table" "silu" --activation silu
        couplet ablation "$table" "not whitened" --whiten false
        couplet ablation "$table" "all rows set the scale" --robust false
        couplet ablation "$table" "rate 1e-3" --learning-rate 1e-3
        couplet ablation "$table" "constant rate" --schedule constant
        couplet ablation "$table" "no average" --average 0
        couplet ablation "$table" "decay 1e-4" --weight-decay 1e-4
        couplet ablation "$table" "no clipping" --clip-norm 0
        couplet ablation "$table" "2,000 steps" --steps 2000
    done
    "$peers/bin/python" benches/quality/table.py table "$out/ablation.jsonl" "$out/ablation.json" | tee "$out/ablation.md"
fi
