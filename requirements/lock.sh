#!/bin/sh
# Makes the lock files: one per extra, with hashes and without index addresses.
set -eu
cd "$(dirname "$0")/.."
for extra in api migrations sweeper flower ingestion processing training evaluation prediction dev; do
    uv pip compile pyproject.toml --extra "$extra" --universal --python-version 3.11 --generate-hashes \
        --no-header --no-annotate --no-emit-index-url --no-emit-find-links --quiet --upgrade \
        --output-file "requirements/$extra.txt"
done
