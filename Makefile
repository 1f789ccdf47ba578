# Two commands for a fresh machine: `make demo` and `make test`. `make help` lists the rest.
SHELL := /bin/bash
export RCR_CACHE ?= $(HOME)/.cache/rcr
PREFIX ?= /usr/local
CARGO ?= cargo
# Where cargo puts binaries: .cargo/config.toml names the target, so that they are static.
TRIPLE := $(shell rustc -vV 2>/dev/null | sed -n 's/^host: //p')
export CARGO_TARGET_DIR ?= $(CURDIR)/target
export RCR_BIN := $(CARGO_TARGET_DIR)/$(TRIPLE)/release

# The packages of what is installed; those of the tests are not among them.
PROGRAMS := rcr rcr-shim netd rcr-images rcr-registry rcr-web

.PHONY: help build build-test demo-image setup setup-test setup-bench setup-overlay demo demo-overlay test vm-test lint doc deny fuzz bench bench-images bench-many bench-names bench-overlay bench-packets bench-page bench-scale static install install-files uninstall clean images real-images compatibility

help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

setup: ## Install what building and the demo need
	@tests/setup.sh demo

setup-test: ## Install what the tests need
	@tests/setup.sh test

setup-bench:
	@tests/setup.sh bench

setup-overlay:
	@tests/setup.sh overlay

build: ## Build rcr and its helpers
	@# cargo counts the processors itself, whatever -j make has.
	MAKEFLAGS= $(CARGO) build --release --locked $(addprefix -p ,$(PROGRAMS)) --bins

build-test: ## Build all programs, those of the tests too
	$(CARGO) build --release --locked --workspace --bins

images: ## Make the root file systems of the demo's and the tests' images
	@test -s $(RCR_CACHE)/alpine.tar.gz || images/mkalpine
	@test -s $(RCR_CACHE)/nginx.image.tar || images/mknginx

real-images: ## Build images of real programs out of Debian's packages, for the tests
	@tests/real/build

compatibility: setup-test build-test images real-images ## Run the tests of real programs, and write docs/compatibility.md
	@$(RCR_BIN)/compatibility begin
	$(CARGO) nextest run --release --locked --workspace --no-fail-fast -E 'binary(real)'
	@$(RCR_BIN)/compatibility write

demo: setup ## Run the main job: two containers find each other by name, a published port answers
	@$(MAKE) --no-print-directory -j3 build images demo-image
	@tests/demo.sh

demo-image:
	@tests/real/build redis

demo-overlay: setup-overlay build images ## Show an overlay network over two hosts (namespaces on this kernel) with a real etcd
	@tests/demo-overlay.sh

test: setup-test ## Run all tests
	@tests/run.sh

vm-test: setup-test build images ## Run the lab: scenarios in small virtual machines with a stock Debian kernel
	@tests/vm/run

lint: ## Format and clippy, warnings as errors
	$(CARGO) fmt --all --check
	$(CARGO) clippy --release --locked --workspace --all-targets -- -D warnings

doc: ## Documentation of all crates, warnings as errors
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --release --locked --workspace --no-deps --document-private-items --quiet

deny: ## Licences, bans and sources of all dependencies
	@tests/deny.sh

fuzz: ## Fuzz what reads other people's bytes, ten minutes per target (FUZZ_SECONDS)
	@tests/fuzz.sh $(or $(FUZZ_SECONDS),600)

# All tables are kept in one file, of which `make bench-page` makes docs/benchmarks.md.
BENCH := BENCH_JSON=$(CARGO_TARGET_DIR)/bench.json $(CARGO) run --release --locked -p tests --bin bench

bench: setup-bench setup-test build images ## Measure everything against the floor and the peers (half an hour, idle machine)
	@rm -f $(CARGO_TARGET_DIR)/bench.json
	$(BENCH)
	$(BENCH) many
	$(BENCH) scale
	$(BENCH) names
	$(BENCH) packets
	$(BENCH) images

bench-page: ## Write docs/benchmarks.md and the README's table from what `make bench` has measured
	$(BENCH) page $(CARGO_TARGET_DIR)/bench.json

bench-many: build images ## Measure many containers: starts side by side, removal, listing, ports
	$(CARGO) run --release --locked -p tests --bin bench many

bench-images: setup-bench build images ## Measure unpacking a layer of many files beside tar, podman and skopeo
	$(CARGO) run --release --locked -p tests --bin bench images

bench-names: build images ## Measure how fast a container's name is answered, beside a bare loop
	$(CARGO) run --release --locked -p tests --bin bench names

bench-overlay: setup-test build images ## Measure overlay networks: throughput, names, a simulated cluster
	$(CARGO) run --release --locked -p tests --bin bench overlay

bench-packets: setup-test build images ## Measure connections, requests and throughput beside a bare veth pair and bridge
	$(CARGO) run --release --locked -p tests --bin bench packets

bench-scale: build images ## Measure what one more costs with many containers, networks and ports there
	$(CARGO) run --release --locked -p tests --bin bench scale

static: build images ## Put static programs and the demo's image into dist, for other machines
	@rm -rf dist
	@$(MAKE) -s install-files DESTDIR=$(CURDIR)/dist PREFIX=/usr/local
	@cp $(RCR_CACHE)/alpine.tar.gz dist/

install: build install-files ## Install into PREFIX, with units for systemd

install-files:
	install -D -m 755 -t $(DESTDIR)$(PREFIX)/bin $(RCR_BIN)/rcr
	install -D -m 755 -t $(DESTDIR)$(PREFIX)/libexec/rcr $(RCR_BIN)/rcr-shim $(RCR_BIN)/netd $(RCR_BIN)/rcr-unpack \
		$(RCR_BIN)/rcr-registry $(RCR_BIN)/rcr-web
	install -d $(DESTDIR)$(PREFIX)/lib/systemd/system
	for unit in netd rcr-boot; do sed 's|@PREFIX@|$(PREFIX)|' runtime/systemd/$$unit.service \
		> $(DESTDIR)$(PREFIX)/lib/systemd/system/$$unit.service; done
	install -d $(DESTDIR)$(PREFIX)/share/bash-completion/completions $(DESTDIR)$(PREFIX)/share/zsh/site-functions \
		$(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d
	$(RCR_BIN)/rcr completion bash > $(DESTDIR)$(PREFIX)/share/bash-completion/completions/rcr
	$(RCR_BIN)/rcr completion zsh > $(DESTDIR)$(PREFIX)/share/zsh/site-functions/_rcr
	$(RCR_BIN)/rcr completion fish > $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/rcr.fish
	$(RCR_BIN)/rcr manual $(DESTDIR)$(PREFIX)/share/man/man1

uninstall: ## Remove what install installed
	rm -f $(DESTDIR)$(PREFIX)/bin/rcr
	rm -rf $(DESTDIR)$(PREFIX)/libexec/rcr
	rm -f $(DESTDIR)$(PREFIX)/lib/systemd/system/{netd,rcr-boot}.service
	rm -f $(DESTDIR)$(PREFIX)/share/bash-completion/completions/rcr $(DESTDIR)$(PREFIX)/share/zsh/site-functions/_rcr \
		$(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/rcr.fish $(DESTDIR)$(PREFIX)/share/man/man1/rcr{,-*}.1

clean: ## Remove what was built
	$(CARGO) clean
