#!/bin/sh
# Writes the requirement files of this folder anew, from setup.cfg and constraints.txt, with the hash of
# every file that may be installed. Run it after a change of either, from anywhere; it wants uv:
#     python3 -m venv /tmp/uv && /tmp/uv/bin/pip install uv && PATH=/tmp/uv/bin:$PATH systemd/lock.sh
set -eu
cd "$(dirname "$0")/.."

# lock FILE OPTIONS...: packages for other systems than Linux are left out.
lock() {
    file=systemd/$1
    shift
    uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
        --constraints constraints.txt --no-annotate --custom-compile-command systemd/lock.sh \
        --no-emit-package winloop --no-emit-package xgboost --no-emit-package tzdata --no-emit-package colorama \
        --default-index https://pypi.org/simple "$@" --output-file "$file" setup.cfg
}

lock requirements.txt --extra report --extra signing --extra bus --extra mqtt
# The others stand beside that one, and name only what it does not.
already=$(sed -n 's/^\([a-z0-9-]*\)==.*/--no-emit-package \1/p' systemd/requirements.txt)
# shellcheck disable=SC2086  # a list of words
lock requirements-onnx.txt --extra onnx $already
# shellcheck disable=SC2086
lock requirements-training.txt --extra train $already
