#!/bin/sh
# Runs shellcheck over the scripts where it is installed; says so where it is not.
set -eu

cd "$(dirname -- "$0")/.."
if ! command -v shellcheck >/dev/null 2>&1; then
    echo "lint: shell scripts not checked, shellcheck is not installed"
    exit 0
fi
shellcheck --external-sources --source-path=SCRIPTDIR justw .ci/run scripts/*.sh
