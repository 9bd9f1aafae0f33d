#!/usr/bin/env bash
# Installs what is missing on this machine, and nothing else: install-deps.sh PURPOSE...
#
# What is there is left alone, so that with everything in place neither the network nor root is needed.
set -euo pipefail

# Debian keeps servers out of an ordinary user's PATH.
PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"

fail() {
    echo "install-deps: $*" >&2
    exit 1
}

# need COMMAND PACKAGE: notes PACKAGE when COMMAND is not to be found.
missing=()
need() {
    command -v "$1" >/dev/null 2>&1 || missing+=("$2")
}

purposes="build, hosts, demo, bench, training, watching, acme, console, front, front-scan, scripts, deb, rpm, package-checks, systemd-test, image, llvm-VERSION"
(($# > 0)) || fail "say what for: $purposes"
for purpose in "$@"; do
    case "$purpose" in
    build) # C parts of zlib-ng, zstd, mimalloc and ring; etcd's messages
        command -v cargo >/dev/null 2>&1 || fail "cargo is not in PATH; install Rust first, from https://rustup.rs"
        need cc gcc
        need make make
        need cmake cmake
        need protoc protobuf-compiler
        # The messages that others are made of, which etcd's import.
        [ -e /usr/include/google/protobuf/descriptor.proto ] || missing+=(libprotobuf-dev)
        # A compiler may stand without the C library's headers.
        if command -v cc >/dev/null 2>&1 && ! echo '#include <stdlib.h>' | cc -E - >/dev/null 2>&1; then
            missing+=(libc6-dev)
        fi
        ;;
    hosts) # several hosts around a real etcd, each on a machine of its own in proof/hosts
        need etcd etcd-server
        need etcdctl etcd-client
        need ip iproute2
        need unshare util-linux
        need python3 python3
        ;;
    demo)
        need curl curl
        ;;
    bench)
        need nginx nginx-light
        need haproxy haproxy
        need wrk wrk
        need caddy caddy
        need h2load nghttp2-client
        need openssl openssl
        need etcd etcd-server
        ;;
    training) # of a profile-guided build
        need nginx nginx-light
        need wrk wrk
        need h2load nghttp2-client
        need openssl openssl
        ;;
    watching) # one alert is of an etcd that does not answer
        need prometheus prometheus
        need promtool prometheus
        need etcd etcd-server
        ;;
    acme)
        need pebble pebble
        need pebble-challtestsrv pebble
        ;;
    console)
        need chromium chromium
        need python3 python3
        ;;
    front) # clients of every kind
        need curl curl
        need openssl openssl
        need nghttp nghttp2-client
        need h2load nghttp2-client
        need node nodejs
        need java default-jdk-headless
        need go golang-go
        need chromium chromium
        need python3 python3
        ;;
    front-scan)
        need testssl testssl.sh
        ;;
    scripts)
        need shellcheck shellcheck
        need python3 python3
        ;;
    image) # an engine without a daemon, and what its base images are made with
        need buildah buildah
        need mmdebstrap mmdebstrap
        need pgrep procps
        need curl curl
        ;;
    deb) # cargo-deb calls both; packages.sh fetches cargo-deb itself
        need strip binutils
        need objcopy binutils
        ;;
    rpm)
        need rpmbuild rpm
        need strip binutils
        ;;
    package-checks)
        need lintian lintian
        need mandoc mandoc
        need rpm rpm
        ;;
    systemd-test)
        need mmdebstrap mmdebstrap
        need systemd-nspawn systemd-container
        need python3 python3
        need curl curl
        need ss iproute2
        need pgrep procps
        ;;
    llvm-*) # profile tools of one LLVM version
        [[ -x /usr/lib/$purpose/bin/llvm-profdata ]] || missing+=("$purpose")
        ;;
    *) fail "unknown purpose '$purpose'; known: $purposes" ;;
    esac
done
((${#missing[@]} > 0)) || exit 0

echo "install-deps: missing: ${missing[*]}"
command -v apt-get >/dev/null 2>&1 || fail "no apt-get here; install by hand: ${missing[*]}"

as_root=()
if ((EUID != 0)); then
    command -v sudo >/dev/null 2>&1 || fail "not root and no sudo; as root run: apt-get install ${missing[*]}"
    as_root=(sudo)
    # Without a terminal a password prompt would hang.
    [[ -t 0 ]] || as_root=(sudo -n)
    "${as_root[@]}" true || fail "sudo refused; as root run: apt-get install ${missing[*]}"
fi

# Debian starts a server as it installs it. These are wanted as programs only: keep port 80 as it was.
policy=/usr/sbin/policy-rc.d
if [[ ! -e $policy ]]; then
    trap '"${as_root[@]}" rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" >/dev/null
    "${as_root[@]}" chmod 755 "$policy"
fi

install_missing() {
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
        -o DPkg::Lock::Timeout=120 "${missing[@]}" </dev/null
}

# The lists of a fresh machine are empty or old: read them only when a package is not found with them.
if ! install_missing; then
    echo "install-deps: reading the package lists anew"
    "${as_root[@]}" apt-get update || fail "apt-get update failed; is the network there? needed: ${missing[*]}"
    install_missing || fail "apt-get could not install: ${missing[*]}"
fi
