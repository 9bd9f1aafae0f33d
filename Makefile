# One command for each thing a newcomer wants to do. `make help` lists them.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
CARGO ?= cargo
BENCH_ARGS ?=

.PHONY: help demo test bench check deps release-pgo

help: ## list the targets
	@echo "targets:"
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s%s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## build tpp, run it in front of a stand-in server, send requests through it
	@packaging/install-deps.sh build demo
	$(CARGO) build --workspace --locked
	packaging/demo.sh

test: ## run every test
	@packaging/install-deps.sh build
	$(CARGO) test --workspace --locked --no-fail-fast

bench: ## measure tpp, nginx and HAProxy side by side (QUICK=1: below a minute)
	@packaging/install-deps.sh build bench
	$(CARGO) build --release --locked -p tpp-supervisor --bin tpp
	$(CARGO) bench --locked --bench pool
	$(CARGO) bench --locked --bench compare -- $(if $(QUICK),--quick) $(BENCH_ARGS)

release-pgo: ## build target/pgo/tpp, guided by a profile of its own work
	packaging/release-pgo.sh

check: ## run all that a change must pass, the tests included
	.ci/run

deps: ## install what building, the demo and the measurements need
	packaging/install-deps.sh build demo bench
