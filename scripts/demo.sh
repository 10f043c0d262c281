#!/usr/bin/env bash
# Starts the shop, waits until it is ready, runs the tour, and keeps the shop running until ctrl-C.
#
# demo.sh ARCHIPEL [--once]
# With --once, with ARCHIPEL_DEMO_ONCE=1, or away from a terminal it stops after the tour; its exit
# status is then the tour's. However it ends, the host is told to end (SIGINT) and waited for.
set -euo pipefail
set -m # jobs in process groups of their own: ctrl-C reaches this script, and the host through it

archipel=$1
shift
cd "$(dirname "$0")/.."

url=http://127.0.0.1:3000
ready_seconds=180
log=target/demo.log

once=${ARCHIPEL_DEMO_ONCE:-}
[[ ${1:-} == --once ]] && once=1
[[ -t 0 && -t 1 ]] || once=1

say() { printf 'demo: %s\n' "$*"; }

stop() {
    trap '' INT TERM
    [[ -n ${host:-} ]] || return 0
    kill -INT "$host" 2>/dev/null || true
    local status=0
    wait "$host" || status=$?
    host=
    say "the host has ended with status $status"
    return "$status"
}

if ! command -v curl >/dev/null; then
    say "curl is missing, and the tour is made of it; install it by your package manager" >&2
    exit 1
fi
if curl -s -o /dev/null --max-time 5 "$url/health/live"; then
    say "something answers on $url already; stop it first" >&2
    exit 1
fi

mkdir -p target
say "starting the shop: archipel run manifests/shop.toml (its log: $log)"
started=$(date +%s%N)
"$archipel" run manifests/shop.toml </dev/null >"$log" 2>&1 &
host=$!
trap 'stop || true' EXIT
trap 'exit 130' INT TERM

until "$archipel" healthcheck "$url/health/ready" >/dev/null 2>&1; do
    if ! kill -0 "$host" 2>/dev/null; then
        cat "$log" >&2
        say "the host ended before it was ready; its words are above" >&2
        exit 1
    fi
    if (($(date +%s%N) - started > ready_seconds * 1000000000)); then
        cat "$log" >&2
        say "the host is not ready after $ready_seconds s; its words are above" >&2
        exit 1
    fi
    sleep 0.05
done
say "ready after $((($(date +%s%N) - started) / 1000000)) ms"

admin=$("$archipel" token sign manifests/shop.toml --sub operator --role admin --ttl 1h)
say 'an admin is whoever has this token: archipel token sign manifests/shop.toml --sub operator --role admin --ttl 1h'
printf '%s\n' "$admin"

tour=0
scripts/tour.sh "$url" "$admin" || tour=$?

if [[ -n $once ]]; then
    trap - EXIT
    stop || exit 1
    exit "$tour"
fi

say "the shop goes on running on $url; ctrl-C stops everything"
trap 'trap - EXIT; stop; exit' INT TERM
status=0
wait "$host" || status=$?
host=
cat "$log" >&2
say "the host ended by itself with status $status; its words are above" >&2
exit 1
