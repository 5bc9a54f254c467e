#!/bin/sh
# Makes the lock files: one per extra and one for each environment of tests, with hashes and without index addresses.
# dev.txt holds everything, and the others are held to its versions: what runs is what was tested.
set -eu
cd "$(dirname "$0")/.."
compile() {
    uv pip compile "$@" --universal --python-version 3.11 --generate-hashes \
        --no-header --no-annotate --no-emit-index-url --no-emit-find-links --quiet --upgrade
}
compile pyproject.toml --extra dev --output-file requirements/dev.txt
roles=$(python3 -c 'from shared import roles; print(*roles.ROLES)')
for extra in run api migrations sweeper flower inference $roles; do
    compile pyproject.toml --extra "$extra" --constraint requirements/dev.txt --output-file "requirements/$extra.txt"
done
# SHAP brings numba, 220 MB in all, so an image that holds it is the choice of the operator.
for extra in training inference; do
    compile pyproject.toml --extra "$extra" --extra shap --constraint requirements/dev.txt \
        --output-file "requirements/$extra-shap.txt"
done
compile requirements/mlflow.in --output-file requirements/mlflow.txt
compile requirements/judges.in --output-file requirements/judges.txt
compile requirements/gbstats.in --output-file requirements/gbstats.txt
