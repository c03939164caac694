# On a fresh machine: `make demo` runs the whole analysis on simulated data, `make test` runs the tests.
# Both first make a virtual environment in .venv from requirements.lock. Nothing else needs to be installed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: setup demo test multiqc campaign mutations lint types docs bench bench-kernels

setup: $(VENV)/.installed

$(VENV)/.installed: requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

demo: setup
	$(BIN)/dc demo

test: setup
	$(BIN)/python -m pytest -n 2 --dist loadfile

# Install MultiQC for the tests of its reports, in an environment of its own: it needs other versions of some packages
# than we do, and 1 GB. Without it, these tests are skipped.
multiqc: $(VENV)/multiqc/.installed

$(VENV)/multiqc/.installed: .ci/multiqc.lock | setup
	$(BIN)/python -m venv $(VENV)/multiqc
	$(VENV)/multiqc/bin/python -m pip install --quiet --disable-pip-version-check -r .ci/multiqc.lock
	touch $@

# Run the fault tests with many cases, and write their figures into docs/reliability.md. Takes about 25 minutes on 2
# cores, and needs bedtools and samtools.
campaign: setup
	$(BIN)/python tests/campaign/run.py

# Disable one guard at a time, and check that its tests fail. Takes about half an hour.
mutations: setup
	$(BIN)/python tests/campaign/mutations.py

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup
	$(BIN)/mypy

# Build the documentation in build/docs; warnings are errors.
docs: setup
	$(BIN)/sphinx-build -W --keep-going -b html docs build/docs

# Measure, save the results in benchmarks/results, and write them into docs/benchmarks.md and docs/scale.md.
bench: setup
	$(BIN)/dc bench featurize --save benchmarks/results
	$(BIN)/dc bench count --save benchmarks/results
	$(BIN)/dc bench many --save benchmarks/results
	$(BIN)/python -m deepchrome.benchmarks.maintain.figures

bench-kernels: setup
	$(BIN)/python -m pytest benchmarks/maintain --benchmark-columns=min,median,iqr,rounds
