# Two commands do all the set-up: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: demo test check clean

# The demo needs only the default dependencies; the tests need the development extra as well.
$(VENV)/.installed: pyproject.toml constraints.txt
	@echo "installing into $(VENV) ..."
	@start=$$(date +%s) && $(PYTHON) -m venv $(VENV) && $(PIP) --editable . && echo "installed in $$(($$(date +%s) - start)) s"
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(PIP) --editable '.[dev]'
	@touch $@

# A demo that was stopped goes on where it stood.
demo: $(VENV)/.installed
	$(BIN)/dunwu run recipes/nano/r1-zero.toml --out runs/demo $(if $(wildcard runs/demo/manifest.json),--resume)

check: $(VENV)/.installed-dev
	$(BIN)/ruff format --check src tests
	$(BIN)/ruff check src tests
	$(BIN)/mypy

# On a busy machine threads that wait for each other in a loop take the processors from those they wait for.
test: check
	OMP_WAIT_POLICY=PASSIVE $(BIN)/python -m pytest -m "not slow"

clean:
	rm -rf $(VENV) build src/dunwu.egg-info
