#!/usr/bin/env bash
# Everything that CI checks, in order; 'make test' calls it. No network, no GPU, nothing of the caller's settings.
# A step that fails prints how to put it right; the others still run. pytest is the last, so its line ends the output.
# STEPS='clean|ruff' runs only the steps whose names have that in them.
set -uo pipefail
cd "$(dirname "$0")/.."
BIN=$(cd "${BIN:-.venv/bin}" && pwd)
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
unset TEXTGRAFT_SIZE TEXTGRAFT_DATA IN_TEST
export TEXTGRAFT_HOME=$tmp/textgraft FASTAI_HOME=$tmp/fastai HF_HOME=$tmp/hub HF_HUB_OFFLINE=1
export OMP_NUM_THREADS=1 TOKENIZERS_PARALLELISM=false PYTHONDONTWRITEBYTECODE=1

failed=() steps=0
step() { # step 'what is checked' 'how to put it right' command...
    local what=$1 fix=$2 start=$SECONDS
    shift 2
    [[ $what =~ ${STEPS:-} ]] || return 0
    ((++steps))
    echo "== $what"
    "$@" || { failed+=("$what (to put it right: $fix)"); echo "-- failed: $what. To put it right: $fix"; }
    echo "   $((SECONDS-start)) s"
}

copy() { # a copy in which a command may change what it likes
    rm -rf "$tmp/copy" && mkdir "$tmp/copy" && cp -r nbs textgraft pyproject.toml settings.ini README.md "$tmp/copy"
    cd "$tmp/copy" && find . \( -name __pycache__ -o -name .ipynb_checkpoints -o -name .last_checked \) -prune -exec rm -rf {} +
    cp -r "$tmp/copy" "$tmp/before"
}
unchanged() ( # unchanged FOLDER command...: the command leaves the folder as it is
    copy && shopt -s nullglob || return 1
    local folder=$1; shift
    "$@" > "$tmp/log" 2>&1 || { cat "$tmp/log"; return 1; }
    diff -rq "$tmp/before/$folder" "$folder" | sed "s|$tmp/before/||; s|Files \(.*\) and .*|   \1 would change|"
    local same=${PIPESTATUS[0]}
    rm -rf "$tmp/before"
    return "$same"
)
notebooks() { # on two cores; the classifier takes up what the language model's chapter has saved, so it comes behind it
    (for name in 03_lm_finetune 04_classifier; do "$BIN/nbdev-test" "nbs/$name.ipynb" --timing || exit 1; done) &
    local pair=$! others
    "$BIN/nbdev-test" --skip-file-re '^0[34]_' --n-workers 1 --timing; others=$?
    wait "$pair" && return "$others"
}

step 'notebooks are clean' 'nbdev-clean' unchanged nbs "$BIN/nbdev-clean"
step 'the package is what the notebooks export' 'nbdev-export' unchanged textgraft "$BIN/nbdev-export"
step 'notebooks are stamped for Colab' 'python tools/stamp.py' "$BIN/python" tools/stamp.py --check
step 'README.md is current' 'make readme' "$BIN/python" tools/readme.py --check
step 'ruff' 'ruff check --fix, then nbdev-export' "$BIN/ruff" check --quiet .
step 'spelling' 'correct the word, or add it to [tool.typos] in pyproject.toml' "$BIN/python" tools/spelling.py
step 'chapters are in shape' 'see CONTRIBUTING.md' "$BIN/python" tools/gate.py
step 'every module imports by itself' 'import in the notebook what the module uses' "$BIN/python" tests/imports.py
step 'notebooks run' 'nbdev-test nbs/THE_NOTEBOOK.ipynb' notebooks
step 'tests' 'pytest tests/THE_FILE.py' "$BIN/python" -m pytest -n 2 "$@"

if ((${#failed[@]})); then
    printf '\n%d of %d checks failed:\n' "${#failed[@]}" "$steps"
    printf '  %s\n' "${failed[@]}"
    exit 1
fi
