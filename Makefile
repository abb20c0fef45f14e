# make tead    a virtual environment, the package, and a TEAD in out/tead
# make test    the same environment with the test tools, and the tests
# make check   formatting, lint, types, tests: all of CI
# make fuzz    the property tests, on examples that were not tried before
# make types   mypy in strict mode
# make wheel   the built wheel, alone in an environment: every module imports

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
SOURCES := pyproject.toml constraints.txt

.PHONY: tead test fuzz check lint types wheel clean

tead: $(VENV)/.installed
	$(BIN)/expclip tead build --out out/tead

test: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -n 2 --dist worksteal

fuzz: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -n 2 --dist worksteal -m hypothesis --hypothesis-profile=default

check: lint types wheel test

lint: $(VENV)/.installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

# Type checkers do not follow the editable import hook: show them the folders as links.
types: $(VENV)/.installed-dev
	@mkdir -p .types/expclip
	@for folder in face tead mead3d beat_loader models benchmarks cli; do \
	  if [ -f $$folder/__init__.py ]; then ln -sfn ../../$$folder .types/expclip/$$folder; fi; done
	$(BIN)/mypy

wheel: $(VENV)/.installed-dev
	rm -rf build dist
	$(PIP) wheel --no-deps --wheel-dir dist .
	$(BIN)/python tests/wheel.py dist/*.whl

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(VENV)/bin/python $(SOURCES)
	$(PIP) install --constraint constraints.txt --editable .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(PIP) install --constraint constraints.txt --editable '.[dev]'
	@touch $@

clean:
	rm -rf $(VENV) .types .pytest_cache .mypy_cache .ruff_cache .hypothesis build *.egg-info
