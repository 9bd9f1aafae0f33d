#!/usr/bin/env bash
# Builds tpp guided by a profile of its own work: target/pgo/tpp.
#
# Three steps: a build that counts, the load of `benches/compare --parts training` on it, a build that
# uses the counts. The profile tools must be of the LLVM that rustc is built with; Debian has them under
# that number, rustup as the component llvm-tools.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

fail() {
    echo "release-pgo: $*" >&2
    exit 1
}

llvm=$(rustc -vV | sed -n 's/^LLVM version: \([0-9]*\).*/\1/p')
host=$(rustc -vV | sed -n 's/^host: //p')
find_profdata() {
    local file
    for file in "$(rustc --print sysroot)/lib/rustlib/$host/bin/llvm-profdata" "/usr/lib/llvm-$llvm/bin/llvm-profdata"; do
        [[ -x $file ]] && echo "$file" && return
    done
    command -v "llvm-profdata-$llvm"
}
if ! profdata=$(find_profdata); then
    packaging/install-deps.sh "llvm-$llvm"
    profdata=$(find_profdata) || fail "no llvm-profdata of LLVM $llvm"
fi
packaging/install-deps.sh build bench

out=$PWD/target/pgo
counts=$out/counts
rm -rf "$counts"
mkdir -p "$counts"

# With a target named, the flags stay away from build scripts and procedural macros.
build() {
    RUSTFLAGS=$1 cargo build --release --locked -p tpp-supervisor --bin tpp --target "$host" --target-dir "$2"
}

echo "release-pgo: building the executable that counts"
build "-Cprofile-generate=$counts" "$out/counting"
echo "release-pgo: training"
cargo bench --locked --bench compare -- --parts training --tpp "$out/counting/$host/release/tpp"
compgen -G "$counts/*.profraw" >/dev/null || fail "the training left no counts in $counts"
"$profdata" merge -o "$out/tpp.profdata" "$counts"

echo "release-pgo: building with the profile"
build "-Cprofile-use=$out/tpp.profdata" "$out/using"
cp "$out/using/$host/release/tpp" "$out/tpp"
echo "release-pgo: $out/tpp"
