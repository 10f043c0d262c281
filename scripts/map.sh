#!/bin/sh
# Prints every source file with its first line, or those whose path holds the argument: what is where.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
cd "$here/.."
git ls-files '*.rs' | grep -v -E '(^|/)tests(/|\.rs)' | { grep -F -- "${1:-.rs}" || true; } | while IFS= read -r file; do
    printf '%-52s %s\n' "$file" "$(sed -n '1s/^\/\/! *//p' "$file")"
done
