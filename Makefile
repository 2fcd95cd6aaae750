# Everything a newcomer, a developer and a build server need. `make help` lists it.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
ARGS   ?=

.PHONY: help install dev demo test check format conformance bench lock clean

help:            ## show this list
	@grep -hE '^[a-z]+: .*##|^[a-z]+:  +##' $(MAKEFILE_LIST) | sed -E 's/:.*## ?/\t/' | expand -t 16

install: $(VENV)/.installed      ## make .venv with the command `gatewright`

dev: $(VENV)/.installed-dev      ## the same, with everything that tests and checks need

$(VENV)/.installed: requirements/runtime.txt pyproject.toml scripts/install.sh
	@PYTHON="$(PYTHON)" sh scripts/install.sh $(VENV) requirements/runtime.txt
	@touch $@

$(VENV)/.installed-dev: requirements/dev.txt pyproject.toml scripts/install.sh
	@PYTHON="$(PYTHON)" sh scripts/install.sh $(VENV) requirements/dev.txt
	@touch $@ $(VENV)/.installed

demo: install    ## control planes, gateways and backend on this machine, both directions, step by step (ARGS=--once)
	@$(BIN)/gatewright demo $(ARGS)

test: dev        ## run all tests (ARGS="--long" adds the soak tests)
	@$(BIN)/pytest -n auto --dist loadfile $(ARGS)

check: dev       ## formatting, lint, types, layers
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@MYPYPATH=src:tests $(BIN)/mypy tests/conformance_ledger scripts/conformance.py
	@$(BIN)/lint-imports

format: dev      ## let ruff format and fix
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

conformance:     ## what of the references is covered, deviating, open (ARGS=--json)
	@$(MAKE) --no-print-directory dev >&2
	@$(BIN)/python scripts/conformance.py $(ARGS)

bench: dev       ## measure and write build/bench.json (ARGS=--quick)
	@$(BIN)/python -m bench $(ARGS)

lock: dev        ## resolve the locked dependencies anew
	@$(BIN)/pip install --quiet uv
	@$(BIN)/uv pip compile pyproject.toml --group build --quiet --no-header --no-annotate --generate-hashes --python-version 3.11 --upgrade -o requirements/runtime.txt
	@$(BIN)/uv pip compile pyproject.toml --group dev --quiet --no-header --no-annotate --generate-hashes --python-version 3.11 --upgrade -c requirements/runtime.txt -o requirements/dev.txt

clean:           ## remove the virtual environment and everything that was built
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
