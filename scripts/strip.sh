#!/usr/bin/env bash
# Takes the symbols out of a binary: strip.sh BINARY FOLDER puts the binary without them and, beside it, NAME.debug with
# nothing else into FOLDER. Backtraces and debuggers find the second one by the first, where both lie together or it
# is under /usr/lib/debug.
set -euo pipefail

binary=$1 folder=$2
name=$(basename "$binary")

mkdir -p "$folder"
objcopy --only-keep-debug "$binary" "$folder/$name.debug"
chmod 0644 "$folder/$name.debug"
# A file of its own, put there whole: what runs may be the one before.
objcopy --strip-all --add-gnu-debuglink="$folder/$name.debug" "$binary" "$folder/$name.new"
mv "$folder/$name.new" "$folder/$name"
