# demo and test make their own environment; they need Python >= 3.11, make and the package registry.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PYTEST_ARGS ?=
ARGS ?=

.PHONY: demo test check bench coverage fast mutation clean

demo: $(VENV)/.run
	@$(BIN)/limen demo

test: $(VENV)/.dev
	$(BIN)/python -m pytest $(PYTEST_ARGS)

fast: $(VENV)/.dev
	$(BIN)/python -m pytest -m "not slow" $(PYTEST_ARGS)

coverage: $(VENV)/.dev
	$(BIN)/python -m pytest -q -m "not slow" --cov --cov-report=term:skip-covered $(PYTEST_ARGS)

check: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_layers.py tests/test_docs.py

# ARGS: those of limen bench; without, all is measured, and drawn.
bench: $(VENV)/.dev
	$(BIN)/limen bench $(or $(ARGS),--plot build/bench.svg)

# ARGS: packages (edge memory policy), --again to look only at what the last run left.
mutation: $(VENV)/.dev
	$(BIN)/python tests/mutation.py $(ARGS)

clean:
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Limen needs Python 3.11 or newer: make PYTHON=python3.11 …")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install -q --disable-pip-version-check -e ".[onnx]"
	@touch $@

$(VENV)/.dev: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install -q --disable-pip-version-check -e ".[dev]"
	@touch $@ $(VENV)/.run
