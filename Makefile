# The project's commands; `make help` lists them.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
RUNNER ?= subprocess
DEMO := demo
# Phantoms are learned faster than lungs.
DEMO_OPTIONS := --backbone small --epochs 20 --pruning-epochs 8
IMAGES := ingest preprocess train predict dicom
REGISTRY ?= lung-ultrasound-pipeline
TAG ?= 0.1.0
REVISION := $(shell git rev-parse HEAD)
# For example BUILD_OPTIONS="--build-arg TRAIN_LOCK=train-cuda --label org.opencontainers.image.source=https://…"
BUILD_OPTIONS ?=
BUILD := docker build --file docker/Dockerfile --build-arg REVISION=$(REVISION) \
	--label org.opencontainers.image.revision=$(REVISION) --label org.opencontainers.image.version=$(TAG) $(BUILD_OPTIONS)
COMPILE := $(BIN)/uv pip compile --quiet --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header

.PHONY: help setup demo test test-fast test-cluster test-docker test-prism smoke-cluster lint format docs lock images clean

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-13s %s\n", $$1, $$2}'

setup: $(VENV)/.installed ## Make .venv from the lock file (the other commands do it by themselves)

$(VENV)/.installed: docker/locks/dev.txt docker/locks/uv.txt setup.py
	@command -v $(PYTHON) >/dev/null || { echo "error: $(PYTHON) is not installed; install Python 3.11, or name it: make PYTHON=/path/to/python3.11"; exit 2; }
	$(PYTHON) -m venv --clear $(VENV) || { echo "error: $(PYTHON) cannot make virtual environments; on Debian: apt-get install python3-venv"; exit 2; }
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r docker/locks/uv.txt
	$(BIN)/uv pip sync --quiet --python $(BIN)/python --require-hashes docker/locks/dev.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

demo: $(VENV)/.installed ## Run the whole pipeline on generated phantom videos (RUNNER=docker for containers)
	$(BIN)/python -m components phantoms --destination $(DEMO)/phantoms --output-folder $(DEMO)/phantoms-step
	$(BIN)/lus run --manifest $(DEMO)/phantoms/manifest.csv --storage $(DEMO)/storage --runner $(RUNNER) $(DEMO_OPTIONS)

# Two tests at a time: most wait for a process that they have started.
test: $(VENV)/.installed ## Run all tests that this machine can run, but for the long ones of test-cluster and test-docker
	$(BIN)/pytest -m "not ((cluster or docker) and slow)" --numprocesses 2 --no-loadscope-reorder --durations=30

test-fast: $(VENV)/.installed ## Run the tests that take seconds
	$(BIN)/pytest -m "not slow and not docker and not cluster and not real_data and not browser"

test-cluster: $(VENV)/.installed ## Run the tests on a real Kubeflow Pipelines, which takes an hour (LUS_KUBEFLOW is the tool that starts one)
	$(BIN)/pytest tests/cluster

test-docker: $(VENV)/.installed ## Run all tests of the images and of the pipelines in containers
	$(BIN)/pytest -m docker

test-prism: $(VENV)/.installed ## Run preprocess on Beam's Prism runner and worker processes that share only an object store (needs Go)
	GOBIN=$(CURDIR)/build/prism go install github.com/apache/beam/sdks/v2/go/cmd/prism@v$$($(BIN)/python -c 'import apache_beam; print(apache_beam.__version__)')
	PATH=$(CURDIR)/build/prism:$$PATH $(BIN)/pytest tests/preprocess/test_portable_runners.py

smoke-cluster: $(VENV)/.installed ## Try submit, runs and schedule on your own cluster: HOST=https://… ARGUMENTS="-p manifest=… -p storage=…"
	@test -n "$(HOST)" || { echo "error: say where: make smoke-cluster HOST=https://… ARGUMENTS='-p manifest=gs://… -p storage=gs://… --resources FILE'"; exit 2; }
	KF_PIPELINES_ENDPOINT=$(HOST) $(BIN)/python -m tests.pipelines.smoke_cluster $(ARGUMENTS)

lint: $(VENV)/.installed ## Check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.installed ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/.installed ## Build the documentation into build/docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict --site-dir build/docs

lock: $(VENV)/.installed ## Resolve the lock files again, to the newest versions that work together
	$(COMPILE) setup.py --upgrade --extra dev -o docker/locks/dev.txt
	for extra in $(IMAGES) train-cuda; do $(COMPILE) setup.py --extra $$extra -c docker/locks/dev.txt -o docker/locks/$$extra.txt || exit 1; done
	$(COMPILE) docker/locks/tensorflow-io.in --upgrade -o docker/locks/tensorflow-io.txt
	grep -A 100 '^uv==' docker/locks/dev.txt | awk 'NR == 1 || /^ / {print; next} {exit}' > docker/locks/uv.txt

images: ## Build the container images
	for image in $(IMAGES); do $(BUILD) --target $$image --tag $(REGISTRY)/$$image:$(TAG) . || exit 1; done

clean: ## Delete what the commands made, the environment included
	rm -rf $(VENV) $(DEMO) build dist outputs *.egg-info .pytest_cache .mypy_cache .ruff_cache
