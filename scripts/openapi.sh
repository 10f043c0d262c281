#!/usr/bin/env bash
# Holds the shop to its own OpenAPI document: schemathesis makes requests out of it, right and wrong
# ones, and compares every answer with what the document says.
#
# openapi.sh ARCHIPEL [SECONDS]
# The shop runs on free ports, with data of its own under target/openapi and without a rate limit.
# Away from a terminal only failures are shown. The host is told to end (SIGTERM) however this ends.
set -euo pipefail

archipel=$1
seconds=${2:-45}
cd "$(dirname "$0")/.."
place=target/openapi
st=$place/venv/bin/st
manifest=$place/shop.toml
log=$place/host.log

[[ -x $st ]] || scripts/setup.sh openapi
rm -rf "$place/.archipel"
mkdir -p "$place"
{
    sed -e "s#\"\.\./#\"$PWD/#" -e 's#^listen = { env = "SHOP_LISTEN".*#listen = "127.0.0.1:0"\nlimit = "off"#' manifests/shop.toml
    printf '\n[admin]\nlisten = "127.0.0.1:0"\n'
} >"$manifest"

"$archipel" run "$manifest" </dev/null >"$log" 2>"$place/host.errors" &
host=$!
# shellcheck disable=SC2317 # called by the trap below
stop() {
    kill -TERM "$host" 2>/dev/null || true
    wait "$host" || true
}
trap stop EXIT

# A line of its output names the addresses when it is ready.
url=
for _ in $(seq 1800); do
    url=$(sed -n 's#.*"gateway":\["\([^"]*\)".*#http://\1#p' "$log" | head -n 1)
    [[ -n $url ]] && break
    kill -0 "$host" 2>/dev/null || { cat "$log" "$place/host.errors" >&2; exit 1; }
    sleep 0.1
done
[[ -n $url ]] || { echo "openapi: the shop is not ready after 180 s; see $log" >&2; exit 1; }
token=$("$archipel" token sign "$manifest" --sub operator --role admin --ttl 1h)

status=0
"$st" --config-file scripts/openapi.toml run "$url/openapi.json" --header "Authorization: Bearer $token" \
    --seed 1 --max-examples 15 --max-time "$seconds" --continue-on-failure --no-color >"$place/report.txt" 2>&1 || status=$?
if [[ $status != 0 || -t 1 ]]; then
    cat "$place/report.txt"
else
    grep -E 'generated|Operations:|passed' "$place/report.txt"
fi
exit "$status"
