#!/bin/sh
# Builds the quick engine for services in TypeScript: components/target/wasm32-unknown-unknown/release/quick.wasm, where
# the sdk looks for it. Its C is compiled by clang, which the system has or setup.sh installs.
#
# engine.sh [clippy] (`clippy` only looks for faults)
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
. "$here/wasm.sh"
WASM_TARGET=wasm32-unknown-unknown

toolchain=$(wasm_toolchain) || toolchain=$(other_wasm_toolchain) || {
    echo "no toolchain has the target $WASM_TARGET; \`just setup\` installs it" >&2
    exit 1
}
case ${1:-build} in
    build) set -- build ;;
    clippy) set -- clippy ;;
    *) echo "engine.sh [clippy]" >&2 && exit 1 ;;
esac

cd "$here/../sdk/quick"
# Every clang can compile for WebAssembly.
CC_wasm32_unknown_unknown=${CC_wasm32_unknown_unknown:-clang}
export CC_wasm32_unknown_unknown
if [ "$1" = clippy ]; then
    exec cargo ${toolchain:+"$toolchain"} clippy --release --locked --target "$WASM_TARGET" --target-dir ../../components/target -- -D warnings
fi
exec cargo ${toolchain:+"$toolchain"} build --release --locked --target "$WASM_TARGET" --target-dir ../../components/target
