# `make demo` and `make test` do all set-up (virtual environment and install) and then the job.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test lint bench devnet clean

$(READY): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[dev,report,live]"
	touch $(READY)

demo: $(READY)
	$(BIN)/indexer demo

test: $(READY)
	$(BIN)/python -m pytest -n 2 --dist worksteal

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(READY)
	$(BIN)/python -m tests.benchmarks

devnet: $(READY)
	$(BIN)/python -m tests.devnet

clean:
	rm -rf $(VENV) demo .pytest_cache .mypy_cache .ruff_cache
