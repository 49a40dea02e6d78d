# README's two commands are `make demo` and `make test`; both need only Python 3.11+ and a Rust toolchain.
PYTHON ?= python3
BIN := .venv/bin
SOURCES := pyproject.toml Cargo.toml Cargo.lock $(shell find rust -name '*.rs')

NIGHTLY := RUSTUP_TOOLCHAIN=nightly cargo
TARGETS := tables sequences groups resample permutations divergences

.PHONY: demo test test-statistics bench stubs docs lint sanitize fuzz emulate clean

demo: .venv/.demo
	$(BIN)/vestige demo

# Two processes with one thread each; the models of a session are made once in each of them. Files with few tests and
# much work stay where they are, in front: at the end one process would wait for the other.
test: .venv/.test
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

# The simulations of docs/statistics.md at 2,000 repetitions a cell; the gate runs their short form.
test-statistics: .venv/.test
	VESTIGE_STATISTICS_TABLE=docs/statistics.md $(BIN)/python -m pytest tests/statistics -m slow

# Peers reuse memory (with the default allocator they page-fault every temporary), and rounds take turns. Files are
# read into fresh memory, as people read them; models are scored for minutes, so once, warm.
bench: .venv/.bench
	for round in 1 2 3 4 5; do MALLOC_MMAP_THRESHOLD_=4294967296 MALLOC_TRIM_THRESHOLD_=4294967296 \
		MALLOC_TOP_PAD_=536870912 OMP_NUM_THREADS=1 $(BIN)/python -m pytest benches --benchmark-max-time=0.2 \
		--benchmark-min-rounds=1 --benchmark-warmup=on --benchmark-warmup-iterations=1 \
		--ignore=benches/bench_scoring.py --ignore=benches/bench_store.py \
		--benchmark-json=target/bench-$$round.json || exit 1; done
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest benches/bench_store.py --benchmark-json=target/bench-store.json
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest benches/bench_scoring.py --benchmark-json=target/bench-scoring.json
	$(BIN)/python benches/table.py target/bench-*.json

stubs: .venv/.test
	$(BIN)/maturin generate-stubs --profile stubs --features stubs --out python
	$(BIN)/ruff check -s --fix --exit-zero python/vestige/_rust.pyi && $(BIN)/ruff format -q python/vestige/_rust.pyi

docs: .venv/.test
	$(BIN)/python -c "from vestige.metrics import DISTANCES, METRICS; from vestige.report.catalogue import catalogue_markdown as text; print(text((*METRICS, *DISTANCES)), end='')" > docs/metrics.md
	$(BIN)/python -c "from vestige.report.fields import fields_markdown; print(fields_markdown(), end='')" > docs/report-fields.md

lint: .venv/.test
	$(BIN)/ruff check && $(BIN)/ruff format --check && $(BIN)/mypy && $(BIN)/lint-imports
	cargo fmt --check && cargo clippy --all-features --all-targets -- -D warnings

# Not in the gate: nightly Rust with miri and rust-src. Miri reports no CPU features but those it is told of.
sanitize:
	$(NIGHTLY) miri test --lib -- simd:: rows:: ragged:: sequence:: group::
	RUSTFLAGS="-C target-feature=+avx2,+fma" $(NIGHTLY) miri test --lib -- simd::tests
	RUSTFLAGS=-Zsanitizer=address $(NIGHTLY) test --lib --target x86_64-unknown-linux-gnu

# Not in the gate: nightly Rust, cargo-fuzz.
fuzz:
	for target in $(TARGETS); do $(NIGHTLY) fuzz run $$target -- -max_total_time=120 -max_len=600 || exit 1; done

# Not in the gate: the Rust tests on CPUs that this one is not.
emulate:
	.ci/emulate

# One stamp an extra: rebuilt when the manifests or the Rust sources change.
.venv/.%: $(SOURCES) | .venv
	if command -v uv >/dev/null; then uv pip install --python $(BIN)/python -e '.[$*]'; \
	else $(BIN)/python -m pip install -q --disable-pip-version-check --no-compile -e '.[$*]'; fi
	touch $@

.venv:
	if command -v uv >/dev/null; then uv venv --python $(PYTHON) .venv; else $(PYTHON) -m venv .venv; fi

clean:
	rm -rf .venv target runs
