# `make run` and `make test` are all it takes on a fresh machine with Python
# 3.11+; everything else is for those who change Cyme.
#
#   make run ARGS=":8001 -l DEBUG"
#   make tour ARGS="--broker amqp://guest:guest@127.0.0.1:5672//"
#   make test ARGS="tests/unit -k naming"
#   make test PYTHON=python3.13 VENV=/tmp/venv
#   make test JOBS=0 ARGS="tests/unit --pdb"

# The first of these that is new enough, unless one is named.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c $(IS_NEW_ENOUGH) 2>/dev/null && echo $$p && break; done)
VENV ?= .venv
# How many files of tests run side by side.
JOBS ?= 3
BIN := $(VENV)/bin
IS_NEW_ENOUGH := 'import sys; sys.exit(sys.version_info < (3, 11))'
DESCRIBED_BY := setup.cfg setup.py pyproject.toml

.DEFAULT_GOAL := help
.PHONY: help run tour test faults faults-table soak fuzz check audit format bench readme reference wheel clean
.DELETE_ON_ERROR:

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

run: $(VENV)/.installed ## a branch on :8000 with its root in instances/; ARGS for others
	@exec $(BIN)/cyme-branch $(or $(ARGS),:8000)

tour: $(VENV)/.installed ## everything there is to try, typed for you and checked
	@exec $(BIN)/python -m docs.tour $(ARGS)

test: $(VENV)/.installed-dev ## every test; brings up the services it needs
	$(BIN)/python -m pytest --numprocesses $(JOBS) --dist loadfile --no-loadscope-reorder $(ARGS)

faults: $(VENV)/.installed-dev ## each fault 30 times, or CYME_FAULT_RUNS; long outages and floods
	CYME_FAULT_RUNS=$${CYME_FAULT_RUNS:-30} CYME_FAULT_OPS=$${CYME_FAULT_OPS:-500} $(BIN)/python -m pytest -m "faults or rows" $(ARGS)

soak: $(VENV)/.installed-dev ## random faults for CYME_SOAK_S seconds (an hour); CYME_SOAK_SEED
	$(BIN)/python -m tests.faults.soak

fuzz: $(VENV)/.installed-dev ## 100 requests an operation and role, or CYME_FUZZ_EXAMPLES; CYME_FUZZ_SEED
	CYME_FUZZ_EXAMPLES=$${CYME_FUZZ_EXAMPLES:-100} $(BIN)/python -m pytest -s tests/unit/test_openapi_fuzz.py $(ARGS)

faults-table: $(VENV)/.installed ## what make faults found, into docs/faults.rst
	$(BIN)/python -m docs.faults

check: $(VENV)/.installed-dev ## formatter, linter, types, import directions, OpenAPI
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/unit/test_house.py tests/unit/test_openapi.py

# In an environment of its own: what is looked at is not what looks.
audit: $(VENV)/.installed-dev $(VENV)/audit/bin/pip-audit ## known faults of dependencies, installed or let in: asks PyPI, and says of what it cannot
	@$(BIN)/python -m tests.advisories $(VENV)/audit/bin/pip-audit

format: $(VENV)/.installed-dev ## put right what the formatter and the linter can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/.installed-bench ## each figure beside its peer's, measured in the same run
	@set -e; for each in benchmarks/bench_*.py; do \
		name=$${each%.py}; $(BIN)/python -m benchmarks.$${name##*/} $(ARGS); done

readme: $(VENV)/.installed ## README's tour, from a tour that is taken
	$(BIN)/python -m docs.tour --readme

reference: $(VENV)/.installed ## docs/reference.rst, from the code that it is about
	$(BIN)/python -m docs.reference

wheel: $(VENV)/.installed-dev ## dist/*.whl
	rm -rf build
	$(BIN)/python -m build --wheel --no-isolation

clean: ## remove what building and checking left; instances/ and the environment stay
	rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -path './.*' -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@test -n "$(PYTHON)" && $(PYTHON) -c $(IS_NEW_ENOUGH) || { \
		echo "Cyme needs Python 3.11 or newer, and $(or $(PYTHON),python3) is not:" >&2; \
		echo "install one, or name it: make PYTHON=/path/to/python3.11 ..." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "$(PYTHON) cannot make virtual environments: apt-get install python3-venv" >&2; \
		exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/audit/bin/pip-audit: | $(BIN)/python
	$(BIN)/python -m venv $(VENV)/audit
	$(VENV)/audit/bin/python -m pip install --quiet --disable-pip-version-check 'pip-audit >= 2.7'

# Editable: an edit counts at the next start, without another install.
$(VENV)/.installed: $(DESCRIBED_BY) | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/.installed-dev: $(DESCRIBED_BY) | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@ $(VENV)/.installed

$(VENV)/.installed-bench: $(VENV)/.installed-dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[bench]'
	@touch $@
