#!/bin/sh
# Refuses crates that deny.toml bans. With cargo-deny it checks licences, sources and advisories too; without
# it, the lock files are searched for the banned names, which needs no network and no tool.
set -eu

cd "$(dirname -- "$0")/.."

if cargo deny --version >/dev/null 2>&1; then
    cargo deny check advisories bans licenses sources
    cargo deny --manifest-path components/Cargo.toml check --config deny.toml advisories bans licenses sources
    exit
fi

banned=$(sed -n '/^deny = \[/,/^\]/s/.*crate = "\([^"]*\)".*/\1/p' deny.toml)
[ -n "$banned" ] || { echo "deny: deny.toml names no banned crate" >&2; exit 1; }
found=
for crate in $banned; do
    for lock in Cargo.lock components/Cargo.lock; do
        if grep -qx "name = \"$crate\"" "$lock"; then
            echo "deny: $lock holds $crate, which deny.toml bans; \`cargo tree -i $crate\` says why" >&2
            found=yes
        fi
    done
done
[ -z "$found" ] || exit 1
echo "deny: no banned crate in the lock files; licences, sources and advisories are not checked," \
    "which takes cargo-deny (cargo install cargo-deny --locked)"
