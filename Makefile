# Everything happens in a virtual environment of its own; `make serve` and `make test` work on a fresh clone.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PORT ?= 4222
STORE ?= .store
SOURCES := pyproject.toml setup.py $(shell find src -name '*.py' -o -name '*.pyx' -o -name '*.pxi' -o -name '*.hpp' -o -name '*.cpp' | grep -v -e _kernel.cpp -e _load.cpp)

.PHONY: serve test lint bench dev clean

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip

# Builds in isolation (pip fetches Cython and setuptools), and installs the package with what its tests need.
$(VENV)/.installed: $(SOURCES) | $(BIN)/python
	$(BIN)/python -m pip install --quiet '.[test,lint]'
	touch $@

serve: $(VENV)/.installed
	$(BIN)/slipstream serve --port $(PORT) --store $(STORE)

test: $(VENV)/.installed
	$(BIN)/python -m pytest

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/.installed
	$(BIN)/python bench/compare.py

# For work on the kernel: compiles in place, only what changed (with ccache where it is installed).
dev: | $(BIN)/python
	$(BIN)/python -m pip install --quiet 'setuptools>=77' 'Cython>=3.1,<4' msgspec bcrypt
	CC="$$(command -v ccache) gcc" CXX="$$(command -v ccache) g++" $(BIN)/python setup.py --quiet build_ext --inplace

clean:
	rm -rf $(VENV) build src/*.egg-info src/slipstream/kernel/_kernel.cpp src/slipstream/bench/_load.cpp
