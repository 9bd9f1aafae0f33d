# One command for each thing a newcomer wants to do. `make help` lists them.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
CARGO ?= cargo
BENCH_ARGS ?=
# Tests of whole programs mostly wait for them: four at once, however few processors there are.
export RUST_TEST_THREADS ?= $(shell n=$$(nproc); echo $$((n < 4 ? 4 : n)))

.PHONY: help demo test unit searches programs watching acme console coverage house crash-points torture chaos clients front-clients front-scan hosts upgrade-from mutations fuzz conformance providers soak miri tsan valgrind proof bench check deps api-fuzz grpc release-pgo deb rpm man systemd-test

help: ## list the targets
	@echo "targets:"
	@awk -F ':.*## ' '/^[a-z -]+:.*## / { printf "  make %-19s%s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## build tpp, run it in front of a stand-in server, send requests through it
	@packaging/install-deps.sh build demo
	$(CARGO) build --workspace --locked
	packaging/demo.sh

# Crash points step through the pool's moves one instruction at a time; unoptimized they have ten times as many.
OPTIMIZED := --config 'profile.test.package.tpp.opt-level = 2'

test: ## run every test
	@packaging/install-deps.sh build
	$(CARGO) test $(OPTIMIZED) --workspace --locked --no-fail-fast

# All states of small worlds of hosts: a minute. `make proof` has them.
SEARCHES := core::tests::small_worlds core::tests::float core::tests::formats::no_host_is_shut_out

unit: ## run the tests that need no process of their own: seconds, once they are built
	@packaging/install-deps.sh build
	$(CARGO) test --workspace --locked --no-fail-fast --lib --bins -- $(SEARCHES:%=--skip %)

searches: ## search all states of small worlds of hosts
	$(CARGO) test --workspace --locked --no-fail-fast --lib -- $(SEARCHES)

# What `make proof` runs for longer.
PROVED := chaos crash_points torture
OF_PROGRAMS = $(CARGO) metadata --no-deps --offline --locked --format-version 1 | python3 -c 'import json, sys; \
	tests = {target["name"] for package in json.load(sys.stdin)["packages"] for target in package["targets"] if "test" in target["kind"]}; \
	left_out = set("$(PROVED)".split()); assert left_out < tests; print(*(f"--test {name}" for name in sorted(tests - left_out)))'

programs: ## run the tests that `make unit` does not, but for crash points, torture and chaos: `make proof` has them
	@packaging/install-deps.sh build
	$(CARGO) build --workspace --locked --bins
	tests=$$($(OF_PROGRAMS)); $(CARGO) test --workspace --locked --no-fail-fast $$tests

watching: ## each packaged alert in a real Prometheus, before a tpp that is driven into its state
	@packaging/install-deps.sh build watching
	$(CARGO) build --workspace --locked --bins
	$(CARGO) test --workspace --locked --test watching -- --ignored

acme: ## certificates from a real ACME server, Debian's pebble, on loopback (two minutes)
	@packaging/install-deps.sh build acme
	$(CARGO) build --workspace --locked --bins
	$(CARGO) test --workspace --locked --test acme -- --ignored

console: ## the console in real Chromium, before a tpp with a queue (SHOTS=DIRECTORY: with pictures)
	@packaging/install-deps.sh build console
	$(CARGO) build --workspace --locked --bins
	proof/console.py $(if $(SHOTS),--screenshots $(SHOTS))

house: ## no file too long, no circle between files or folders, unsafe code in its rooms alone; each promise has its tests
	proof/house.py
	proof/promises.py

coverage: ## lines covered by the tests, room by room (PROGRAMS=1: with the whole programs, minutes)
	@packaging/install-deps.sh build
	proof/coverage.sh $(if $(PROGRAMS),--programs)

crash-points: ## kill a process at every instruction of each move of the pool (minutes; EVERY=4000: of moves that are no longer)
	TPP_EVERY_CRASH_POINT=$(or $(EVERY),1) $(CARGO) test $(OPTIMIZED) --workspace --locked --test crash_points

torture: ## lease at random while processes are killed and stopped (SECS=60)
	TPP_TORTURE_SECS=$(or $(SECS),60) $(CARGO) test --workspace --locked --test torture

chaos: ## real processes and all faults at random, judged (SECS=60, SEED=1)
	$(CARGO) build --workspace --locked --bins
	TPP_CHAOS_SECS=$(or $(SECS),60) TPP_TEST_SEED=$(or $(SEED),1) $(CARGO) test --workspace --locked --test chaos

miri tsan valgrind: ## the pool's tests under that tool
	proof/memory.sh $@

proof: ## all proofs of the lease, one table (SECS=60 for torture and chaos each)
	proof/run.sh

mutations: ## weaken each ordering of the pool in turn: a model must fail (half an hour; ONLY=REGEX)
	proof/mutations.sh $(if $(ONLY),'$(ONLY)')

fuzz: ## fuzz each target (SECS=600 each, TARGET=one of them)
	proof/fuzz.sh $(or $(SECS),600) $(TARGET)

conformance: ## an HTTP client's own test suite, directly and through tpp: same outcomes
	$(CARGO) build --workspace --locked
	proof/conformance.sh

api-fuzz: ## the management API against its own description (PyPI's schemathesis; TPP_FUZZ_EXAMPLES=25, TPP_FUZZ_SECONDS=300)
	$(CARGO) build --workspace --locked
	proof/api-fuzz.py

grpc: ## gRPC through tpp, with Google's own client and server (PyPI's grpcio)
	$(CARGO) build --workspace --locked
	proof/grpc-calls.py

providers: ## OAuth 2.0 against a real authorization server (npm's oidc-provider)
	$(CARGO) build --workspace --locked
	proof/providers.sh

front-clients: ## TLS and HTTP/2 before clients that people have: curl, Python, Node, Java, Go, nghttp, openssl, Chromium (ONLY=curl)
	-@packaging/install-deps.sh front
	$(CARGO) build --workspace --locked
	proof/front-clients.py $(if $(ONLY),--only=$(ONLY))

front-scan: ## what testssl.sh finds weak in the front door (minutes)
	@packaging/install-deps.sh front-scan
	$(CARGO) build --workspace --locked
	proof/front-clients.py --scan

hosts: ## many hosts over three real etcd: partitions, crashes, stops, restores, judged (SECS=60 SEED=1; PLANT=all: wrongs on purpose; NUMBERS=1; EARLIER=FILE: upgraded from that tpp)
	@packaging/install-deps.sh build hosts
	$(CARGO) build $(if $(NUMBERS),--release) --workspace --locked --bins
	proof/hosts/main.py --secs=$(or $(SECS),60) --seed=$(or $(SEED),1) $(if $(PLANT),--plant=$(PLANT)) $(if $(EARLIER),--earlier=$(EARLIER)) $(if $(NUMBERS),--numbers target/release/tpp)

upgrade-from: ## an older tpp is replaced in place by this one: no request fails, and what can be read is kept (REV=COMMIT; minutes)
	@packaging/install-deps.sh build
	$(CARGO) build --workspace --locked --bins
	proof/upgrade-from.py $(REV)

clients: ## real HTTP clients with more connections than there are tokens (Python, Node, Java, Go, ab: those that are there; REQUESTS=2000)
	$(CARGO) build $(if $(FAST),,--release) --locked -p tpp-program --bin tpp
	python3 tests/clients/measure.py --requests $(or $(REQUESTS),2000) target/$(if $(FAST),debug,release) $(CLIENTS)

soak: ## a steady load for long: memory, descriptors, counters (SECS=1200 RATE=2000)
	$(CARGO) build --release --locked -p tpp-program --bin tpp
	TPP_TEST_EXECUTABLE=$(CURDIR)/target/release/tpp TPP_SOAK_SECS=$(or $(SECS),1200) TPP_SOAK_RATE=$(or $(RATE),2000) \
		$(CARGO) test --workspace --locked --test soak

bench: ## measure tpp, nginx and HAProxy side by side (QUICK=1: below a minute; PGO=1: as the packages have it, target/pgo/tpp, beside the plain build)
	@packaging/install-deps.sh build bench
	$(CARGO) build --release --locked -p tpp-program --bin tpp
	$(if $(filter 1,$(PGO)),[ -x target/pgo/tpp ] || packaging/release-pgo.sh)
	$(CARGO) bench --locked --bench pool
	$(CARGO) bench --locked --bench compare -- $(if $(QUICK),--quick) $(if $(filter 1,$(PGO)),--tpp target/pgo/tpp --tpp target/release/tpp) $(BENCH_ARGS)

release-pgo: ## build target/pgo/tpp, guided by a profile of its own work
	packaging/release-pgo.sh

# A package is what people run for long: it is guided by a profile of its own work, though that takes three builds.
GUIDED = $(if $(filter 0,$(PGO))$(FAST),,--guided)

deb: ## build target/packages/tpp_*.deb (PGO=0: without a profile, the same bit for bit; FAST=1: unoptimized, to try the packaging)
	@packaging/install-deps.sh build deb
	packaging/packages.sh $(if $(FAST),--fast) $(GUIDED) deb

rpm: ## build target/packages/tpp-*.rpm (PGO=0, FAST=1: as for deb)
	@packaging/install-deps.sh build rpm
	packaging/packages.sh $(if $(FAST),--fast) $(GUIDED) rpm

man: ## make the manual pages and shell completions, in target/generated
	@packaging/install-deps.sh build
	packaging/packages.sh pages

systemd-test: ## try the package under a real systemd (as root; SUITE=trixie for a newer one)
	@packaging/install-deps.sh build deb systemd-test
	packaging/systemd-test.sh $(SUITE)

check: ## run all that a change must pass, the tests included
	.ci/run

deps: ## install what building, the demo and the measurements need
	packaging/install-deps.sh build demo bench
