#!/usr/bin/env bash
# What the package does under a real systemd, step by step: systemd-test.sh [bookworm|trixie]
#
# Installs the package in a machine of its own (packaging/systemd/machine.sh), with tpp's stand-in for the server, then
# starts, reloads, restarts, upgrades, kills, stalls, stops and purges it, most of it under clients that count every
# failure. Where the host cannot run such a machine it says so, and if NOT_CHECKED names a file, there too.
#
# PACKAGES_BUILT=1 takes the packages that stand in target/packages/fast, MIRROR names a Debian mirror, JOURNAL a file for what
# the service wrote.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
suite=${1:-bookworm}
work=$PWD/target/systemd-test
packages=$PWD/target/packages/fast
export PATH="$PATH:$HOME/.cargo/bin:/usr/sbin:/sbin"
. packaging/systemd/machine.sh

proxy_port=8080
workers=2
sessions=16

not_checked() {
    echo "!!! systemd ($suite): NOT CHECKED: $1"
    [[ -z ${NOT_CHECKED:-} ]] || echo "systemd ($suite): $1" >>"$NOT_CHECKED"
    exit 0
}

fail() {
    echo "systemd-test: FAILED: $*" >&2
    exit 1
}

ok() { printf '   ok  %s\n' "$*"; }
title() { printf '\n== %s\n' "$*"; }

load_pid=
finish() {
    local code=$?
    trap - EXIT
    [[ -z $load_pid ]] || kill -KILL "$load_pid" 2>/dev/null || true
    if ((code != 0)) && [[ -n $machine_init ]]; then
        echo "--- the journal's end:"
        inside journalctl --no-pager --unit=tpp --lines=60 --output=short-precise || true
        inside systemctl status --no-pager tpp || true
    fi
    if [[ -n $machine_init && -n ${JOURNAL:-} ]]; then
        inside journalctl --no-pager --unit=tpp --output=short-precise >"$JOURNAL" || true
    fi
    machine_stop
    rm -rf "$shared"
    exit "$code"
}

# wait_until WHAT COMMAND...: repeats COMMAND for up to 30 s.
wait_until() {
    local what=$1 deadline=$((SECONDS + 30))
    shift
    until "$@" >/dev/null 2>&1; do
        ((SECONDS < deadline)) || fail "$what: not within 30 s"
        sleep 0.05
    done
}

# is WHAT EXPECTED FOUND
is() { [[ $2 == "$3" ]] || fail "$1: expected '$2', got '$3'"; }

property() { inside systemctl show --property="$1" --value tpp; }
main_pid() { property MainPID; }
# The process ids of the service's workers, on one line. The stand-in has some of its own, of another user.
worker_pids() { inside pgrep -d ' ' -u tpp -x tpp-worker || true; }
ready() { beside curl -sf --max-time 5 -o /dev/null http://127.0.0.1:9090/readyz; }
# answers: a new client gets what it asks for.
answers() {
    local answer
    answer=$(beside curl -s --max-time 10 -d '{"script":"20+22"}' "http://127.0.0.1:$proxy_port/api/execute") || return
    grep -qE '"value": *"42"' <<<"$answer"
}

load_begins() {
    # Not by way of a function: a subshell would take the signal, and the clients would never end.
    nsenter -t "$machine_init" --net -- python3 packaging/systemd/load.py "$proxy_port" 6 4 >"$shared/load" &
    load_pid=$!
    # Some requests are to be under way before anything happens to them.
    wait_until "clients are served" served_more_than "$(served)" 50
}
served() { beside curl -s --max-time 5 http://127.0.0.1:9090/metrics | awk '$1 == "tpp_requests_total" { print $2 + 0 }'; }
served_more_than() { (($(served) > $1 + $2)); }

# load_ends WHAT: none of the clients' requests has failed.
load_ends() {
    local result
    wait_until "clients are served after it" served_more_than "$(served)" 50
    kill -TERM "$load_pid"
    wait "$load_pid" || fail "the clients broke: $(cat "$shared/load")"
    load_pid=
    result=$(cat "$shared/load")
    grep -q '"failures": 0,' <<<"$result" || fail "$1: $result"
    ok "$1: $(sed -E 's/.*"requests": ([0-9]+).*"longest_ms": ([0-9]+).*/\1 requests, none failed, the longest took \2 ms/' <<<"$result")"
}

# replaced OLD_MAIN: another supervisor is in charge and says that it serves.
replaced() {
    local main
    main=$(main_pid)
    [[ $main != 0 && $main != "$1" && $(property ActiveState) == active ]] && ready
}

# adopted WHAT COMMAND...: after COMMAND another supervisor is in charge of the same workers, and no request has failed.
adopted() {
    local what=$1 main before
    shift
    main=$(main_pid)
    before=$(worker_pids)
    load_begins
    "$@"
    wait_until "$what: a new supervisor serves" replaced "$main"
    load_ends "$what"
    is "$what: the workers" "$before" "$(worker_pids)"
    ok "$what: supervisor $main gave way to $(main_pid), workers $before stayed"
}

# ------------------------------------------------------------------------------------------------------------------

lacking=$(machine_lacks)
[[ -z $lacking ]] || not_checked "this host lacks $lacking"
for tool in python3 curl; do
    command -v $tool >/dev/null 2>&1 || not_checked "this host lacks $tool"
done
machine_root "$suite" "$work/$suite" || not_checked "no root of $suite could be built (is a Debian mirror in reach?)"

own_version=$(cargo pkgid --locked -p tpp | sed 's/.*[#@]//')
version=$own_version~fast
next_version=$own_version+next~fast
if [[ -z ${PACKAGES_BUILT:-} ]]; then
    packaging/packages.sh --fast deb
    packaging/packages.sh --fast --version "$own_version+next" deb
fi

shared=$(mktemp -d)
trap finish EXIT
cp "$packages/tpp_$version-1_amd64.deb" "$shared/tpp.deb"
cp "$packages/tpp_$next_version-1_amd64.deb" "$shared/next.deb"
machine_boot "$work/$suite" "$shared" "$work/$suite.log" || fail "the machine does not start: $(tail -5 "$work/$suite.log")"
echo "systemd-test: $suite, $(inside systemctl --version | head -1)"

. packaging/systemd/steps.sh
echo
echo "systemd-test: all steps passed under $(inside systemctl --version | awk 'NR == 1 { print $1, $2 }')"
