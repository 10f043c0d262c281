# What people do here. `./justw RECIPE` fetches `just` first when it is missing.

set positional-arguments

root := justfile_directory()
host_target := env('CARGO_TARGET_DIR', root / 'target')

# List the recipes
default:
    @{{ just_executable() }} --list --unsorted

# Build all components (WASM_TOOLCHAIN names a rustup toolchain that has the wasm target)
build: _wasm
    scripts/components.sh

# Build one component
component NAME: _wasm
    scripts/components.sh "$1"

# Run a manifest: just run manifests/shop.toml
[no-cd]
run MANIFEST *ARGS: _compiler
    cargo run --manifest-path '{{ root }}/Cargo.toml' -p host -- run "$@"

# Start the shop, show it with curl, keep it running until ctrl-C (--once: stop after the tour)
[no-exit-message]
demo *ARGS: setup _wasm
    scripts/components.sh users products orders notifications
    cargo build -p host
    scripts/demo.sh '{{ host_target }}/debug/archipel' "$@"

# Start the shop, go through it with curl, request by request, and stop it
[no-exit-message]
tour: (demo '--once')

# Build the guests of other languages and sdks: Python, JavaScript and Spin with their own tools, TypeScript with ours
foreign: _wasm engine
    scripts/setup.sh foreign
    scripts/foreign.sh

# Build the quick engine for services in TypeScript (clang compiles its C for WebAssembly)
engine: _compiler
    scripts/setup.sh engine
    scripts/engine.sh

# Run every test against real servers, then the demo once (OPTIONS: of cargo)
test *OPTIONS: setup build foreign
    scripts/setup.sh pooler prometheus receiver balancer names registry clients consul
    cargo "$@" test --workspace # always all: for some of the packages cargo builds what they use again, with other features
    ARCHIPEL_USERS=typescript cargo "$@" test --workspace --test e2e -- users:: accounts::
    ARCHIPEL_ENGINE=quick ARCHIPEL_USERS=typescript cargo "$@" test --workspace --test e2e -- users:: accounts:: profile:: openapi:: typescript::
    {{ just_executable() }} doors "$@"
    cd components && cargo test --workspace --target-dir target
    scripts/deploy.sh
    scripts/openapi.sh '{{ host_target }}/debug/archipel'
    scripts/demo.sh '{{ host_target }}/debug/archipel' --once

# Hold compose.yaml, the objects of Kubernetes and the units of systemd to their formats and to the shop's manifest
deployments:
    scripts/deploy.sh

# Run the tests of guests' behaviours again, with guests behind the quick door (docs/http.md; OPTIONS: of cargo)
doors *OPTIONS:
    ARCHIPEL_DOOR=quick cargo "$@" test --workspace --test e2e -- edge:: bounds:: calls:: serving:: gather::

# Hold the running shop to its OpenAPI document: just openapi 300 (seconds)
openapi SECONDS='45': setup build
    cargo build -p host
    scripts/openapi.sh '{{ host_target }}/debug/archipel' "$1"

# Kill the host that often while orders are placed, and look what is left: just crash 50
crash COUNT='50': build
    ARCHIPEL_CRASHES="$1" cargo test --workspace --test e2e crash:: -- --nocapture

# Check formatting, run clippy on everything, shellcheck where it is installed
lint: _linters _fmt-check
    cargo clippy --workspace --all-targets -- -D warnings
    {{ just_executable() }} _lint-guests

_lint-guests:
    cd components && cargo clippy --workspace --all-targets --target-dir target -- -D warnings
    scripts/setup.sh engine
    scripts/engine.sh clippy
    scripts/lint-shell.sh

# What is where: every source file and what it is for (just map crates/grant: some)
map *PART:
    @scripts/map.sh "$@"

# Format all code
fmt: _linters
    cargo fmt --all
    cd components && cargo fmt --all
    cd sdk/quick && cargo fmt

# Measure beside peers: just bench all, hello, gateway, shop, orders, scale, swap (release build; options: just bench hello --help)
bench WHAT *ARGS: _compiler build
    cargo build --release -p host -p bench
    '{{ host_target }}/release/bench' "$@"

# Install the peers that `just bench` compares us with, under target/peers where they are no system packages
bench-peers:
    scripts/setup.sh peers

# See where the host's time goes: just profile hello, hello-fresh, user, create, profile, order (a release build with frame pointers, perf)
profile WHAT='hello': _compiler build
    RUSTFLAGS='-C force-frame-pointers=yes' cargo build --release --target-dir '{{ host_target }}/frames' -p host -p bench
    scripts/profile.sh '{{ host_target }}/frames/release/archipel' '{{ host_target }}/frames/release/bench' "$1"

# Try nonsense for a while: just fuzz 600 (seconds each: SQL statements, numbers and arrays of PostgreSQL, schedules of events on several hosts, URLs beside the WHATWG's standard, the HTTP/1 reader; that one needs a nightly compiler and cargo-fuzz)
fuzz SECONDS='60': (_fuzz-statements SECONDS) (_fuzz-decoding SECONDS) (_fuzz-schedules SECONDS) (_fuzz-urls SECONDS) (_fuzz-http SECONDS)

_fuzz-statements SECONDS:
    ARCHIPEL_FUZZ_SECONDS="$1" cargo test -p backend fuzz:: -- --nocapture

_fuzz-decoding SECONDS:
    ARCHIPEL_FUZZ_SECONDS="$1" cargo test -p backend decoding:: -- --nocapture

_fuzz-urls SECONDS:
    ARCHIPEL_FUZZ_SECONDS="$1" cargo test -p grant whatwg:: -- --nocapture

_fuzz-schedules SECONDS:
    ARCHIPEL_FUZZ_SECONDS="$1" cargo test -p backend schedule:: -- --nocapture

_fuzz-http SECONDS: _fuzzers
    cd gateway && cargo +nightly fuzz run framing -- -max_total_time="$1" -max_len=4096
    cd gateway && mkdir -p fuzz/corpus/framing_then_hyper && cargo +nightly fuzz run framing_then_hyper fuzz/corpus/framing_then_hyper fuzz/corpus/framing -- -max_total_time="$1" -max_len=2048

# Build the host's release binary; its symbols lie beside it, in a file of their own
release: _compiler
    cargo build --release -p host
    scripts/strip.sh '{{ host_target }}/release/archipel' '{{ host_target }}/release/stripped'
    @echo '{{ host_target }}/release/stripped/archipel'

# Make a Debian package of the release binary, in target/deb
deb: release engine
    scripts/deb.sh '{{ host_target }}/release/archipel' '{{ host_target }}/deb'

# Refuse banned crates; licences and sources too where cargo-deny is installed
deny:
    scripts/deny.sh

# What CI runs; if this passes here, it passes there. Clippy looks at the host while its tests are built: all is compiled once
ci: setup _fmt-check _lint-guests deny
    CARGO_INCREMENTAL=0 CARGO_PROFILE_DEV_CODEGEN_UNITS=1 CLIPPY_ARGS='-D__CLIPPY_HACKERY__warnings' {{ just_executable() }} test --config 'build.rustc-workspace-wrapper="clippy-driver"'

# Install what is missing: wasm target, C compiler, PostgreSQL, Redis, curl (--dry-run: only say)
setup *ARGS:
    scripts/setup.sh all "$@"

_wasm:
    scripts/setup.sh wasm

_compiler:
    scripts/setup.sh compiler

_linters:
    scripts/setup.sh linters

_fuzzers:
    @cargo +nightly --version >/dev/null 2>&1 || { echo 'just fuzz needs a nightly compiler: rustup toolchain install nightly' >&2; exit 1; }
    @cargo fuzz --version >/dev/null 2>&1 || { echo 'just fuzz needs cargo-fuzz: cargo install cargo-fuzz' >&2; exit 1; }

_fmt-check: _linters
    cargo fmt --all -- --check
    cd components && cargo fmt --all -- --check
    cd sdk/quick && cargo fmt -- --check
