# Every target first runs scripts/setup with what it needs; that installs only what is missing.
# CARGO_TARGET_DIR, where it is set, is honoured throughout.

CARGO ?= cargo
SETUP := scripts/setup

# cargo-nextest where it is installed (it kills a test that hangs, see .config/nextest.toml), plain cargo test
# elsewhere; documentation tests are cargo test's in either case.
ifeq ($(shell command -v cargo-nextest),)
RUN_TESTS := $(CARGO) test --workspace --all-targets --no-fail-fast
else
RUN_TESTS := $(CARGO) nextest run --workspace --all-targets --no-fail-fast
endif

.PHONY: help demo test bench plugins lint fmt mutants
.DEFAULT_GOAL := help

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST)

demo: plugins ## rotate a real PostgreSQL role and a real API token under live traffic
	@$(SETUP) servers
	$(CARGO) run --package keybaton -- demo

# One build of the whole workspace first: built alone, the command line would take other features of its dependencies,
# and compile the large ones twice.
test: ## every test of the workspace, the plugins and the SDK
	@$(SETUP) plugins servers
	$(CARGO) build --workspace --all-targets
	KEYBATON_BUILT=1 scripts/components build
	$(RUN_TESTS)
	$(CARGO) test --workspace --doc --quiet
	scripts/components test

bench: plugins ## the benchmarks, as a table and as target/bench.json
	@$(SETUP) servers
	$(CARGO) run --release --package keybaton-bench

plugins: ## plugins and hostile guests as components, in target/components
	@$(SETUP) plugins
	scripts/components build

lint: ## formatting, clippy, licences and sources of dependencies
	@$(SETUP) plugins lint
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	scripts/components lint
	$(CARGO) deny --log-level error check bans licenses sources

# MUTANTS: more arguments, such as `-f host/crates/protocol/src/read/gate.rs`, `--iterate` or `--shard 1/4`.
mutants: ## mutations of the protocol, each of which must make a test fail
	@command -v cargo-mutants >/dev/null || { echo "cargo-mutants is missing: cargo install --locked cargo-mutants" >&2; exit 1; }
	RUST_BACKTRACE=0 $(CARGO) mutants --package keybaton-protocol --output target $(MUTANTS)

fmt: ## format everything
	@$(SETUP) plugins
	$(CARGO) fmt --all
	scripts/components fmt
