#!/bin/sh
# From a fresh clone to a trained model: builds isobit, gets MNIST (or draws digits), trains the CNN
# and says accuracy, time and hashes. Each epoch takes some 10 s on two cores.
# environment: ISOBIT_MIRROR (a directory or URL with mnist/...), ISOBIT_DATA_DIR (default: data)
set -eu
cd "$(dirname "$0")/.."

epochs=2
download_seconds=90
data_dir=${ISOBIT_DATA_DIR:-data}
isobit=build/release/isobit

say() {
    printf '\n== %s\n' "$*"
}

use_digits() { # use_digits REASON
    cat <<TEXT

################################################################################
##                                                                            ##
##    NO MNIST HERE: USING THE GENERATED "DIGITS" DATA SET INSTEAD            ##
##                                                                            ##
################################################################################
## $1
## digits: 70,000 images of handwriting-like digits that isobit draws itself.
## Its accuracy is not an MNIST accuracy. For MNIST, put a copy somewhere and:
##     ISOBIT_MIRROR=/path/or/url make quickstart     (files in <mirror>/mnist/)

TEXT
    "$isobit" data prepare --dataset digits --data-dir "$data_dir"
    dataset=digits
}

prepare_data() {
    dataset=mnist
    reason="The mirror ${ISOBIT_MIRROR:-} did not have it (message above)."
    [ -n "${ISOBIT_MIRROR:-}" ] || reason="The public mirrors could not be reached in time (message above)."
    timeout "$download_seconds" "$isobit" data prepare --dataset mnist --data-dir "$data_dir" ||
        use_digits "$reason"
}

field() { # field KEY: the value in the JSON object on the last line of the result
    tail -n 1 "$result" | python3 -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"
}

golden_model() { # the published model_sha256 of this very experiment, if there is one
    for file in tests/golden/*.txt; do
        [ -e "$file" ] || continue
        awk -v wanted="$1" '$1 == "experiment_sha256" { same = ($2 == wanted) }
                            $1 == "model_sha256" { model = $2 }
                            END { if (same) print model }' "$file"
    done | head -n 1
}

show_result() {
    model=$(field model_sha256)
    say "$("$isobit" --version | head -n 1)"
    field test_accuracy | awk -v d="$dataset" '{ printf "test accuracy      %.2f %%  (%s, 10,000 images never trained on)\n", 100 * $1, d }'
    field train_seconds | awk -v e="$epochs" '{ printf "training           %.1f s for %d epochs\n", $1, e }'
    field images_per_second | awk '{ printf "                   %d images/s\n", $1 }'
    echo "computed with      $(field isa), $(field threads) threads"
    echo "experiment_sha256  $(field experiment_sha256)"
    echo "model_sha256       $model"
    echo "optimizer_sha256   $(field optimizer_sha256)"
    echo "run record         $(field run_dir)"
    published=$(golden_model "$(field experiment_sha256)")
    echo
    if [ -z "$published" ]; then
        echo "No hash has been published for this experiment."
    elif [ "$published" = "$model" ]; then
        echo "SAME BITS as the published hash: this machine computed exactly the published model."
    else
        echo "DIFFERENT BITS: the published hash of this experiment is $published."
        echo "This should be impossible. Please report it with the run record above."
        exit 5
    fi
}

say "building"
scripts/deps.sh build
scripts/build.sh release --target isobit

say "data"
prepare_data

say "training the CNN of the PyTorch MNIST example on $dataset, $epochs epochs"
result=$(mktemp)
trap 'rm -f "$result"' EXIT
"$isobit" train --model cnn --dataset "$dataset" --data-dir "$data_dir" --epochs "$epochs" --json >"$result"
show_result
