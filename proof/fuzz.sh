#!/usr/bin/env bash
# Fuzzes: proof/fuzz.sh SECONDS [TARGET]. All targets in turn, or one; SECONDS is for each.
#
# New inputs go to target/fuzz-corpus, so that the committed corpora stay small. An input that breaks a promise is
# kept in fuzz/artifacts; put it into fuzz/corpus/TARGET once it is mended: `cargo test` replays what lies there.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

seconds=${1:?seconds for each target}
target=${2:-}

if ! cargo fuzz --version >/dev/null 2>&1; then
    echo "!!! FUZZING NOT RUN: cargo-fuzz is not installed (cargo install --locked cargo-fuzz)"
    exit 3
fi
# cargo-fuzz needs options of the compiler that are not stable yet.
cargo=(cargo +nightly)
if ! cargo +nightly --version >/dev/null 2>&1; then
    cargo=(cargo)
    export RUSTC_BOOTSTRAP=1
fi

read -ra targets <<<"${target:-$(cd fuzz/fuzz_targets && echo *.rs | sed 's/\.rs//g')}"
"${cargo[@]}" fuzz build --target-dir target/fuzz ${target:+"$target"}

failed=()
table=()
for name in "${targets[@]}"; do
    found=target/fuzz-corpus/$name log=target/fuzz-$name.log
    mkdir -p "$found"
    echo "==> $name, $seconds s"
    verdict=held
    # One huge input is one huge input, not a finding: memory is bounded by what each parser is given.
    if ! "${cargo[@]}" fuzz run --target-dir target/fuzz "$name" "$found" "fuzz/corpus/$name" -- \
        -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -max_len=8192 -print_final_stats=1 >"$log" 2>&1; then
        verdict=BROKEN
        failed+=("$name")
        tail -n 40 "$log"
    fi
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    edges=$(grep -o 'cov: [0-9]*' "$log" | tail -n 1)
    table+=("$(printf '%-20s %12s executions, %5s edges covered: %s' "$name" "${runs:-0}" "${edges#cov: }" "$verdict")")
done
printf '%s\n' "${table[@]}"
if ((${#failed[@]} > 0)); then
    echo "fuzzing: a promise was broken by: ${failed[*]}"
    exit 1
fi
