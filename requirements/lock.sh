#!/bin/sh
# Makes the lock files: one per extra and one for the MLflow test, with hashes and without index addresses.
set -eu
cd "$(dirname "$0")/.."
compile() {
    uv pip compile "$@" --universal --python-version 3.11 --generate-hashes \
        --no-header --no-annotate --no-emit-index-url --no-emit-find-links --quiet --upgrade
}
for extra in api migrations sweeper flower ingestion processing training evaluation prediction storage dev; do
    compile pyproject.toml --extra "$extra" --output-file "requirements/$extra.txt"
done
compile requirements/mlflow.in --output-file requirements/mlflow.txt
