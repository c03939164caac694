# On a fresh machine: `make demo` runs the whole main job on built-in data, `make test` runs the tests.
# Both make a virtual environment in .venv from the lock first; nothing else needs to be installed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: setup demo test campaign mutations lint types bench bench-kernels

setup: $(VENV)/.installed

$(VENV)/.installed: requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

demo: setup
	$(BIN)/dc demo

test: setup
	$(BIN)/python -m pytest

# What can go wrong, in full (docs/reliability.md, whose figures it writes); about an hour. Needs bedtools and samtools.
campaign: setup
	$(BIN)/python tests/campaign/run.py

# Every guard taken out in turn, and its tests demanded to fail; about ten minutes.
mutations: setup
	$(BIN)/python tests/campaign/mutations.py

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup
	$(BIN)/mypy

# Counts compared first, then times; results and plot go to benchmarks/results, the README's figures follow.
bench: setup
	$(BIN)/dc bench featurize --save benchmarks/results
	$(BIN)/dc bench readme

bench-kernels: setup
	$(BIN)/python -m pytest benchmarks/maintain --benchmark-columns=min,median,iqr,rounds
