# Two commands: `make demo` shows the main job with the edge dependencies alone, `make test` proves everything.

PYTHON ?= python3
PIP_FLAGS ?= --quiet --disable-pip-version-check
DEMO := .venv-demo
DEV := .venv
SOURCES := $(shell find leukolite train convert edge benchmarks -name '*.py' -o -name '*.j*' -o -name '*.html' -o -name '*.css')

.PHONY: demo test install lint types unit clean

demo: $(DEMO)/.installed
	$(DEMO)/bin/edge-run --bundle synthetic-cells --camera synthetic --frames 200 --noise 0,2,5,8,10

test: lint types unit

install: $(DEV)/.installed

lint: $(DEV)/.installed
	$(DEV)/bin/ruff check .
	$(DEV)/bin/ruff format --check .

# mypy knows a package by its folders' names: give it the names that the installed package has
types: $(DEV)/.installed
	rm -rf build/types && mkdir -p build/types/leukolite
	ln -s $(CURDIR)/leukolite/* $(CURDIR)/train $(CURDIR)/convert $(CURDIR)/edge $(CURDIR)/benchmarks build/types/leukolite/
	MYPYPATH=build/types $(DEV)/bin/mypy --package leukolite

unit: $(DEV)/.installed
	$(DEV)/bin/pytest -q -n 2

$(DEV)/.installed: pyproject.toml
	$(PYTHON) -m venv $(DEV) || (echo "no virtual environment: sudo apt install python3-venv" && false)
	$(DEV)/bin/pip install $(PIP_FLAGS) -e '.[dev]'
	touch $@

# installed as a user would, not editable: what is forgotten in the package shows here
$(DEMO)/.installed: pyproject.toml $(SOURCES) $(wildcard edge/bundles/*/*)
	$(PYTHON) -m venv $(DEMO) || (echo "no virtual environment: sudo apt install python3-venv" && false)
	$(DEMO)/bin/pip install $(PIP_FLAGS) --force-reinstall --no-deps .
	$(DEMO)/bin/pip install $(PIP_FLAGS) .
	touch $@

clean:
	rm -rf build $(DEMO) $(DEV) *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis
