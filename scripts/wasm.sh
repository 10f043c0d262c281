# shellcheck shell=sh
# Sourced: finds the Rust toolchain that can build components.

WASM_TARGET=wasm32-wasip2

# Whether `rustc $1` has the target's standard library; `$1` is `+NAME` or nothing.
has_wasm() {
    # shellcheck disable=SC2086 # nothing must stay nothing
    sysroot=$(rustc $1 --print sysroot 2>/dev/null) || return 1
    for library in "$sysroot/lib/rustlib/$WASM_TARGET/lib"/libstd-*.rlib; do
        [ -e "$library" ] && return 0
    done
    return 1
}

# Prints what cargo takes as its first argument to build components: nothing for the active
# toolchain, `+NAME` for the one that WASM_TOOLCHAIN names. Fails when that one lacks the target.
wasm_toolchain() {
    if [ -n "${WASM_TOOLCHAIN:-}" ]; then
        has_wasm "+$WASM_TOOLCHAIN" && echo "+$WASM_TOOLCHAIN"
    else
        has_wasm ''
    fi
}

# Prints `+NAME` of an installed toolchain that has the target, whichever it is.
other_wasm_toolchain() {
    for toolchain in $(rustup toolchain list 2>/dev/null | cut -d ' ' -f 1); do
        has_wasm "+$toolchain" && echo "+$toolchain" && return 0
    done
    return 1
}
