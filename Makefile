# Ringbook: `make demo` shows it, `make test` proves it, `make bench` measures it.
# One profile is tested, measured and shipped: release.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# What rustup or the installer put there, before what the shell knows.
export PATH := $(HOME)/.cargo/bin:$(PATH)
export CARGO_TARGET_DIR ?= $(CURDIR)/target

TOOLS := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/ringbook/tools
RINGBOOK := $(CARGO_TARGET_DIR)/release/ringbook
SPEECH := $(CARGO_TARGET_DIR)/speech
PURE := model sip media call routing switch crm

# Test programs of tests/tests that measure sound or time: alone on the machine, one after the other.
SERIAL := media three_voices parked waiting attendant crash demo archive linphone

.PHONY: help
help:
	@echo "make demo    install what is missing, build, and let virtual callers ring"
	@echo "make test    install what is missing, build, and run every test"
	@echo "make bench   build and measure: a table, and bench.json in the target folder"
	@echo "make long    the simulator with many more seeds"
	@echo "make lint    formatting, clippy, licences and sources of what we depend on"

.PHONY: demo
demo:
	tests/scripts/install.sh demo
	cargo build --release --locked -p ringbook
	tests/scripts/speech.sh "$(SPEECH)"
	RINGBOOK_SPEECH="$(SPEECH)" "$(RINGBOOK)" demo

.PHONY: test
test:
	tests/scripts/install.sh test
	cargo build --release --locked -p ringbook
	tests/scripts/speech.sh "$(SPEECH)"
	cargo test --release --locked --workspace --no-fail-fast --exclude tests
	cargo test --release --locked -p tests --no-fail-fast --lib --bins \
	  $(foreach file,$(filter-out $(SERIAL),$(basename $(notdir $(wildcard tests/tests/*.rs)))),--test $(file))
	cargo test --release --locked -p tests --no-fail-fast \
	  $(foreach file,$(SERIAL),--test $(file)) -- --test-threads=1

.PHONY: bench
bench:
	tests/scripts/install.sh bench
	cargo build --release --locked -p ringbook
	cargo run --release --locked -p tests --bin bench

.PHONY: long
long:
	tests/scripts/install.sh demo
	RINGBOOK_SEEDS="$${RINGBOOK_SEEDS:-20000}" cargo test --release --locked -p tests --test simulator

.PHONY: lint
lint:
	tests/scripts/install.sh lint
	cargo fmt --all --check
	cargo clippy --release --locked --workspace --all-targets -- -D warnings
	cargo clippy --release --locked --no-deps $(PURE:%=-p %) -- -D warnings -D clippy::iter_over_hash_type
	PATH="$(TOOLS)/bin:$$PATH" cargo-deny --locked check bans licenses sources --hide-inclusion-graph -A duplicate
