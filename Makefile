# make demo | test | check | test-all | vm-test | bench | deb | rpm | format | clean      each does the set-up it needs
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PYTEST_ARGS ?=
PARTS ?=

.PHONY: help demo test test-all vm-test bench check deb rpm format clean

help: ## print this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

$(VENV)/installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "make: $(PYTHON) is older than Python 3.11; name another: make PYTHON=python3.12 ..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

demo: $(VENV)/installed ## a definition becomes a seed, on this machine, in a few seconds
	@$(BIN)/vmw-cloudinit-metadata demo

test: $(VENV)/installed ## the tests that need neither root nor Debian packages
	$(BIN)/pytest -m 'not system' $(PYTEST_ARGS)

test-all: $(VENV)/installed ## all tests: as root, with the Debian packages that .ci/run installs
	$(BIN)/pytest -m 'not vm' $(PYTEST_ARGS)

# It says how long each boot took, as it goes. What tests leave is disks: they are kept only where one has failed.
vm-test: $(VENV)/installed ## boot virtual machines with the packages installed: as root, 20 minutes, less the next time
	$(BIN)/pytest -m vm --log-cli-level=INFO -o tmp_path_retention_policy=failed $(PYTEST_ARGS)

bench: $(VENV)/installed ## how fast it is, beside what it should be: a few minutes, on a machine with nothing else to do
	$(BIN)/python -m tests.bench $(PARTS)

check: $(VENV)/installed ## formatting, lint, types
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy

format: $(VENV)/installed ## format and fix what ruff can
	$(BIN)/ruff check --fix --exit-zero --quiet
	$(BIN)/ruff format

deb: ## build the Debian packages into dist/, with Debian's tools and nothing from PyPI
	packaging/build-deb

rpm: ## build the rpm packages into dist/
	packaging/build-rpm

clean: ## remove what the targets above have made
	rm -rf $(VENV) .venv-* build dist .cache .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -prune -exec rm -rf {} +

include packaging/install.mk
