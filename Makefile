# `make` alone lists what there is. Each target prints the version of its tool first.

CARGO ?= cargo
TARGET = $(or $(CARGO_TARGET_DIR),target)

# What is selected decides which features its dependencies have, and each set of those is compiled anew: so one selection serves as often as it can.
ALL = --workspace --exclude aiowebsocket-python --exclude small --all-features
PYTHON_ALL = -p aiowebsocket-python --features for-tests
EXAMPLES = hyper axum reconnecting

.PHONY: help demo check lint test python python-test python-package examples loom soak icount icount-record conformance fuzz bench bench-quick bench-python bench-deflate miri docs deny

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## ten rounds of conversation with an echo server
	$(CARGO) run --release

check: ## the quick loop: format, lints, the machine alone, unit and spec cases, docs
	@$(CARGO) --version
	$(CARGO) fmt --all --check
	$(CARGO) fmt --manifest-path fuzz/Cargo.toml --check
	$(CARGO) clippy $(ALL) --all-targets -- -D warnings
	$(CARGO) clippy $(PYTHON_ALL) -- -D warnings
	$(CARGO) clippy -p aiowebsocket -- -D warnings
	$(CARGO) clippy -p aiowebsocket --no-default-features -- -D warnings
	$(CARGO) clippy -p aiowebsocket --no-default-features --features blocking,proxies -- -D warnings
	$(CARGO) clippy -p aiowebsocket --no-default-features --features tokio,redirects -- -D warnings
	$(CARGO) test -q $(ALL) --lib
	$(CARGO) test -q $(ALL) --test it -- spec cases tidy rfc translation
	$(CARGO) test -q -p small
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc -q $(ALL) --no-deps
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc -q $(PYTHON_ALL) --no-deps

lint: ## lints that check has no time for: the fuzz workspace, the extension by the limited API, the tests of the small client
	@$(CARGO) --version
	$(CARGO) clippy --manifest-path fuzz/Cargo.toml --all-targets -- -D warnings
	$(CARGO) clippy -p aiowebsocket-python --features abi3 -- -D warnings
	$(CARGO) clippy -p small --all-targets -- -D warnings

# Eight at a time whatever the cores: those of the tool wait for time limits more than they compute (71 s with two, 34 s with four, 18 s with eight).
test: ## everything that is tested (but of the CPythons before the newest one event loop each, and 3.11: python-test has them whole)
	@$(CARGO) --version
	peers/install & peers=$$!; conformance/install && wait $$peers
	python/test brief
	RUST_TEST_THREADS=8 $(CARGO) test $(ALL)
	$(CARGO) test --manifest-path fuzz/Cargo.toml --target-dir $(TARGET)
	for example in $(EXAMPLES); do $(TARGET)/debug/examples/$$example || exit 1; done
	$(TARGET)/debug/aiows

python-test: ## the tests of the Python package, on each CPython of 3.10 to 3.13 that is found
	@$(CARGO) --version
	python/test

python: ## the Python package, built and installed in .local/python for PYTHON (default python3)
	@$(CARGO) --version
	python/install $(PYTHON)

python-package: ## a wheel for each CPython and one for all, the source distribution, pip install of each, held to their limits; the tests on the one for all
	@$(CARGO) --version
	python/package
	python/test abi3

examples: ## servers of hyper and axum that upgrade to this library, and a client that comes back
	@$(CARGO) --version
	for example in $(EXAMPLES); do $(CARGO) run -q -p aiowebsocket --example $$example || exit 1; done

loom: ## the orders in which two halves and their stream can meet
	@$(CARGO) --version
	RUSTFLAGS="--cfg aiowebsocket_loom" $(CARGO) test -q --release --target-dir target/loom -p aiowebsocket \
		--no-default-features --features tokio --lib models

conformance: ## all of Autobahn's cases against each face; FACES=tokio-client for one (see conformance/README.md)
	@$(CARGO) --version
	conformance/install
	$(CARGO) run -q -p conformance -- $(FACES)

fuzz: ## each target for FUZZ_SECONDS (600), one after the other (needs cargo-fuzz)
	@$(CARGO) fuzz --version
	for target in parts frames request response address inflate deflate proxy tunnel pair tungstenite; do fuzz/run $$target $(FUZZ_SECONDS) || exit 1; done

soak: ## a server that is killed 50 times; a minute each of loss and of delay; references and memory of the Python package
	@$(CARGO) --version
	$(CARGO) test -q -p aiowebsocket --test it -- --ignored soak --nocapture
	bench/python/run soak

icount: ## instructions per message, against the goals and the record (needs valgrind)
	@valgrind --version
	$(CARGO) bench -q -p aiowebsocket --bench icount

icount-record: ## the same, and writes the record
	@valgrind --version
	$(CARGO) bench -q -p aiowebsocket --bench icount -- --record

bench-quick: ## this library, its peers and the floor, in some three minutes after building (see bench/README.md)
	@$(CARGO) --version
	bench/run quick

bench: ## every row and mode of the field, with latency, memory, footprints and charts, in half an hour
	@$(CARGO) --version
	bench/run full

bench-python: ## the Python package, its peers and floors, in under five minutes (see bench/python/README.md)
	@$(CARGO) --version
	bench/python/run quick

bench-deflate: ## what compression costs and gains, by level and by what a compressor knows
	@$(CARGO) --version
	$(CARGO) bench -q -p aiowebsocket --bench deflate

miri: ## the one line of unsafe code of the library under Miri, by what receives and sends text (needs the nightly toolchain's miri)
	@$(CARGO) +nightly miri --version
	MIRIFLAGS="-Zmiri-disable-isolation" $(CARGO) +nightly miri test -q --target-dir target/miri -p aiowebsocket \
		--no-default-features --features tokio,futures,deflate,proxies,redirects --test it -- client::streams

docs: ## the documentation as a browser shows it
	$(CARGO) doc $(ALL) --no-deps

deny: ## licences, bans and sources of the dependency tree (needs cargo-deny)
	@$(CARGO) deny --version
	$(CARGO) deny check bans licenses sources
