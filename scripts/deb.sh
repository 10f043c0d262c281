#!/usr/bin/env bash
# Makes a Debian package of a binary: deb.sh BINARY FOLDER writes FOLDER/archipel_VERSION_ARCHITECTURE.deb and says so.
#
# What is in it: the binary without symbols, its unit of systemd, manual page, completions, and a manifest to begin with as
# an example. It starts nothing: whoever installs it writes /etc/archipel/manifest.toml and enables the unit. An upgrade
# restarts a host that runs. DEB_MAINTAINER names who answers for the package, DEB_COMPRESSION how it is packed (xz).
set -euo pipefail

cd "$(dirname "$0")/.."
binary=$1 folder=$2
for tool in dpkg-deb objcopy objdump gzip; do
    command -v "$tool" >/dev/null || { echo "deb: $tool is missing; a Debian with gcc has it" >&2 && exit 1; }
done
# Which is as reproducible as the binary.
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 0)}

maintainer=${DEB_MAINTAINER:-Archipel <root@localhost>}
version=$("$binary" --version | cut -d ' ' -f 2)
architecture=$(dpkg --print-architecture)
glibc=$(objdump -T "$binary" | grep -o 'GLIBC_[0-9.]*' | sort -Vu | tail -n 1 | cut -d _ -f 2)
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
chmod 0755 "$root"

scripts/strip.sh "$binary" "$root/symbols"
share=$root/package/usr/share
doc=$share/doc/archipel
install -D -m 0755 "$root/symbols/$(basename "$binary")" "$root/package/usr/bin/archipel"
install -D -m 0644 packaging/systemd/archipel.service "$root/package/usr/lib/systemd/system/archipel.service"
install -D -m 0644 packaging/deb/manifest.toml "$doc/examples/manifest.toml"
install -D -m 0644 packaging/deb/copyright "$doc/copyright"
gzip -9nc CHANGELOG.md | install -D -m 0644 /dev/stdin "$doc/CHANGELOG.md.gz"
gzip -9nc <<CHANGES | install -D -m 0644 /dev/stdin "$doc/changelog.gz"
archipel ($version) unstable; urgency=medium

  * CHANGELOG.md.gz says what is new.

 -- $maintainer  $(date -uR --date="@$SOURCE_DATE_EPOCH")
CHANGES
"$binary" man | gzip -9nc | install -D -m 0644 /dev/stdin "$share/man/man1/archipel.1.gz"
"$binary" completions bash | install -D -m 0644 /dev/stdin "$share/bash-completion/completions/archipel"
"$binary" completions zsh | install -D -m 0644 /dev/stdin "$share/zsh/vendor-completions/_archipel"
# With it `archipel new --lang ts` makes services that build in a second.
engine=components/target/wasm32-unknown-unknown/release/quick.wasm
[[ ! -e $engine ]] || install -D -m 0644 "$engine" "$share/archipel/quick.wasm"
install -d -m 0755 "$root/package/etc/archipel"
for script in postinst prerm postrm; do
    install -D -m 0755 "packaging/deb/$script" "$root/package/DEBIAN/$script"
done
cat >"$root/package/DEBIAN/control" <<CONTROL
Package: archipel
Version: $version
Architecture: $architecture
Maintainer: $maintainer
Installed-Size: $(du -sk "$root/package" | cut -f 1)
Depends: libc6 (>= $glibc), libgcc-s1
Suggests: postgresql, redis-server
Section: web
Priority: optional
Description: runs a microservice system of WebAssembly components in one process
 Gateway, services and what they reach: a manifest says which service may
 reach what, and the host enforces it, bounds it and tells what happened.
 Services are replaced under load, each request is a trace, and a service
 that fails hurts no other one.
CONTROL
find "$root/package" -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +
package=$folder/archipel_${version}_$architecture.deb
dpkg-deb --root-owner-group -Z"${DEB_COMPRESSION:-xz}" --build "$root/package" "$package" >&2
echo "$package"
