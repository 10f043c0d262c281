#!/usr/bin/env bash
# Holds compose.yaml, manifests/kubernetes and packaging/systemd to their formats, as far as that goes without an engine, a
# cluster or a booted system: the Compose specification, the schemas of Kubernetes, a real kubectl that builds each
# overlay and decodes every object, and systemd's own verifier where it is installed. A Debian package is made and looked
# into, and what compose.yaml starts is started by the programs of this machine: deploy.sh [BINARY].
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

# A package of whatever binary there is. It is taken apart again: that is what an installation would find.
binary=${1:-target/debug/archipel}
if [[ -x $binary ]] && command -v dpkg-deb >/dev/null; then
    rm -rf "$place/deb"
    package=$(DEB_COMPRESSION=gzip scripts/deb.sh "$binary" "$place/deb")
    dpkg-deb --info "$package" >"$place/deb/info"
    dpkg-deb --extract "$package" "$place/deb/root"
    for line in 'Package: archipel' 'Depends: libc6 (>= 2.' 'Maintainer: '; do
        grep -qF "$line" "$place/deb/info" || { echo "deploy: the package says not \`$line\`" >&2 && exit 1; }
    done
    "$place/deb/root/usr/bin/archipel" --version >&2
    # What is packed has no symbols, and fits the unit that starts it and the manifest that it is shown with.
    [[ $(stat -c %s "$place/deb/root/usr/bin/archipel") -lt $(stat -c %s "$binary") ]]
    [[ -z $(nm "$place/deb/root/usr/bin/archipel" 2>/dev/null) ]]
    grep -q '^ExecStart=/usr/bin/archipel run ' "$place/deb/root/usr/lib/systemd/system/archipel.service"
    example=$place/deb/root/usr/share/doc/archipel/examples/manifest.toml
    # Its one mistake is the component that it is to have.
    told=$("$binary" check "$example" 2>&1 || true)
    [[ $told == *'"count": 1'* && $told == *first.wasm* ]] || { echo "deploy: the example is no manifest: $told" >&2 && exit 1; }
    for script in postinst prerm postrm; do
        dpkg-deb --ctrl-tarfile "$package" | tar -xO "./$script" | sh -n
    done
else
    echo "deploy: no package is made, \`$binary\` or dpkg-deb is not there" >&2
fi

# What compose.yaml starts, by the programs of this machine.
if [[ -x $binary && -e components/target/wasm32-wasip2/release/orders.wasm ]]; then
    "$python" scripts/compose.py "$(realpath "$binary")"
else
    echo "deploy: the services of compose.yaml are not started, \`$binary\` or the shop's components are not built" >&2
fi

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
