# Everything a newcomer needs. `make demo` and `make test` set themselves up; the others too.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
LOCK   := requirements/dev.txt

.DEFAULT_GOAL := help
.PHONY: help demo test up bench check format audit lock clean

help:            ## this list
	@grep -hE '^[a-z]+: .*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

# The pins are complete, so pip need not resolve (older ones also stumble over extras and hashes).
# Installed once; again only when the pins or the project's own metadata change.
$(STAMP): $(LOCK) pyproject.toml
	@echo "==> setting up $(VENV) (once; about two minutes)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r $(LOCK)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: $(STAMP)   ## set up, start a stand-in Langfuse with 60 days of traffic, run the whole job
	$(BIN)/llmops demo

test: $(STAMP)   ## set up and run the tests
	$(BIN)/python -m pytest $(PYTEST_ARGS)

up: $(STAMP)     ## the Dagster UI on http://localhost:3000
	$(BIN)/llmops up

bench: $(STAMP)  ## the benchmarks: every figure a ratio within one run
	$(BIN)/python -m bench

check: $(STAMP)  ## lint, format, types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(STAMP) ## rewrite to the house format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

audit: $(STAMP)  ## licences of what the image holds; known vulnerabilities, asked of the network
	$(BIN)/python deploy/sbom.py licences
	@test -x .audit/bin/pip-audit || { $(PYTHON) -m venv .audit && .audit/bin/pip install --quiet pip-audit; }
	.audit/bin/pip-audit --require-hashes --disable-pip -r requirements/image.txt

lock:            ## resolve the pins again (needs uv)
	sh requirements/lock.sh

clean:           ## forget everything that demo, up and test wrote
	rm -rf .audit .llmops .dagster .pytest_cache .mypy_cache .ruff_cache .hypothesis test-output
