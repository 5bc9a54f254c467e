# Everything starts here: `make demo` and `make test` need Python 3.11+, make and a package registry only.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes
RUN := $(VENV)/.installed-run
DEV := $(VENV)/.installed-dev
MLFLOW_STAMP := .venv-mlflow/.installed
JUDGES_STAMP := .venv-judges/.installed
GBSTATS_STAMP := .venv-gbstats/.installed
SCALE ?=
LOG ?= auto
TESTS ?= tests
# Tests wait half of their time, so there are more processes that run them than cores.
PROCESSES ?= 3
PYTEST = $(BIN)/python -m pytest -n $(PROCESSES)
# These compute more than they wait.
QUICK = tests/unit tests/migrations tests/integration/test_jobs.py tests/integration/http/test_problems.py
# They start hundreds of processes, each of which would compile all of our files anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup demo up test test-quick test-judges chaos-short check lock mlflow-env judges-env gbstats-env env clean bench-jobs bench-infer bench-claim bench-scale bench-ingest bench-memory bench-search bench-up bench-idle bench-serving bench-lookup compose-test

help: ## Say what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(DEV) ## Make .venv and install everything: what runs, and what tests and checks need

# Two locks, one .venv: dev.txt holds all of run.txt in the same versions, so nothing is fetched twice.
$(RUN): requirements/run.txt
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed; this is %s. Say which: make PYTHON=python3.12 …" % sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	@echo "Making $(VENV) with $$($(PYTHON) --version) and installing what runs Millrace (about 0.9 GB on disk, once) …"
	@$(PYTHON) -m venv $(VENV)
	@$(INSTALL) -r $<
	@touch $@

$(DEV): requirements/dev.txt $(RUN)
	@echo "Adding to $(VENV) what tests and checks need (about 0.6 GB more on disk, once) …"
	@$(INSTALL) -r $<
	@touch $@

demo: $(RUN) ## The main job, from a CSV to predictions, on an embedded system of its own
	@$(BIN)/python -m deploy.demo

up: $(RUN) ## Run everything until Ctrl-C; make up SCALE=training=3 LOG=json
	@exec $(BIN)/python -m deploy.up --scale "$(SCALE)" --log "$(LOG)"

test: $(DEV) ## Run all tests that can run here but for the next four, and say what was skipped
	@$(PYTEST) --ignore=tests/architecture -m "not judge and not chaos" $(TESTS)
	@echo "Passed. Next: make test-judges, make chaos-short, make check."

test-quick: $(DEV) ## Run what takes seconds of it, while you work
	@$(PYTEST) -n 2 -q -m "not judge and not chaos and not slow and not servers" $(QUICK)

test-judges: $(DEV) ## Let clients and tools that others wrote judge what Millrace says and makes
	@$(PYTEST) -m "judge and not chaos" $(TESTS)

chaos-short: $(DEV) ## Kill, stop and restart all parts for a minute, on each backend
	@$(BIN)/python -m pytest -m "chaos" $(TESTS)

check: $(DEV) ## Lint, types, layers, architecture, OpenAPI: what CI runs beside the tests
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(PYTEST) -q tests/architecture
	@echo "Checked."

mlflow-env: $(MLFLOW_STAMP) ## Make .venv-mlflow, in which a test loads our MLflow exports

$(MLFLOW_STAMP): requirements/mlflow.txt
	@echo "Making .venv-mlflow with MLflow (about 500 MB, once) …"
	@$(PYTHON) -m venv .venv-mlflow
	@.venv-mlflow/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $(MLFLOW_STAMP)

judges-env: $(JUDGES_STAMP) ## Make .venv-judges, in which clients of others judge what we serve and send

$(JUDGES_STAMP): requirements/judges.txt
	@echo "Making .venv-judges with Triton's client, KServe's and another one (about 460 MB, once) …"
	@$(PYTHON) -m venv .venv-judges
	@.venv-judges/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

gbstats-env: $(GBSTATS_STAMP) ## Make .venv-gbstats, whose figures a test holds experiments to

$(GBSTATS_STAMP): requirements/gbstats.txt
	@echo "Making .venv-gbstats with GrowthBook's statistics (about 350 MB, once) …"
	@$(PYTHON) -m venv .venv-gbstats
	@.venv-gbstats/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $(GBSTATS_STAMP)

lock: ## Make requirements/*.txt anew from pyproject.toml (needs uv)
	@sh requirements/lock.sh

env: ## Make .env with random passwords, for docker compose
	@$(PYTHON) -m deploy.env

bench-jobs: $(DEV) ## Jobs per second and latency, beside bare Celery and Procrastinate
	@$(BIN)/python -m benchmarks.jobs

bench-infer: $(DEV) ## Predictions through the queue, beside no-op jobs
	@$(BIN)/python -m benchmarks.infer

bench-claim: $(DEV) ## The claim's cost at 1,000 and at 1,000,000 rows
	@$(BIN)/python -m benchmarks.claim

bench-scale: $(DEV) ## Listing and showing, with 100 and with 1,000,000 rows in the tables
	@$(BIN)/python -m benchmarks.scale

bench-ingest: $(DEV) ## 1 GB of CSV to typed, profiled Parquet, beside duckdb, polars, pandas and pyarrow
	@$(BIN)/python -m benchmarks.ingest

bench-memory: $(DEV) ## Memory of loading 1 GB, scoring 5 million rows and splitting 10 million
	@$(BIN)/python -m benchmarks.memory_load
	@$(BIN)/python -m benchmarks.memory_predict
	@$(BIN)/python -m benchmarks.memory_split

bench-search: $(DEV) ## Searches over two workers, beside scikit-learn's RandomizedSearchCV
	@$(BIN)/python -m benchmarks.search

bench-up: $(DEV) ## Seconds, processor time and memory of make up
	@$(BIN)/python -m benchmarks.up

bench-idle: $(DEV) ## How the API answers while thousands of clients idle, wait, stream or send slowly
	@$(BIN)/python -m benchmarks.idle_clients

bench-lookup: $(DEV) ## Features by key: a million keys of 50 columns, their time, their memory, and every bit
	@$(BIN)/python -m benchmarks.lookup

bench-serving: $(DEV) ## The inference server beside MLServer, BentoML, LitServe and a bare ONNX call; QUICK=1 for one case
	@$(BIN)/python -m benchmarks.serving $(if $(QUICK),--quick)

compose-test: $(DEV) ## Run docker-compose.yml for real, with stand-ins where no image registry is reachable (root)
	@$(BIN)/python -m deploy.compose_test

clean: ## Remove what was made here, .venv and var included
	rm -rf $(VENV) .venv-mlflow .venv-judges .venv-gbstats var .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
