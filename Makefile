# Two commands do all the set-up: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: demo test check docs clean

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

$(VENV)/.installed-docs: $(VENV)/.installed
	$(PIP) --editable '.[docs]'
	@touch $@

check: $(VENV)/.installed-dev
	$(BIN)/ruff format --check src tests docs
	$(BIN)/ruff check src tests docs
	$(BIN)/mypy

# On a busy machine threads that wait for each other in a loop take the processors from those they wait for.
test: check
	OMP_WAIT_POLICY=PASSIVE $(BIN)/python -m pytest -m "not slow"

# Any warning fails the build: a broken link, a page that is in no menu, a name that is not documented. The theme's notice
# of its own end of life is none of ours.
docs: $(VENV)/.installed-docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

clean:
	rm -rf $(VENV) site build src/dunwu.egg-info
