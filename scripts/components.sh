#!/bin/sh
# Builds the components, or those that are named, for wasm32-wasip2, always in release:
# components/target/wasm32-wasip2/release/NAME.wasm, where manifests look for it. Names and lines, for the log of a failure,
# are taken out into NAME.debug beside it.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
. "$here/wasm.sh"

toolchain=$(wasm_toolchain) || toolchain=$(other_wasm_toolchain) || {
    echo "no toolchain has the target $WASM_TARGET; \`just setup\` installs it" >&2
    exit 1
}

cd "$here/../components"
for name in "$@"; do
    set -- "$@" "--package=$name"
    shift
done
[ $# -gt 0 ] || set -- --workspace
cargo ${toolchain:+"$toolchain"} build --release --target "$WASM_TARGET" --target-dir target "$@"

rustc ${toolchain:+"$toolchain"} -O --edition 2024 -o target/split ../scripts/split.rs
exec target/split "target/$WASM_TARGET"/release/*.wasm
