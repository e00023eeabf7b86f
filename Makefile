# Everything that a newcomer types. Each target does its own set-up; nothing needs root.
.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin

.PHONY: help demo run test fuzz check audit format proto contract map bench lock clean

help:  ## show this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

demo: .venv/run.stamp  ## watch ninety days of two businesses arrive, and come back as revenue
	$(BIN)/billing demo

run: .venv/dev.stamp  ## start the service and the Stripe emulator, and print what to try
	$(BIN)/billing sandbox

test: check  ## every check and every test
	$(BIN)/pytest -n auto --dist=loadfile --no-loadscope-reorder

fuzz: .venv/dev.stamp  ## send 100,000 mutated deliveries, as many calls, 30,000 of each other input, in an hour
	BILLING_FUZZ_BODIES=100000 BILLING_FUZZ_CALLS=100000 BILLING_FUZZ_INPUTS=30000 \
	  BILLING_FUZZ_TOKENS=10000 $(BIN)/pytest tests/fuzz tests/e2e/test_callers.py -s --timeout=3600

check: .venv/dev.stamp  ## format, lint, types, layers, contract
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python tools/protos.py check
	$(BIN)/python tools/house_map.py check
	$(BIN)/python tools/threat_model.py
	$(BIN)/python tools/audit.py
	$(BIN)/buf lint
	$(BIN)/buf format --exit-code --diff proto
	$(BIN)/buf breaking proto --against proto/contract.binpb --exclude-imports

audit: .venv/dev.stamp  ## ask for known weaknesses of pinned versions, and fail for one
	$(BIN)/python tools/audit.py --fail

format: .venv/dev.stamp  ## put code and protos into their one format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	$(BIN)/buf format --write proto

proto: .venv/dev.stamp  ## write the Python stubs of the contract anew
	$(BIN)/buf format --write proto
	$(BIN)/python tools/protos.py generate

contract: proto  ## at a release: write the stubs, and the image that `check` holds protos against
	$(BIN)/buf build proto --exclude-source-info -o proto/contract.binpb

map: .venv/dev.stamp  ## write docs/map.md, where everything lives
	$(BIN)/python tools/house_map.py generate

bench: .venv/dev.stamp  ## measure every figure of bench/README.md
	$(BIN)/python -m bench

lock: .venv/dev.stamp  ## resolve the dependencies anew into locks/
	$(BIN)/python tools/locks.py

clean:  ## remove everything that the other targets made
	rm -rf .venv build var .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

# --- set-up ---------------------------------------------------------------------------------------

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python 3.11 or later is needed: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -m venv .venv \
	  || { echo "Python's venv module is needed (Debian: the package python3-venv)"; exit 1; }

.venv/run.stamp: locks/run.lock pyproject.toml proto/pyproject.toml | .venv/bin/python
	@echo "Installing what the service needs ..."
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r locks/run.lock
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e proto -e .
	@touch $@

.venv/dev.stamp: locks/dev.lock pyproject.toml proto/pyproject.toml | .venv/bin/python
	@echo "Installing what the tests need ..."
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r locks/dev.lock
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e proto -e .
	@touch $@ .venv/run.stamp
