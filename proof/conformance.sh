#!/usr/bin/env bash
# An HTTP client's own test suite (that of Python's requests) against httpbin, directly and through tpp: what passes
# must be the same, but for the tests named in proof/conformance/differences, each with its reason.
#
# Needs Python 3 with venv, and PyPI for the first run. Exits 3 where it cannot run.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

own=$PWD/proof/conformance
work=$PWD/target/conformance
tpp=${TPP:-$PWD/target/debug/tpp}

not_run() {
    echo "!!! CONFORMANCE NOT RUN: $*"
    exit 3
}

python3 -c 'import venv' 2>/dev/null || not_run "no Python 3 with venv"
[[ -x $tpp && -x ${tpp%/*}/tppctl ]] || {
    echo "conformance: $tpp and tppctl beside it are missing: cargo build --workspace"
    exit 1
}
mkdir -p "$work"
if ! cmp -s "$own/requirements.txt" "$work/installed"; then
    rm -rf "$work/venv" "$work"/requests-*
    python3 -m venv "$work/venv"
    "$work/venv/bin/pip" -q install -r "$own/requirements.txt" >"$work/pip.log" 2>&1 || not_run "$(tail -n 1 "$work/pip.log")"
    # The suite itself is in the source distribution alone.
    version=$(sed -n 's/^requests==//p' "$own/requirements.txt")
    "$work/venv/bin/pip" -q download --no-deps --no-binary :all: --dest "$work" "requests==$version" >"$work/pip.log" 2>&1 ||
        not_run "$(tail -n 1 "$work/pip.log")"
    tar -xf "$work/requests-$version.tar.gz" -C "$work"
    cp "$own/requirements.txt" "$work/installed"
fi
suite=$(echo "$work"/requests-*/tests)

pids=()
finish() {
    ((${#pids[@]} == 0)) || kill "${pids[@]}" 2>/dev/null || true
    wait
}
trap finish EXIT

rm -f "$work/port"
"$work/venv/bin/python" "$own/server.py" >"$work/port" 2>"$work/server.log" &
pids+=($!)
for _ in {1..100}; do
    [[ -s $work/port ]] && break
    sleep 0.1
done
port=$(<"$work/port")

cat >"$work/tpp.toml" <<END
listen = "127.0.0.1:0"
health_listen = "127.0.0.1:0"
control_socket = "$work/control.sock"
[workers]
count = 2
[upstream]
host = "127.0.0.1"
port = $port
[token]
login_timeout_seconds = 2 # what a 401 that no new token cures may cost
[[credentials]]
username = "u"
password = "p"
sessions = 300
END
"$tpp" --config "$work/tpp.toml" >"$work/tpp.log" 2>&1 &
pids+=($!)
status() {
    "${tpp%/*}/tppctl" --socket "$work/control.sock" status --json
}
for _ in {1..100}; do
    through=$(status 2>/dev/null | python3 -c 'import json, sys
status = json.load(sys.stdin)
print(status["listen"][0] if status["pool"]["total"] == 300 else "")' 2>/dev/null) && [[ -n $through ]] && break
    sleep 0.1
done

# run NAME URL: writes the outcome of each test, in their order, to NAME.
run() {
    (cd "${suite%/*}" && CONFORMANCE_URL=$2 PYTHONPATH=$own PYTEST_DISABLE_PLUGIN_AUTOLOAD=1 \
        "$work/venv/bin/python" -m pytest -p elsewhere -p pytest_mock -p no:cacheprovider -q -rA --tb=short --durations=8 \
        -o addopts= tests) >"$work/$1.log" 2>&1 || true
    sed -nE 's/^(PASSED|FAILED|ERROR|SKIPPED|XFAIL|XPASS) (tests[^ ]*).*/\1 \2/p' "$work/$1.log" | sort -u -k 2 >"$work/$1"
    printf '%-10s %s\n' "$1" "$(tail -n 1 "$work/$1.log")"
}
run directly "http://127.0.0.1:$port"
run through "http://$through"

passed=$(grep -c '^PASSED' "$work/directly") || true
((passed > 200)) || {
    echo "conformance: only $passed tests passed without tpp: see $work/directly.log"
    exit 1
}
{ diff "$work/directly" "$work/through" || true; } | sed -n 's/^[<>] [A-Z]* //p' | sort -u >"$work/differ"
sed -n "s/^#.*//; /./p" "$own/differences" | sort -u >"$work/expected"
echo "conformance: $passed tests pass without tpp; $(wc -l <"$work/differ") have another outcome through it, $(wc -l <"$work/expected") are expected to"
if ! diff -u "$work/expected" "$work/differ"; then
    echo "conformance: the outcomes differ where they should not, or no longer differ where they should"
    exit 1
fi
