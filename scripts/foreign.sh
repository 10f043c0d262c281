#!/usr/bin/env bash
# Builds the guests of other languages and sdks: python.wasm with componentize-py, javascript.wasm with
# componentize-js, spin.wasm with Spin's sdk, and with our own sdk for TypeScript the test guest typescript.wasm and the
# users service, users_ts.wasm; and of Hono and of itty-router the app that their own package shows (hono_readme.wasm,
# itty_router_readme.wasm), as it stands there.
#
# foreign.sh [FOLDER]
# The components go to FOLDER, target/foreign when it is not named. The tools go to
# target/foreign/venv and target/foreign/node and nowhere else, by pip and npm, in the versions that
# components/foreign/python and sdk/typescript pin. What has not changed since is left as it is. Those in TypeScript are
# built a second time, for the quick engine (typescript_quick.wasm and so on), which engine.sh has built.
set -euo pipefail

cd "$(dirname "$0")/.."
. scripts/wasm.sh
place=$PWD/target/foreign
out=${1:-$place}
python=components/foreign/python
javascript=components/foreign/javascript
sdk=sdk/typescript
engine=components/target/wasm32-unknown-unknown/release/quick.wasm

say() { printf 'foreign: %s\n' "$*" >&2; }

fail() {
    say "$*"
    exit 1
}

# One digest over these files and folders, by content and name, and over what else counts.
digest() { # WHAT, PATHS…
    { printf '%s\n' "$1" && shift && find "$@" -type f -exec sha256sum {} + | LC_ALL=C sort; } | sha256sum
}

# Whether the stamp was written for that digest, and what it stands for is there.
fresh() { # STAMP, DIGEST, FILE
    [[ -e $3 && -f $1 && $(<"$1") == "$2" ]]
}

timed() { # WHAT, COMMAND…
    local what=$1 TIMEFORMAT="foreign: $1 took %R s, %U s of CPU"
    shift
    time "$@" || fail "$what failed"
}

# Puts what a build left into its place, so that a build that was stopped leaves nothing half written.
finish() { # BUILT, FILE, DIGEST
    mv "$1" "$2"
    printf '%s\n' "$3" >"${2%.wasm}.stamp"
    say "built ${2#"$PWD"/}, $(wc -c <"$2") bytes"
}

python_tools() {
    python3 -c 'import ensurepip, venv' 2>/dev/null || fail "Python 3 or its venv is missing; \`just foreign\` installs it where apt is there"
    local now
    now=$(digest "$(python3 --version)" "$python/requirements.txt")
    fresh "$place/venv/stamp" "$now" "$place/venv/bin/componentize-py" && return
    say "installing $(<"$python/requirements.txt") by pip under target/foreign/venv"
    rm -rf "$place/venv"
    python3 -m venv "$place/venv"
    "$place/venv/bin/pip" install --quiet --disable-pip-version-check --requirement "$python/requirements.txt" >&2
    printf '%s\n' "$now" >"$place/venv/stamp"
}

node_tools() {
    [[ -n $(type -P node) && -n $(type -P npm) ]] || fail "npm is missing; \`just foreign\` installs it where apt is there"
    local now major
    major=$(node -p 'process.versions.node.split(".")[0]')
    ((major >= 20)) || fail "Node.js $(node --version) is too old for componentize-js; install Node.js 20 or newer"
    now=$(digest "$major" "$sdk/package.json" "$sdk/package-lock.json")
    if ! fresh "$place/node/stamp" "$now" "$place/node/node_modules/.bin/componentize-js"; then
        say "installing what $sdk/package-lock.json names by npm under target/foreign/node"
        rm -rf "$place/node"
        mkdir -p "$place/node"
        cp "$sdk/package.json" "$sdk/package-lock.json" "$place/node"
        npm ci --prefix "$place/node" --ignore-scripts --no-audit --no-fund --loglevel=error >&2
        ln -s .. "$place/node/node_modules/archipel"
        printf '%s\n' "$now" >"$place/node/stamp"
    fi
    # The sdk itself, where its dependencies are.
    rm -rf "$place/node/bin" "$place/node/src" "$place/node/tests" "$place/node/wit"
    cp -r "$sdk/bin" "$sdk/src" "$sdk/tests" wit "$place/node"
    cmp -s "$engine" "$place/node/quick.wasm" || cp "$engine" "$place/node/quick.wasm"
}

build_python() {
    python_tools
    local now sources=$out/build/python
    now=$(digest "$(<"$place/venv/stamp")" "$python" wit scripts/foreign.sh)
    fresh "$out/python.stamp" "$now" "$out/python.wasm" && return
    # A copy: Python writes its caches beside the sources.
    rm -rf "$sources"
    mkdir -p "$sources"
    cp "$python"/*.py "$sources"
    timed "building the Python component" "$place/venv/bin/componentize-py" --quiet \
        --wit-path wit --world 'wasi:http/proxy@0.2.12' \
        componentize --python-path "$sources" app --output "$sources/python.wasm"
    finish "$sources/python.wasm" "$out/python.wasm" "$now"
}

build_javascript() {
    node_tools
    local now wit=$out/build/javascript package
    now=$(digest "$(<"$place/node/stamp")" "$javascript" wit)
    fresh "$out/javascript.stamp" "$now" "$out/javascript.wasm" && return
    # The engine takes one version only. What our packages say is the same in both, but for one
    # function of `wasi:cli/exit`, which the engine does not know.
    rm -rf "$wit"
    for package in cli clocks filesystem http io random sockets; do
        mkdir -p "$wit/deps/$package"
        sed 's/0\.2\.12/0.2.10/g' "wit/deps/wasi-$package/$package.wit" >"$wit/deps/$package/$package.wit"
    done
    cp "$javascript/service.wit" "$wit"
    timed "building the JavaScript component" "$place/node/node_modules/.bin/componentize-js" \
        "$javascript/app.js" --wit "$wit" --world-name service --out "$wit/javascript.wasm"
    finish "$wit/javascript.wasm" "$out/javascript.wasm" "$now"
}

# With cargo alone, as docs/from-spin.md shows it.
build_spin() {
    local now folder=components/foreign/spin toolchain
    toolchain=$(wasm_toolchain || other_wasm_toolchain) || fail "no toolchain has the target $WASM_TARGET; \`just setup\` installs it"
    now=$(digest "$(rustc ${toolchain:+"$toolchain"} --version)" "$folder/src" "$folder/Cargo.toml" "$folder/Cargo.lock")
    fresh "$out/spin.stamp" "$now" "$out/spin.wasm" && return
    (cd "$folder" && timed "building the Spin component" env CARGO_TARGET_DIR="$place/spin" \
        cargo ${toolchain:+"$toolchain"} build --release --target "$WASM_TARGET" --locked)
    cp "$place/spin/$WASM_TARGET/release/spin_guest.wasm" "$out/spin.built"
    finish "$out/spin.built" "$out/spin.wasm" "$now"
}

# A project of the sdk's, in a place of its own; its types are checked, too.
build_typescript() { # NAME, FOLDER
    local folder=$out/build/$1
    rm -rf "$folder"/src
    mkdir -p "$folder"
    cp -rL "$2"/. "$folder"
    ln -sfn "$place/node/node_modules" "$folder/node_modules"
    cp "$sdk/tsconfig.json" "$folder"
    (cd "$folder" && "$place/node/node_modules/.bin/tsc" -p .)
    for_engine starling "$folder" src/index.ts "$1"
    for_engine quick "$folder" src/index.ts "$1_quick"
}

for_engine() { # ENGINE, FOLDER, ENTRY, NAME
    (cd "$2" && timed "building $4" "$place/node/node_modules/archipel/bin/build.mjs" "$3" --engine "$1" --out "$2/$4.wasm")
    cmp -s "$2/$4.wasm" "$out/$4.wasm" || cp "$2/$4.wasm" "$out/$4.wasm"
}

# The app that a framework's package shows in its README.md, as it stands there: the first block of code that imports
# something.
build_readme() { # PACKAGE
    local name=${1//-/_}_readme readme=$place/node/node_modules/$1/README.md
    local folder=$out/build/$name
    mkdir -p "$folder/src"
    awk '
        /^```(js|ts|javascript|typescript)$/ && !within { within = 1; block = ""; imports = 0; next }
        /^```/ && within { if (imports) { printf "%s", block; exit } within = 0; next }
        within { block = block $0 "\n"; if (/^import /) imports = 1 }
    ' "$readme" >"$folder/src/index.ts"
    [[ -s $folder/src/index.ts ]] || fail "$readme shows no app: no block of code in it imports anything"
    printf '{ "name": "%s", "private": true, "type": "module" }\n' "$name" >"$folder/package.json"
    ln -sfn "$place/node/node_modules" "$folder/node_modules"
    for_engine starling "$folder" src/index.ts "$name"
    for_engine quick "$folder" src/index.ts "${name}_quick"
}

# The TypeScript that pages show is right by its types: each block is a module of its own.
check_pages() {
    local folder=$out/build/pages page
    rm -rf "$folder"
    mkdir -p "$folder/src"
    for page in README.md docs/*.md; do
        awk -v name="$folder/src/$(basename "$page" .md)" '
            /^```ts$/ { file = name "_" NR + 1 ".ts"; next }
            /^```/ { file = "" }
            file { print > file }
        ' "$page"
    done
    [[ -n $(find "$folder/src" -name 'typescript_*' -size +0) ]] || fail "docs/typescript.md shows no TypeScript"
    ln -s "$place/node/node_modules" "$folder/node_modules"
    cp "$sdk/tsconfig.json" "$folder"
    (cd "$folder" && node_modules/.bin/tsc -p .) || fail "what a page shows is not right by its types: src/PAGE_LINE.ts is the block that begins there"
}

mkdir -p "$out"
out=$(cd "$out" && pwd)
build_python
build_javascript
build_spin
build_typescript typescript components/foreign/typescript
for_engine quick "$out/build/typescript" src/served.ts served_quick # the one that others call
build_typescript users_ts components/users-ts
build_readme hono
build_readme itty-router
check_pages
