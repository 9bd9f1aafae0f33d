#!/usr/bin/env bash
# Checks Dockerfile and compose.yaml, then builds the image and runs it as people do.
#
# What is copied must be there and not be ignored; what is left of the repository must be a whole workspace; the linters
# are asked if they are installed. What this host cannot check it says, and if NOT_CHECKED names a file, there too.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export PATH="$PATH:$HOME/.cargo/bin"

fail() {
    echo "check-container: FAILED: $*" >&2
    exit 1
}

ok() { printf '   ok  %s\n' "$*"; }

not_checked() {
    echo "!!! $1: NOT CHECKED: $2"
    [[ -z ${NOT_CHECKED:-} ]] || echo "$1: $2" >>"$NOT_CHECKED"
}

# find_schemas: prints where check-jsonschema is, which has the schema of compose files; PyPI's, installed once, if there is none.
find_schemas() {
    local home=target/check-jsonschema
    command -v check-jsonschema && return
    if [[ ! -x $home/bin/check-jsonschema ]]; then
        python3 -m venv "$home" && "$home/bin/pip" install -q --disable-pip-version-check check-jsonschema==0.39.0 || return
    fi >/dev/null 2>&1
    echo "$home/bin/check-jsonschema"
}

. packaging/container/image.sh

context=$(mktemp -d)
trap 'image_forget; rm -rf "$context"' EXIT

# What an engine would be sent. .dockerignore holds plain names at the top of the repository alone.
grep -qE '[*?!/]' .dockerignore && fail ".dockerignore has a pattern that this check does not know"
excluded=()
while IFS= read -r name; do
    excluded+=("--exclude=./$name")
done <.dockerignore
tar -c "${excluded[@]}" . | tar -x -C "$context"

sources=$(awk '$1 == "COPY" && $2 !~ /^--from/ { for (i = 2; i < NF; i++) print $i }' Dockerfile)
[[ -n $sources ]] || fail "the Dockerfile copies nothing"
for source in $sources; do
    [[ -e $context/$source ]] || fail "COPY $source: it is not there or ignored"
done
cargo metadata --offline --locked --no-deps --format-version 1 --manifest-path "$context/Cargo.toml" >/dev/null ||
    fail "what is sent is no whole workspace"
ok "all that is copied is there, and a whole workspace"

wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
image=$(sed -nE 's/^FROM rust:([0-9.]+)-.*/\1/p' Dockerfile)
[[ $(printf '%s\n' "$wanted" "$image" | sort -V | head -1) == "$wanted" ]] || fail "the image's Rust $image is older than $wanted"
grep -q '^USER [1-9]' Dockerfile || fail "it runs as root"
grep -q '^HEALTHCHECK ' Dockerfile || fail "no HEALTHCHECK"
ok "Rust $image is new enough for $wanted; it runs as an ordinary user and has a health check"

# The configuration that compose.yaml mounts is one that tpp takes.
if [[ -x target/debug/tppctl ]]; then
    cp packaging/container/etc/tpp.toml "$context/tpp.toml"
    echo user1:password1 >"$context/accounts"
    target/debug/tppctl check "$context/tpp.toml" >/dev/null || fail "tpp refuses packaging/container/etc/tpp.toml"
    ok "the configuration that compose.yaml mounts is good"
else
    not_checked "compose.yaml's configuration" "tppctl is not built (make test)"
fi

if command -v hadolint >/dev/null 2>&1; then
    hadolint Dockerfile || fail "hadolint"
    ok "hadolint has nothing to say that is not argued for"
else
    not_checked "the Dockerfile's style" "hadolint is not installed"
fi
# A daemon without root's rights may raise no limit and then starts nothing, and Compose before 2.23.1 knows no `content` of a config.
if grep -En '^[^#]*\<(ulimits|content):' compose.yaml; then
    fail "compose.yaml: these lines need a daemon with root's rights, or a Compose later than 2.23"
fi
ok "compose.yaml asks for nothing that rootless daemons or older Compose refuse"
if docker compose version >/dev/null 2>&1; then
    docker compose --file compose.yaml config --quiet || fail "docker compose config"
    ok "docker compose takes compose.yaml"
elif schemas=$(find_schemas); then
    "$schemas" --builtin-schema vendor.compose-spec compose.yaml >/dev/null || fail "compose.yaml"
    ok "compose.yaml keeps to the Compose specification"
else
    not_checked "compose.yaml's form" "there is no docker compose, and PyPI's check-jsonschema cannot be installed"
fi
lacking=$(image_lacks)
if [[ -n $lacking ]]; then
    not_checked "the image" "this host lacks $lacking"
elif ! image_bases; then
    not_checked "the image" "no base images could be made (is a Debian mirror in reach?)"
else
    image_build
    image_run "its own user" /etc/tpp/tpp.toml
    image_run "any user" /etc/tpp/tpp.toml --user 12345:12345
    image_run "the file of tpp 0.1.x" /app/config.yaml
fi
