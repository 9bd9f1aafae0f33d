#!/usr/bin/env bash
# Shows tpp at work on loopback: starts `tpp dev`, sends requests through it, asks tppctl, stops it.
# Exits with 0 only if every answer was right.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

bin=${TPP_BIN_DIR:-${CARGO_TARGET_DIR:-target}/debug}
sessions=4
dir=$(mktemp -d)
log=$dir/tpp.log
pid=

finish() {
    local code=$?
    if [[ -n $pid ]] && kill -0 "$pid" 2>/dev/null; then
        kill -TERM "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    fi
    if ((code != 0)) && [[ -s $log ]]; then
        echo "--- what tpp said:"
        cat "$log"
    fi
    rm -rf "$dir"
    exit "$code"
}
trap finish EXIT

title() { printf '\n== %s\n' "$*"; }
fail() {
    echo "demo: FAILED: $*" >&2
    exit 1
}

# expect WHAT ANSWER PATTERN: ANSWER holds PATTERN, or the demo fails.
expect() {
    grep -qE -- "$3" <<<"$2" || fail "$1: expected $3, got: $2"
    echo "   right: $1"
}

# wait_until WHAT COMMAND...: repeats COMMAND for up to 20 s.
wait_until() {
    local what=$1 deadline=$((SECONDS + 20))
    shift
    until "$@" >/dev/null 2>&1; do
        kill -0 "$pid" 2>/dev/null || fail "tpp ended before $what"
        ((SECONDS < deadline)) || fail "$what: not within 20 s"
        sleep 0.05
    done
}

# address LABEL: the value behind LABEL in what `tpp dev` prints.
address() { awk -v label="$1" '$1 == label { print $2; exit }' "$log"; }

# calculate SCRIPT [CURL ARGUMENT...]: has the server run SCRIPT, through tpp.
calculate() {
    local script=$1
    shift
    curl -sS --max-time 10 "$@" -H 'Content-Type: application/json' -d "{\"script\":\"$script\"}" "$proxy/api/execute"
}

[[ -x $bin/tpp && -x $bin/tppctl ]] || fail "no tpp and tppctl in $bin; run 'make demo'"

title "tpp dev: a supervisor, its workers, two stand-in servers with $sessions sessions, two web servers"
"$bin/tpp" dev --listen 127.0.0.1:0 --health-listen 127.0.0.1:0 --api-listen 127.0.0.1:0 --control-socket "$dir/control.sock" \
    --sessions "$sessions" >"$log" 2>&1 &
pid=$!
wait_until "the addresses are printed" grep -q '^control ' "$log"
proxy=$(address proxy)
health=$(address health)
api=$(address api)/api/v1
control=$(address control)
wait_until "tpp is ready" curl -sf --max-time 2 "$health/readyz"
grep -E '^(proxy|health|api|upstream|web|control) ' "$log"

title "A client that knows no password and no token: 1+2"
answer=$(calculate 1+2)
echo "   $answer"
expect "the answer is 3" "$answer" '"value": *"3"'

title "A client with a token of its own invention: it is replaced"
answer=$(calculate 20+22 -H 'Authorization: Bearer invented')
expect "the answer is 42" "$answer" '"value": *"42"'

title "Straight to the server, without tpp: refused"
status=$(curl -s --max-time 10 -o /dev/null -w '%{http_code}' -d '{"script":"1+2"}' "$(address upstream)/api/execute")
expect "the server wants a token" "$status" '^401$'

title "Two requests on one connection: one session"
answer=$(calculate 1+1 "$proxy/api/execute")
count=$(grep -oE '"session": *"?[0-9]+' <<<"$answer" | sort | uniq -c | awk '{ print $1 }')
expect "both answers name the same session" "$count" '^2$'

title "200 requests by 16 clients over $sessions tokens: the clients share them in turn"
# check_sum N: prints N if tpp does not answer N + 1000.
check_sum() { calculate "$1+1000" | grep -qE "\"value\": *\"$(($1 + 1000))\"" || echo "$1"; }
export -f calculate check_sum
export proxy
wrong=$(seq 200 | xargs -P 16 -I N bash -c 'check_sum N' | wc -l)
expect "wrong answers: none" "$wrong" '^0$'
while read -r server; do
    answer=$(curl -sS --max-time 5 "$server/stats")
    expect "the server at $server saw no token in use by two at a time" "$answer" '"violations": *0\b'
done < <(awk '$1 == "upstream" { print $2 }' "$log")

title "tppctl status"
"$bin/tppctl" --socket "$control" status
title "tppctl tokens"
"$bin/tppctl" --socket "$control" tokens
title "The health endpoint"
answer=$(curl -sS --max-time 5 "$health/health")
expect "healthy" "$answer" '"status": *"healthy"'
expect "all $sessions tokens usable" "$answer" "\"total\": *$sessions\\b"
expect "none left lent out" "$answer" '"in_use": *0\b'
curl -sS --max-time 5 "$health/metrics" | grep -E '^tpp_(tokens_total|requests_total|token_acquisitions_total)' |
    sed 's/^/   /'

# ask METHOD PATH [BODY]: the management API's status and answer.
ask() { curl -sS --max-time 10 -w '\n%{http_code}' -X "$1" "$api$2" -H 'Content-Type: application/json' ${3:+-d "$3"}; }
# web HOST: what a request for HOST gets, status and head included.
web() { curl -sS -i --max-time 10 -H "Host: $1" "$proxy/"; }
# web_is HOST PATTERN, host_is DOMAIN PATTERN: for wait_until.
web_is() { grep -qE -- "$2" <<<"$(web "$1")"; }
backend_is() { grep -qE -- "$2" <<<"$(ask GET "/backends/$1")"; }
# told MODE: the second web server does as it is told.
told() { curl -sS --max-time 5 -o /dev/null -d "$1" "$canary/mode"; }
canary=$(awk '$1 == "web" { address = $2 } END { print address }' "$log")

title "A host with two tagged backends: example.com is served by tag a"
expect "web-v1 answers" "$(web example.com)" '"backend":"web-v1"'

title "The management API: a new host, and again"
answer=$(ask POST /domains '{"domain":"new.example.com","enabled_backends_tag":"a"}')
expect "201: there is one more" "$answer" '^201$'
answer=$(ask POST /domains '{"domain":"new.example.com","enabled_backends_tag":"a"}')
expect "409: it is there already" "$answer" '^409$'
expect "it is served at once" "$(web new.example.com)" '"backend":"web-v1"'

title "A switch to the other tag"
answer=$(ask POST /domains/example.com/switch '{"new_tag":"canary"}')
echo "   $answer"
expect "200: every worker acts on it" "$answer" '^200$'
expect "web-v2 answers" "$(web example.com)" '"backend":"web-v2"'
expect "the other host is as it was" "$(web new.example.com)" '"backend":"web-v1"'
"$bin/tppctl" --socket "$control" domains

title "web-v2 fails: after three failures nobody asks it"
told failing
for _ in 1 2 3; do
    expect "its own 500 is passed on" "$(web example.com)" '^HTTP/1.1 500 '
done
answer=$(web example.com)
expect "503 of the breaker" "$answer" '^HTTP/1.1 503 '
expect "which says so" "$answer" '^[Xx]-[Cc]ircuit-[Bb]reaker: open'
told well
wait_until "a probe closes the breaker" web_is example.com '"backend":"web-v2"'
expect "it answers again" "$(web example.com)" '"backend":"web-v2"'

title "web-v2 falls ill: its health checks say so"
told ill
wait_until "web-v2 is down" backend_is web-v2 '"healthy": *false'
expect "503 that names the tag" "$(web example.com)" 'canary'
told well
wait_until "web-v2 is up" backend_is web-v2 '"healthy": *true'

title "Back, by tppctl"
"$bin/tppctl" --socket "$control" switch example.com a
expect "web-v1 answers" "$(web example.com)" '"backend":"web-v1"'

title "Stop"
kill -TERM "$pid"
code=0
wait "$pid" || code=$?
pid=
expect "tpp stopped cleanly" "$code" '^0$'
echo
echo "demo: all answers were right"
