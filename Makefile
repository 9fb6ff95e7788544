# Two commands matter: `make demo` and `make test`. Both set themselves up in .venv first.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready

.PHONY: demo test lint bench docs clean

demo: $(READY)
	$(BIN)/amhw study --out study
	$(BIN)/amhw select --out select --results study/results.sqlite
	$(BIN)/amhw report study select --peers docs/evoapprox-u8s8-sky130hd.csv

test: $(READY)
	$(BIN)/python -m pytest -n auto

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(READY)
	$(BIN)/python scripts/bench.py
	$(BIN)/python scripts/bench_gather.py

docs: $(READY)
	$(BIN)/python -m pytest -q tests/test_documentation.py README.md docs
	$(BIN)/python scripts/pages.py build/site

clean:
	rm -rf $(VENV) build dist study select

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $(READY)
