# Every verb sets up what it needs in .venv; a second run starts at once.
CONFIG ?= configs/dev.yaml
PYTHON ?= python3
BIN := .venv/bin

.PHONY: help serve test monitoring monitoring-test check format clean
.DEFAULT_GOAL := help

help:  ## list the verbs
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 20

serve: .venv/.serve  ## serve $(CONFIG) on this machine until Ctrl-C
	@exec $(BIN)/sentiment serve $(CONFIG)

test: .venv/.dev  ## run the tests
	@$(BIN)/pytest

monitoring: .venv/.dev  ## start Prometheus beside the running service until Ctrl-C
	@exec $(BIN)/python -m monitoring

monitoring-test: .venv/.dev  ## evaluate every panel and rule in a real Prometheus, on real load
	@$(BIN)/pytest -m monitoring -s tests/monitoring

check: .venv/.dev  ## lint, formatting and types
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy

format: .venv/.dev  ## put the code into its standard form
	@$(BIN)/ruff check --fix
	@$(BIN)/ruff format

clean:  ## remove .venv and all caches of tools
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info build

.venv/.serve: pyproject.toml constraints.txt
	@echo "installing into .venv, once (a few minutes) …"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[torch]'
	@touch $@

.venv/.dev: .venv/.serve
	@echo "installing the tools of development, once …"
	@$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@
