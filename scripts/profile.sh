#!/bin/sh
# Says where the host's time goes: profile.sh ARCHIPEL BENCH (hello | hello-fresh | user | create | profile | order)
#
# Loads the host as `just bench` does and looks at it with perf meanwhile. Leaves the stacks, folded one to a
# line with their counts (what flame graphs are made of), in target/profile/, and prints what took most.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
archipel=$1 bench=$2 what=${3:-hello}
seconds=${PROFILE_SECONDS:-10}
folder=$here/../target/profile
cd "$here/.."

say() { printf 'profile: %s\n' "$*" >&2; }

command -v perf >/dev/null 2>&1 || {
    say "perf is missing; install it, on Debian \`apt-get install linux-perf\`"
    exit 1
}
longer=$((seconds + 4))
case $what in
hello) set -- hello --only warm ;;
hello-fresh) set -- hello --only fresh ;;
user | create | profile | order) set -- shop --only "$what" ;;
*)
    say "\`$what\` is none of hello, hello-fresh, user, create, profile, order"
    exit 2
    ;;
esac

mkdir -p "$folder"
"$bench" "$@" --rounds 1 --seconds "$longer" --archipel "$archipel" --json >"$folder/$what.json" 2>"$folder/$what.log" &
bench_pid=$!
trap 'kill "$bench_pid" 2>/dev/null || true' EXIT

# The bench says when the load begins; by then the host has nothing else to do any more.
tries=0
until grep -q 'round 1 of 1' "$folder/$what.log"; do
    tries=$((tries + 1))
    if [ "$tries" -ge 600 ] || ! kill -0 "$bench_pid" 2>/dev/null; then
        say "there was no load within two minutes:"
        cat "$folder/$what.log" >&2
        exit 1
    fi
    sleep 0.2
done
sleep 1
host=$(pgrep -P "$bench_pid" -x archipel)
perf record --quiet --event cpu-clock --freq 997 --call-graph fp --pid "$host" \
    --output "$folder/$what.data" -- sleep "$seconds"
wait "$bench_pid" || {
    say "the load ended early:"
    cat "$folder/$what.json" >&2
    exit 1
}
trap - EXIT

# Stacks, outermost first, and how often each was met.
perf script --input "$folder/$what.data" --no-inline --fields comm,ip,sym 2>/dev/null | awk '
    function end() { if (stack != "") { folded[stack]++; stack = "" } }
    /^$/ { end(); next }
    /^[^ \t]/ { thread = $1; stack = ""; next }
    { $1 = ""; sub(/^ /, ""); gsub(/;/, ":"); frame = $0; if (stack == "") stack = thread ";" frame
      else { sub(/^[^;]*;/, "", stack); stack = thread ";" frame ";" stack } }
    END { end(); for (stack in folded) print stack, folded[stack] }' >"$folder/$what.folded"
say "stacks: target/profile/$what.folded"
perf report --input "$folder/$what.data" --no-children --call-graph none --stdio --percent-limit 0.5 \
    --sort symbol 2>/dev/null | grep -v '^#' | grep -v '^$' | head -n 60
