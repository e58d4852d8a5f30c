#!/usr/bin/env bash
# What CI runs: the quick checks of .pre-commit-config.yaml, every notebook, the tests. 'make test'
# calls it. No network, no GPU, nothing of the caller's settings. Where one of the three fails the
# others still run; what the failed ones printed last is repeated at the end.
set -uo pipefail
cd "$(dirname "$0")/.."
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
unset TEXTGRAFT_SIZE TEXTGRAFT_DATA IN_TEST
export TEXTGRAFT_HOME=$tmp/textgraft FASTAI_HOME=$tmp/fastai HF_HOME=$tmp/hub HF_HUB_OFFLINE=1
export PRE_COMMIT_HOME=$tmp/pre-commit OMP_NUM_THREADS=1 TOKENIZERS_PARALLELISM=false

failed=()
step() { # step NAME command...
    local name=$1; shift
    "$@" 2>&1 | tee "$tmp/$name.log"
    ((PIPESTATUS[0] == 0)) || failed+=("$name")
}
quick() ( # pre-commit asks git for the files; for an unpacked archive a repository elsewhere answers
    [[ -e .git ]] || { export GIT_DIR=$tmp/git GIT_WORK_TREE=$PWD; git init --quiet; git add --all; }
    .venv/bin/pre-commit run --all-files --show-diff-on-failure --color never
)
in_order() { # one notebook after another
    for name in "$@"; do .venv/bin/nbdev-test "nbs/$name.ipynb" --timing || return 1; done
}
notebooks() { # on two cores; the classifier takes up what the language model's chapter has saved
    in_order 03_lm_finetune 04_classifier &
    local pair=$! others
    .venv/bin/nbdev-test --skip-file-re '^0[34]_' --n-workers 1 --timing; others=$?
    wait "$pair" && return "$others"
}

step quick-checks quick
step notebooks notebooks
step tests .venv/bin/python -m pytest -n 2 "$@"
for name in "${failed[@]}"; do printf '\n== failed: %s\n' "$name"; tail -n 40 "$tmp/$name.log"; done
exit $((${#failed[@]} > 0))
