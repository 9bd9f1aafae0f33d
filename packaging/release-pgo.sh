#!/usr/bin/env bash
# Builds tpp guided by a profile of its own work: target/pgo/tpp.
#
# Three steps: a build that counts, the load of `benches/compare --parts training` on it, a build that
# uses the counts.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. packaging/tools.sh

fail() {
    echo "release-pgo: $*" >&2
    exit 1
}

find_llvm_tools || fail "needs the profile tools of LLVM"
host=$(rustc -vV | sed -n 's/^host: //p')
packaging/install-deps.sh build training

out=$PWD/target/pgo
counts=$out/counts
# Cargo does not see that a profile of the same name is another one.
rm -rf "$counts" "$out/using"
mkdir -p "$counts"

# With a target named, the flags stay away from build scripts and procedural macros.
build() {
    RUSTFLAGS=$1 cargo build --release --locked -p tpp-program --bin tpp --target "$host" --target-dir "$2"
}

echo "release-pgo: building the executable that counts"
build "-Cprofile-generate=$counts" "$out/counting"
echo "release-pgo: training"
cargo bench --locked --bench compare -- --parts training --tpp "$out/counting/$host/release/tpp"
compgen -G "$counts/*.profraw" >/dev/null || fail "the training left no counts in $counts"
"$LLVM_PROFDATA" merge -o "$out/tpp.profdata" "$counts"

echo "release-pgo: building with the profile"
build "-Cprofile-use=$out/tpp.profdata" "$out/using"
cp "$out/using/$host/release/tpp" "$out/tpp"
echo "release-pgo: $out/tpp"
