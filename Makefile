# Two commands matter: `make demo` and `make test`. Both set themselves up in .venv first; what only tests need (and lint,
# docs) comes with the first of these.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed
READY := $(VENV)/ready
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: demo digits test lint bench docs clean

demo: $(INSTALLED)
	@echo "1 of 3: a dozen masks through every stage, one or two minutes; Ctrl-C is safe, make demo goes on from there"
	$(BIN)/amhw study --out study
	@echo "The picture is study/sweep.png. 2 of 3: partial products and weights chosen for LeNet-5, two or three minutes"
	$(BIN)/amhw select --no-search --out select --results study/results.sqlite
	@echo "3 of 3: the page, half a minute"
	$(BIN)/amhw report study select --peers docs/evoapprox-u8s8-sky130hd.csv
	@echo "Open study/report.html. Next: $(BIN)/amhw select --results study/results.sqlite, the whole search, some minutes more;"
	@echo "a mask of your own: $(BIN)/amhw gen --help"

digits: $(INSTALLED)
	@echo "LeNet-5 in Verilog, from pixels to classes, on 25 x 4 elements: written, compiled and run, one or two minutes"
	$(BIN)/amhw array mul_u8s8_pp_full --whole --cols 4 --name digits --out build
	$(BIN)/amhw classify build/digits.json --images 8
	@echo "Next: digits of your own, as PNG files of 28 x 28 pixels: $(BIN)/amhw classify build/digits.json FILE.png"

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

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) --editable .
	touch $@

$(READY): $(INSTALLED)
	$(PIP) --editable '.[dev]'
	touch $@
