#!/usr/bin/env bash
# The pool's tests under a tool that watches memory: proof/memory.sh miri|tsan|valgrind. Exits 3 where it cannot run.
#
# Miri and ThreadSanitizer run what needs neither mapping nor descriptor (src/pool/stress.rs); Miri also lets loads
# be as late as the orderings allow. ThreadSanitizer needs a standard library built with it, or it takes the library's
# own locks for races. Memcheck runs the region's and the pool's tests on a real mapping.
#
# Helgrind and DRD are not among them: both know pthread's locks alone, and there is none here. Rust's mutex is a
# futex, and every word of the region is an atomic, which to both is plain memory: they would report each move of the
# pool, and a suppression wide enough for that would hide all that they could find. What they look for is covered
# by ThreadSanitizer, which knows atomics, and by the models.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

tool=${1:?miri, tsan or valgrind}

not_run() {
    echo "!!! $tool: NOT RUN: $*"
    exit 3
}

nightly() {
    cargo +nightly --version >/dev/null 2>&1 || not_run "no nightly toolchain (rustup toolchain install nightly)"
}

case $tool in
miri)
    nightly
    cargo +nightly miri --version >/dev/null 2>&1 || not_run "no Miri (rustup component add --toolchain nightly miri rust-src)"
    # Many seeds: each is another order of threads and another age of what they load.
    MIRIFLAGS="-Zmiri-many-seeds=0..${SEEDS:-8}" cargo +nightly miri test --locked -p tpp --lib \
        --target-dir target/miri pool::stress
    ;;
tsan)
    nightly
    library=$(rustc +nightly --print sysroot)/lib/rustlib/src/rust/library
    [[ -d $library ]] || not_run "no rust-src (rustup component add --toolchain nightly rust-src)"
    # halt_on_error: a race that is reported must fail the test, not only be printed.
    TSAN_OPTIONS="halt_on_error=1" RUSTFLAGS="-Zsanitizer=thread" cargo +nightly test --locked -p tpp --lib \
        -Zbuild-std --target "$(rustc -vV | sed -n 's/^host: //p')" --target-dir target/tsan -- pool::stress lending::tests
    ;;
valgrind)
    command -v valgrind >/dev/null 2>&1 || not_run "valgrind is not installed"
    program=$(cargo test --workspace --locked --lib --no-run --message-format=json 2>/dev/null |
        sed -n '/"name":"tpp",/s/.*"executable":"\([^"]*\)".*/\1/p' | tail -n 1)
    # One thread runs at a time, a hundred times slower: without the test of 65,536 waiters. Leaks are not looked for:
    # to act a death, the tests forget what the dead held.
    valgrind --quiet --error-exitcode=9 --leak-check=no --fair-sched=yes \
        "$program" --test-threads=1 --skip 65_536 pool::stress lending::tests region::tests::two region::tests::a_shorter
    ;;
*)
    echo "proof/memory.sh: unknown tool '$tool'"
    exit 2
    ;;
esac
