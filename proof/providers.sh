#!/usr/bin/env bash
# OAuth 2.0 against a real authorization server, npm's oidc-provider: proof/providers.sh [--install]
#
# The server lies in target/oidc, as tests/providers/oidc pins it. With --install that is all that is done. Exit 3: it cannot be had here.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

from=tests/providers/oidc to=target/oidc
for tool in node npm; do
    if ! command -v "$tool" >/dev/null; then
        echo "!!! PROVIDERS NOT CHECKED: $tool is not installed"
        exit 3
    fi
done
mkdir -p "$to"
if ! cmp -s "$from/package-lock.json" "$to/installed.json"; then
    cp "$from/package.json" "$from/package-lock.json" "$to/"
    if ! npm ci --prefix "$to" --ignore-scripts --no-audit --no-fund; then
        echo "!!! PROVIDERS NOT CHECKED: npm cannot install oidc-provider"
        exit 3
    fi
    cp "$to/package-lock.json" "$to/installed.json"
fi
# Beside its libraries, or node does not find them.
cp "$from/server.mjs" "$to/"
if [[ ${1:-} == --install ]]; then
    exit 0
fi
cargo test --workspace --locked --test providers -- --ignored certified
