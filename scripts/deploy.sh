#!/usr/bin/env bash
# Holds compose.yaml, manifests/kubernetes and packaging/systemd to their formats, as far as that goes without an engine, a
# cluster or a booted system: the Compose specification, the schemas of Kubernetes, a real kubectl that builds each
# overlay and decodes every object, and systemd's own verifier where it is installed.
set -euo pipefail

cd "$(dirname "$0")/.."
place=target/deploy
kubectl=$place/kubectl
python=$place/venv/bin/python

[[ -x $python && -x $kubectl ]] || scripts/setup.sh deploy
overlays=()
for overlay in dev prod; do
    "$kubectl" kustomize "manifests/kubernetes/overlays/$overlay" >"$place/$overlay.yaml"
    # Without a cluster it asks nobody: this decodes each object as the type that it says it is.
    "$kubectl" label --local --dry-run=client -f "$place/$overlay.yaml" checked=yes -o name >/dev/null
    overlays+=("$place/$overlay.yaml")
done
"$python" scripts/deploy.py "${overlays[@]}"

# The binary is not installed here; all else is as it would be. How exposed the service is, is a number that only falls.
unit=packaging/systemd/archipel.service
if command -v systemd-analyze >/dev/null; then
    mkdir -p "$place/systemd"
    sed 's#^ExecStart=/usr/bin/archipel#ExecStart=/bin/true#' "$unit" >"$place/systemd/archipel.service"
    systemd-analyze verify "$place/systemd/archipel.service"
    systemd-analyze security --offline=true --threshold=15 --no-pager "$unit" >"$place/systemd/security"
    tail -n 1 "$place/systemd/security" >&2
else
    echo "deploy: the unit of systemd is not verified, systemd-analyze is not installed" >&2
fi
