#!/bin/sh
# Writes docker/requirements-cpu.lock and -gpu.lock: all packages of the images, with hashes.
#
# Versions that are in the files stay as they are while setup.py allows them; docker/lock.sh
# --upgrade takes the newest ones. Needs uv (pip install uv).
set -eu
cd "$(dirname "$0")/.."
for kind in cpu gpu; do
    uv pip compile setup.py docker/requirements.in \
        --extra "$kind" --extra jobs --extra serve \
        --python-version 3.11 --python-platform x86_64-manylinux_2_28 \
        --generate-hashes --no-annotate --no-emit-index-url \
        --custom-compile-command "docker/lock.sh" \
        --quiet --output-file "${LOCK_FOLDER:-docker}/requirements-$kind.lock" "$@"
done
