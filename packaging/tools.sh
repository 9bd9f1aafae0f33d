# shellcheck shell=bash
# Cargo's subcommands that scripts use: found where they are installed, or built once for all clones on this machine. Sourced.

tools=${XDG_CACHE_HOME:-$HOME/.cache}/tpp/tools
export PATH="$PATH:$HOME/.cargo/bin:$tools/bin"

# fetch_tool NAME: sees to it that there is `cargo NAME`.
fetch_tool() {
    cargo "$1" --version >/dev/null 2>&1 && return
    echo "cargo-$1 is not installed: building it in $tools, this once"
    # Without optimization and symbols it is built in a fraction of the time and does the same.
    CARGO_PROFILE_DEV_DEBUG=0 cargo install --locked --debug --root "$tools" "cargo-$1"
}

# find_llvm_tools: sets LLVM_PROFDATA and LLVM_COV to tools that read what this compiler's programs write. rustup's component llvm-tools
# has them, or Debian under a number, which need not be the compiler's: the format of raw profiles has been the same since LLVM 19.
find_llvm_tools() {
    [[ -z ${LLVM_PROFDATA:-} ]] || return 0
    local host newest version bin
    host=$(rustc -vV | sed -n 's/^host: //p')
    newest=$(rustc -vV | sed -n 's/^LLVM version: \([0-9]*\).*/\1/p')
    bin=$(rustc --print sysroot)/lib/rustlib/$host/bin
    ! reads_profiles "$bin" || return 0
    for ((version = newest; version >= 19; version--)); do
        bin=/usr/lib/llvm-$version/bin
        [[ -x $bin/llvm-profdata ]] || packaging/install-deps.sh "llvm-$version" >/dev/null 2>&1 || continue
        ! reads_profiles "$bin" || return 0
    done
    echo "no llvm-profdata for LLVM $newest: rustup component add llvm-tools" >&2
    return 1
}

# reads_profiles DIR: whether the tools there read the counts of a program that this compiler made; they are then the ones to use.
reads_profiles() {
    [[ -x $1/llvm-profdata && -x $1/llvm-cov ]] || return 1
    local dir code=0
    dir=$(mktemp -d)
    echo 'fn main() {}' >"$dir/main.rs"
    {
        rustc -Cinstrument-coverage -o "$dir/main" "$dir/main.rs" &&
            LLVM_PROFILE_FILE=$dir/main.profraw "$dir/main" &&
            "$1/llvm-profdata" merge -o "$dir/main.profdata" "$dir/main.profraw" &&
            "$1/llvm-cov" report "$dir/main" -instr-profile="$dir/main.profdata"
    } >/dev/null 2>&1 || code=1
    rm -rf "$dir"
    ((code == 0)) || return 1
    export LLVM_PROFDATA=$1/llvm-profdata LLVM_COV=$1/llvm-cov
}
