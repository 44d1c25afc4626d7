# `make demo` shows the main job with the edge dependencies alone; `make test` is what a change must pass; `make test-all`
# installs what its skipped tests want, about 3 GB and Debian packages, and runs all, long ones too.

PYTHON ?= python3
PIP_FLAGS ?= --quiet --disable-pip-version-check
DEMO := .venv-demo
DEV := .venv
ANDROID := .venv-android
TORCH := .venv-torch
TFLITE_RUNTIME := .venv-tflite-runtime
TORCH_PACKAGE ?= torch
TFLITE_RUNTIME_PYTHON ?= $(PYTHON)
SOURCES := $(shell find leukolite train convert edge benchmarks -name '*.py' -o -name '*.j*' -o -name '*.html' -o -name '*.css')

.PHONY: demo test test-all install lint types unit debian environments clean

demo: $(DEMO)/.installed
	$(DEMO)/bin/edge-run --bundle synthetic-cells --camera synthetic --frames 200 --noise 0,2,5,8,10

test: lint types unit

# what cannot live in $(DEV) has an environment of its own, whose interpreter a variable names to the tests
test-all: debian environments lint types
	LEUKOLITE_ANDROID_PYTHON=$(CURDIR)/$(ANDROID)/bin/python \
	LEUKOLITE_TORCH_PYTHON=$(CURDIR)/$(TORCH)/bin/python \
	LEUKOLITE_TFLITE_RUNTIME_PYTHON=$(CURDIR)/$(TFLITE_RUNTIME)/bin/python \
	$(DEV)/bin/pytest -q -n 3

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
	$(DEV)/bin/pytest -q -n 3 -m 'not long'

$(DEV)/.installed: pyproject.toml
	$(PYTHON) -m venv $(DEV) || (echo "no virtual environment: sudo apt install python3-venv" && false)
	$(DEV)/bin/pip install $(PIP_FLAGS) -e '.[dev]'
	touch $@

environments: $(DEV)/.installed $(ANDROID)/.installed $(TORCH)/.installed $(TFLITE_RUNTIME)/.installed

# mediapipe and tensorflow-model-optimization want different absl-py
$(ANDROID)/.installed: pyproject.toml
	$(PYTHON) -m venv $(ANDROID)
	$(ANDROID)/bin/pip install $(PIP_FLAGS) -e '.[android-test]'
	touch $@

# torch comes first and alone, so that TORCH_PACKAGE may hold an index: 'torch --index-url https://download.pytorch.org/whl/cpu'
$(TORCH)/.installed: pyproject.toml
	$(PYTHON) -m venv $(TORCH)
	$(TORCH)/bin/pip install $(PIP_FLAGS) $(TORCH_PACKAGE)
	$(TORCH)/bin/pip install $(PIP_FLAGS) -e '.[keras]'
	touch $@

# wants NumPy 1, and Python 3.11: with another there is an empty environment, and the tests that want it are skipped
$(TFLITE_RUNTIME)/.installed: pyproject.toml
	$(TFLITE_RUNTIME_PYTHON) -m venv --clear $(TFLITE_RUNTIME)
	@if $(TFLITE_RUNTIME)/bin/python -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))'; then \
	  $(TFLITE_RUNTIME)/bin/pip install $(PIP_FLAGS) -e '.[tflite-runtime]' && touch $@; \
	else \
	  echo "not installed: tflite-runtime, which wants Python 3.11; make test-all TFLITE_RUNTIME_PYTHON=python3.11" >&2; \
	fi

# what no virtual environment brings
CHROMIUM = $(shell command -v chromium || command -v chromium-browser || command -v google-chrome)
JAVA = $(shell command -v java || true)
MISSING = $(strip $(if $(CHROMIUM),,chromium) $(if $(JAVA),,default-jre-headless))
AS_ROOT = $(if $(filter 0,$(shell id -u)),,sudo)

debian:
	@test -z "$(MISSING)" || ($(AS_ROOT) apt-get update -qq && \
	  $(AS_ROOT) apt-get install -y -qq --no-install-recommends $(MISSING) > /dev/null) || \
	  echo "not installed: $(MISSING) (apt-get and root or sudo are needed); the tests that want them will be skipped" >&2

# installed as a user would, not editable: what is forgotten in the package shows here
$(DEMO)/.installed: pyproject.toml $(SOURCES) $(wildcard edge/bundles/*/*)
	$(PYTHON) -m venv $(DEMO) || (echo "no virtual environment: sudo apt install python3-venv" && false)
	$(DEMO)/bin/pip install $(PIP_FLAGS) --force-reinstall --no-deps .
	$(DEMO)/bin/pip install $(PIP_FLAGS) .
	touch $@

clean:
	rm -rf build $(DEMO) $(DEV) $(ANDROID) $(TORCH) $(TFLITE_RUNTIME) *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis
