# `make` alone prints the targets. Everything that a target needs, it sets up by itself.
SHELL := /bin/sh
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ASSETS := src/muster/web/vendor/.ready
export MUSTER_IMAGES ?= $(CURDIR)/build/images
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help setup image image-arm64 demo test check lint unit e2e serve coverage schema format clean
.PHONY: test-boot test-arm64 bench-list bench-ingest bench-boot bench-collect bench-scripts bench-power bench-web bench-storm

help: ## Print the targets
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 22

setup: $(VENV)/.ready $(ASSETS) ## Install system packages and the Python environment

$(ASSETS): tools/web/package-lock.json tools/web-assets | $(VENV)/.ready
	tools/web-assets

$(VENV)/.ready: requirements-dev.lock pyproject.toml tools/system-packages
	tools/system-packages
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --require-hashes -r requirements-dev.lock
	$(BIN)/pip install --quiet --no-deps --no-build-isolation -e .
	touch $@

image: setup ## Build the ephemeral OS (once; 'make image' again returns at once)
	$(BIN)/muster image build --images $(MUSTER_IMAGES)

image-arm64: setup ## The same for arm64 machines; their programs are emulated, which takes long
	tools/system-packages arm64
	$(BIN)/muster image build --arch arm64 --images $(MUSTER_IMAGES)

demo: image ## Two virtual bare machines enlist themselves and become Ready
	$(BIN)/muster demo

test: check image ## Everything: check, then journeys with real virtual machines
	$(BIN)/pytest -q -n auto --hypothesis-profile=thorough -m "hypothesis and not e2e and not slow"
	MUSTER_TEST_REQUIRE=postgresql,image,lab,lxd,browser $(BIN)/pytest -q -n 2 --dist loadfile \
		-m "(e2e or image or slow) and not matrix"

check: setup lint unit ## Lint, types, contracts, unit tests: the inner loop

lint: setup
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/vulture

unit: setup
	MUSTER_TEST_REQUIRE=postgresql $(BIN)/pytest -q -n auto -m "not e2e and not image and not slow"

e2e: image ## Only the journeys with virtual machines
	MUSTER_TEST_REQUIRE=image,lab,lxd $(BIN)/pytest -q -m "e2e and not matrix"

test-boot: image ## Every firmware path, swift and cloud-init; media, relay, stock images, firmware
	MUSTER_TEST_REQUIRE=image,lab $(BIN)/pytest -q -n 2 --dist loadfile \
		tests/e2e/test_ways_to_start.py tests/e2e/test_medium.py \
		tests/e2e/test_stock_image.py tests/e2e/test_embedded_ipxe.py \
		tests/e2e/test_remote_rack.py tests/e2e/test_side_packages.py

test-arm64: image image-arm64 ## arm64 machines by UEFI PXE and HTTP, emulated
	MUSTER_TEST_REQUIRE=image,lab $(BIN)/pytest -q tests/e2e/test_arm64.py

serve: image ## A server on this machine, data in build/data (INTERFACE=eth1 DHCP=own ...)
	$(BIN)/muster serve --data build/data $(if $(INTERFACE),--interface $(INTERFACE)) \
		$(if $(DHCP),--dhcp $(DHCP))

bench-boot: image ## Seconds from power-on to each phase; the last line is JSON
	$(BIN)/python -m tests.bench.boot

bench-storm: image ## 1,000 machines are powered on within 10 s; the last line is JSON
	$(BIN)/python -m tests.bench.storm

bench-power: setup ## Polls and switches thousands of simulated BMCs; the last line is JSON
	$(BIN)/python -m tests.bench.power

bench-list: setup ## Lists of up to 100,000 machines, on both databases; the last line is JSON
	$(BIN)/python -m tests.bench.lists

bench-ingest: setup ## Thousands of simulated machines enlist themselves; the last line is JSON
	$(BIN)/python -m tests.bench.ingest

bench-collect: setup ## Our survey against LXD's on this machine; the last line is JSON
	$(BIN)/python -m tests.bench.collect

bench-web: setup ## Pages with 100,000 machines, 500 live pages, a 10 MB log; the last line is JSON
	$(BIN)/python -m tests.bench.web

coverage: setup ## Every line of collect and wire is run by their tests
	mkdir -p build
	$(BIN)/coverage run -m pytest -q tests/collect tests/wire
	$(BIN)/coverage report

schema: setup ## Write docs/resources.schema.json from the dataclasses
	$(BIN)/python -m muster.wire.schema > docs/resources.schema.json

bench-scripts: image ## The engine's own cost and a commissioning's time; the last line is JSON
	$(BIN)/python -m tests.bench.scripts

format: setup ## Format the code
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

clean: ## Remove what the other targets made here
	rm -rf build $(VENV) src/muster/web/vendor .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
