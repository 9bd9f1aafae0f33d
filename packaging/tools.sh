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
