#!/usr/bin/env bash
# Runs the proofs that a lease cannot be lost, and prints one table: what was checked, how much of it, violations.
#
#   proof/run.sh [REGEX]      only those whose name matches
#
# SECS is for torture and chaos each (60). Logs are in target/proof. Exits 1 when anything was violated; a proof
# that cannot run here is NOT RUN in the table, and no failure.
# If NOT_CHECKED names a file, what could not run is said there, too.
# shellcheck disable=SC2317,SC2329 # what prints a summary is called by its name
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
exec </dev/null

only=${1:-.}
seconds=${SECS:-60}
logs=target/proof
mkdir -p "$logs"
table=() failed=0

# row NAME HOW_MUCH VIOLATIONS TIME
row() {
    table+=("$(printf '%-14s %-94s %10s %6s' "$@")")
}

# proof NAME SUMMARY COMMAND...: runs it and gives its log to SUMMARY, which prints "how much|violations".
proof() {
    local name=$1 summary=$2 started=$SECONDS code=0 result why
    shift 2
    [[ $name =~ $only ]] || return 0
    echo "==> $name: $*"
    "$@" >"$logs/$name.log" 2>&1 || code=$?
    if ((code == 3)); then
        grep '^!!!' "$logs/$name.log"
        why=$(sed -n 's/^!!!.*NOT RUN: //p' "$logs/$name.log" | tail -n 1)
        row "$name" "NOT RUN: $why" - -
        [[ -z ${NOT_CHECKED:-} ]] || echo "$name: $why" >>"$NOT_CHECKED"
        return
    fi
    result=$("$summary" <"$logs/$name.log")
    if ((code != 0)); then
        failed=1
        tail -n 60 "$logs/$name.log"
        [[ ${result##*|} =~ ^[1-9] ]] || result="${result%|*}|FAILED"
    fi
    row "$name" "${result%|*}" "${result##*|}" "$((SECONDS - started)) s"
}

# The models run the pool's own code under loom's scheduler. Link-time optimization would only cost time.
loom() {
    RUSTFLAGS="--cfg tpp_loom -C debug-assertions" LOOM_MAX_PREEMPTIONS="${LOOM_MAX_PREEMPTIONS:-2}" \
        CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 \
        cargo test -p tpp --release --lib --locked --target-dir target/loom loom_
}

in_models() {
    awk -v bound="${LOOM_MAX_PREEMPTIONS:-2}" '/^test result:/ { passed += $4; failed += $6 }
        END { printf "%d models, every order with up to %d preemptions|%d\n", passed + failed, bound, failed }'
}

in_tests() {
    awk '/^test result:/ { passed += $4; failed += $6 } END { printf "%d tests|%d\n", passed + failed, failed }'
}

in_seeds() {
    awk '/^test result:/ { passed += $4; failed += $6 }
        END { printf "%d runs of a test, each with another schedule|%d\n", passed + failed, failed }'
}

in_points() {
    awk '/ points \(/ { operations++; whole += /\(all\)/; for (i = 2; i <= NF; i++) { if ($i == "points") points += $(i - 1); if ($i ~ /^violations/) violations += $(i - 1) } }
        END { printf "%d points of %d operations, %d of them at every instruction|%d\n", points, operations, whole, violations }'
}

# torture: ...: A, B, C; N violations, M leaks
in_torture() {
    sed -nE 's/^torture: (.*); ([0-9]+) violations, ([0-9]+) leaks$/\1|\2+\3/p' |
        awk -F '|' '{ split($2, bad, "+"); sub(/, [0-9]+ passed by.*/, "", $1); print $1 "|" bad[1] + bad[2] }'
}

in_chaos() {
    sed -nE 's/^chaos: (.* requests served);.*; ([0-9]+) violations$/\1|\2/p'
}

proof loom in_models loom
# Each point of the operations up to so many instructions, a sample of the longer ones: `make crash-points` takes all of all.
proof crash-points in_points make --no-print-directory crash-points EVERY="${EVERY_CRASH_POINT:-4000}"
proof searches in_tests make --no-print-directory searches
proof torture in_torture make --no-print-directory torture SECS="$seconds"
proof chaos in_chaos make --no-print-directory chaos SECS="$seconds"
proof miri in_seeds proof/memory.sh miri
proof tsan in_tests proof/memory.sh tsan
proof valgrind in_tests proof/memory.sh valgrind

echo
printf '%-14s %-94s %10s %6s\n' proof checked violations took
printf '%s\n' "${table[@]}"
exit "$failed"
