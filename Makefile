# Everything happens in a virtual environment of its own; `make serve` and `make test` work on a fresh clone.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PORT ?= 4222
STORE ?= .store
SOURCES := pyproject.toml setup.py $(shell find src \( -name '*.py' -o -name '*.py[xi]' -o -name '*.pxi' -o -name '*.[hc]pp' -o -name '*.json' \) ! -name _kernel.cpp ! -name _load.cpp)
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check

.PHONY: serve test lint bench dev tools sanitize sanitize-threads fuzz clean

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "slipstream needs Python 3.11 or newer; name one with: make PYTHON=python3.12 ..." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null \
	  || { echo "slipstream needs Python's venv module (Debian: apt-get install python3-venv)" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

# Builds in isolation: pip fetches what the build needs and compiles the kernel. What an earlier build left is removed
# first, because modules that were deleted since would be packed again.
build/wheel/.built: $(SOURCES) | $(BIN)/python
	@echo "Building Slipstream; its kernel takes a minute to compile ..."
	@rm -rf build/wheel build/lib* build/bdist*
	$(PIP) wheel --no-deps --wheel-dir build/wheel .
	@touch $@

$(VENV)/.installed: build/wheel/.built | $(BIN)/python
	$(PIP) install --force-reinstall --no-deps build/wheel/*.whl
	$(PIP) install build/wheel/*.whl
	@touch $@

# What tests and linters need besides: who only wants the server does not have to fetch it.
$(VENV)/.tested: $(VENV)/.installed
	$(PIP) install "$$(echo build/wheel/*.whl)[test,lint]"
	@touch $@

serve: $(VENV)/.installed
	@exec $(BIN)/slipstream serve --port $(PORT) --store $(STORE)

test: $(VENV)/.tested
	@$(BIN)/python -m pytest

lint: $(VENV)/.tested
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/.tested
	$(BIN)/python bench/compare.py

tools:
	tools/install_tools.sh

# For work on the kernel: compiles in place (with ccache where it is installed).
dev: | $(BIN)/python
	$(PIP) install 'setuptools>=77' 'Cython>=3.1,<4' msgspec bcrypt
	CC="$$(command -v ccache) gcc" CXX="$$(command -v ccache) g++" $(BIN)/python setup.py --quiet build_ext --inplace

# The kernel with sanitizers, apart from the one that is installed; .ci/run does the same with less.
TESTS ?= tests/kernel tests/storage tests/crash
SECONDS_EACH ?= 60
sanitize: $(VENV)/.tested
	PYTHON=$(BIN)/python tests/fuzz/run_sanitized.sh $(TESTS)

sanitize-threads: $(VENV)/.tested
	PYTHON=$(BIN)/python tests/fuzz/run_thread_sanitized.sh $(SECONDS_EACH)

# Coverage-guided fuzzing of the kernel's parsers and recoveries and of Python's entries, then hostile clients; each for SECONDS_EACH.
fuzz: $(VENV)/.tested
	tests/fuzz/run_coverage_guided.sh $(SECONDS_EACH)
	$(BIN)/python tests/fuzz/python_entries.py --seconds $(SECONDS_EACH)
	$(BIN)/python tests/fuzz/hostile_fuzzer.py --seconds $(SECONDS_EACH)

clean:
	rm -rf $(VENV) .tools build src/*.egg-info src/slipstream/kernel/_kernel.cpp src/slipstream/bench/_load.cpp
