# Each target works from a fresh clone and sets up its environment.

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
export PATH := $(CURDIR)/$(BIN):$(PATH)

# Docker before Podman, as the stages choose; ENGINE= names one.
ENGINE ?= $(shell for name in docker podman; do \
    $$name version >/dev/null 2>&1 && echo $$name && break; done)
BASE_IMAGE ?=
SERVE_BASE_IMAGE ?= $(BASE_IMAGE)
LOCK ?= train.lock
RUN ?= .
TORCH ?=
BUILD_OPTIONS ?=
TARGETS ?= serve train
# A notice of mkdocs-material's makers.
export NO_MKDOCS_2_WARNING := 1
# Podman's own format of images has no health check; Docker's old builder builds what nobody asks for.
export BUILDAH_FORMAT := docker
export DOCKER_BUILDKIT := 1

# The head of a lock names its command, by which Renovate makes it again (and wants equal signs).
COMPILE := uv pip compile --quiet --universal --generate-hashes --python-version=3.11
TRAIN := --extra=train --extra=remotes --extra=tensorboard --constraint=requirements.lock

.PHONY: help venv demo own repro repro-container image live test test-slow test-containers mutations check docs bench \
    tour format lock lock-cpu clean

##@ First steps
help: ## The targets
	@awk -F ':.*## ' '/^##@/ {print "\n" substr($$0, 5)} \
	    /^[a-z-]+:.*## / {printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(READY) ## The pipeline on the embedded digits, in .demo (2 minutes)
	@demo/run

# The shell expands no name in it: make passes both variables in the environment.
own: $(READY) ## The pipeline on your own images, IMAGES=FOLDER, in .own
	@python -m stages.own

venv: $(READY) ## The environment alone (TORCH=cpu: without CUDA), in .venv

##@ Train
repro: $(READY) ## The pipeline on params.yaml as it stands: dvc repro
	@python -m stages.runtime.recover
	dvc repro
	@python -m stages.gate --check

repro-container: ## The same in a container; needs Docker or Podman alone
	$(PYTHON) -m stages.runtime.container

image: ## The container images (TARGETS=serve: that one alone)
	$(if $(ENGINE),,$(error neither docker nor podman answers; install one, or start its service))
	revision=$$(git describe --always --abbrev=40 --exclude='*' --dirty 2>/dev/null || true); \
	digest=$$(sha256sum $(LOCK) | cut -d' ' -f1); \
	export SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct 2>/dev/null || echo 0); \
	for target in $(TARGETS); do \
	    name=alexnet-$$target; \
	    $(ENGINE) build $(if $(filter podman,$(ENGINE)),--timestamp=$$SOURCE_DATE_EPOCH) \
	        $(BUILD_OPTIONS) $(BASE_IMAGE:%=--build-arg=BASE_IMAGE=%) \
	        $(SERVE_BASE_IMAGE:%=--build-arg=SERVE_BASE_IMAGE=%) \
	        --build-arg=LOCK=$(LOCK) --build-arg=LOCK_DIGEST=$$digest \
	        --build-arg=REVISION=$$revision --target=$$target \
	        --tag=localhost/$${name%-train}:latest . || exit; \
	done

##@ Look into the network
live: $(READY) ## A page with the network at work (RUN=.demo); needs Node.js
	npm ci --silent --ignore-scripts --prefix docs/live
	cd $(RUN) && alexnet live

tour: $(READY) ## Run the tour and update its output
	python -m tour

##@ Develop (times on 2 cores)
check: $(READY) ## Format, lint, types, workflows, Dockerfile, texts
	ruff format --check .
	ruff check .
	mypy
	check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	check-jsonschema --builtin-schema vendor.gitlab-ci .gitlab-ci.yml
	check-jsonschema --builtin-schema vendor.renovate renovate.json
	zizmor --offline --quiet --persona=auditor .github/workflows
	hadolint Dockerfile
	python -m ci.prose
	mkdocs build --strict --quiet

docs: $(READY) ## The pages as a site, in site/
	mkdocs build --strict --quiet

test: $(READY) ## The quick tests (4 minutes)
	python -m pytest

test-slow: $(READY) ## The slow tests: pipelines, kills, browsers
	python -m pytest -m 'slow and not container'

test-containers: $(READY) ## The tests in the images that `make image` has built
	$(if $(filter command,$(origin ENGINE)),ENGINE=$(ENGINE)) python -m pytest -m container -n 0

mutations: $(READY) ## Mutation testing of the core (15 minutes)
	python -m tests.mutations

bench: $(READY) ## Speed against baselines: training, inference, data (an hour)
	@python -m stages.runtime.recover
	dvc repro preprocess
	python -m bench.training
	python -m bench.inference
	python -m bench.data

format: $(READY) ## Format the code
	ruff format .
	ruff check --fix .

lock: $(READY) ## Resolve pyproject.toml into requirements.lock and its parts
	command -v uv >/dev/null || pip install --quiet uv
	$(COMPILE) pyproject.toml image.in --all-extras --output-file=requirements.lock
	$(COMPILE) pyproject.toml $(TRAIN) --output-file=train.lock
	$(COMPILE) pyproject.toml --extra=serve --extra=sign --constraint=requirements.lock \
	    --output-file=serve.lock
	$(COMPILE) image.in --constraint=requirements.lock --output-file=image.lock

lock-cpu: $(READY) ## train-cpu.lock: PyTorch without CUDA, for `make image LOCK=`
	command -v uv >/dev/null || pip install --quiet uv
	$(COMPILE) pyproject.toml $(TRAIN) --torch-backend=cpu --output-file=train-cpu.lock
	sed -i "1i # train.lock $$(sha256sum train.lock | cut -d' ' -f1)" train-cpu.lock

clean: ## Remove .venv, .demo, site and caches; data and results stay
	rm -rf .venv .demo .cache site .mypy_cache .pytest_cache .ruff_cache build *.egg-info

# TORCH=cpu takes PyTorch without CUDA, from PyTorch's own index, in the lock's version; its hash
# is not in the lock.
PIP := $(BIN)/pip install --quiet --quiet --disable-pip-version-check --no-deps

# Only packages whose hashes are in the lock, which names them all: older versions of pip, asked to
# resolve it anew, stumble over extras. The project itself goes in as it is.
$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v <= (3, 13) else \
	    f"Python 3.11 to 3.13 is needed, {sys.executable} is {v[0]}.{v[1]}; name another by PYTHON=")'
	@echo "Installing what requirements.lock names into .venv, once: some minutes"
	@$(PYTHON) -m venv .venv
	@$(if $(TORCH),awk '/^[a-z]/ { cuda = $$0 ~ /^(torch|torchvision|triton|cuda-.*|nvidia-.*)==/ } !cuda' \
	    requirements.lock >.venv/requirements.lock)
	@$(PIP) --require-hashes -r $(if $(TORCH),.venv/)requirements.lock
	@$(if $(TORCH),$(PIP) uv && $(BIN)/uv pip install --quiet --python=$(BIN)/python --no-deps \
	    --torch-backend=$(TORCH) $$(sed -nE 's/^(torch|torchvision)(==[^ ]+).*/\1\2+$(TORCH)/p' requirements.lock))
	@$(PIP) --no-build-isolation --editable .
	@touch $@
