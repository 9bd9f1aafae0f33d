# shellcheck shell=bash disable=SC2154
# Builds the image and runs it, with buildah and without a daemon. Sourced by check-container.sh, which defines context, fail, ok.
#
# The images that the Dockerfile begins with are made here, from Debian's packages and this machine's own Rust: no registry of images is
# asked. Everything lies in a store of its own below target, and the containers share the host's network, where the stand-in is.

image_store=$PWD/target/image
image_pids=()

# store COMMAND...: buildah on our store. Containers are changed roots: no cgroups and no namespaces that a host may refuse.
store() {
    local verb=$1
    shift
    buildah --root "$image_store/storage" --runroot "$image_store/run" --storage-driver vfs "$verb" "$@"
}

# image_lacks: prints what this host lacks, nothing if it has all.
image_lacks() {
    local tool missing=()
    for tool in buildah mmdebstrap curl pgrep; do
        command -v "$tool" >/dev/null 2>&1 || missing+=("$tool")
    done
    if ((EUID != 0)); then
        echo "root"
    elif ((${#missing[@]} > 0)); then
        echo "${missing[*]}"
    elif [[ ! -x target/debug/tpp ]]; then
        echo "a built tpp (make test)"
    fi
}

# base NAME PACKAGES: an image of that name, of Debian and these packages.
base() {
    local container
    mmdebstrap --quiet --variant=minbase --include="$2" "$suite" "$image_store/base.tar" ${MIRROR:+"$MIRROR"} || return
    container=$(store from scratch)
    store add --quiet "$container" "$image_store/base.tar" / >/dev/null
    # What the official image of Rust says; here it is the mounted one of this machine.
    store config --env PATH=/usr/local/cargo/bin:/usr/local/rust/bin:/usr/sbin:/usr/bin:/sbin:/bin --env CARGO_HOME=/usr/local/cargo "$container"
    store commit --quiet --rm "$container" "$1" >/dev/null
    rm -f "$image_store/base.tar"
}

image_bases() {
    local name suite
    mkdir -p "$image_store"
    while read -r name; do
        suite=$(sed -E 's/.*[:-](bookworm|trixie)(-slim)?$/\1/' <<<"$name")
        store inspect --type image "$name" >/dev/null 2>&1 && continue
        case $name in
        rust:*) base "$name" ca-certificates,gcc,libc6-dev,make,cmake,libprotobuf-dev,protobuf-compiler || return ;;
        *) base "$name" ca-certificates,passwd || return ;;
        esac
    done < <(awk '$1 == "FROM" { print $2 }' Dockerfile)
}

# The very Dockerfile, but for two things: downloads of crates come from this machine's, and it is built without optimization.
image_build() {
    local cargo_home=${CARGO_HOME:-$HOME/.cargo}
    sed '/--mount=type=cache,target=\/usr\/local\/cargo\/registry/d; s/^    --mount=type=cache,target=\/src\/target/RUN &/; s/^RUN  *--mount/RUN --mount/' \
        Dockerfile >"$context/Dockerfile"
    store build --quiet --isolation chroot --pull-never --format docker --build-arg PROFILE=dev --tag tpp-check \
        --volume "$(rustc --print sysroot):/usr/local/rust:ro" --volume "$cargo_home/registry:/usr/local/cargo/registry" \
        --file "$context/Dockerfile" "$context" >"$image_store/build.log" 2>&1 || fail "the image: $(tail -n 20 "$image_store/build.log")"
    ok "the image builds"
}

# image_run WHAT CONFIG [ARGUMENT...]: runs it with a configuration at that path, asks through it, and stops it.
image_run() {
    local what=$1 file=$2 container pid upstream
    shift 2
    upstream=$(image_stand_in)
    rm -rf "$context/mounted"
    mkdir -p "$context/mounted"
    case $file in
    *.yaml) printf 'listen: "127.0.0.1:0"\nhealth_listen: "127.0.0.1:0"\nupstream:\n  host: "%s"\n  port: %s\ncredentials:\n  - username: dev\n    password: dev-password\n' \
        "${upstream%:*}" "${upstream##*:}" ;;
    *)
        echo dev:dev-password >"$context/mounted/accounts"
        printf 'listen = "127.0.0.1:0"\nhealth_listen = "127.0.0.1:0"\ncredentials_file = "accounts"\n[upstream]\nhost = "%s"\nport = %s\n' \
            "${upstream%:*}" "${upstream##*:}"
        ;;
    esac >"$context/mounted/$(basename "$file")"
    chmod -R a+rX "$context/mounted" "$context"
    container=$(store from --pull-never tpp-check)
    : >"$context/container.log"
    store run --isolation chroot --volume "$context/mounted:$(dirname "$file"):ro" "$@" "$container" -- /usr/bin/tpp run \
        >"$context/container.log" 2>&1 &
    pid=$!
    image_pids+=("$pid")
    local deadline=$((SECONDS + 30)) address=
    until address=$(sed -nE 's/.*listening for clients.*address=([0-9.:]+).*/\1/p' "$context/container.log" | head -1) && [[ -n $address ]] &&
        curl -sf --max-time 5 -o "$context/answer" -d '{"script":"20+22"}' "http://$address/api/execute"; do
        kill -0 "$pid" 2>/dev/null || fail "the image with $what ended: $(cat "$context/container.log")"
        ((SECONDS < deadline)) || fail "the image with $what does not serve: $(cat "$context/container.log")"
        sleep 0.1
    done
    grep -qE '"value": *"42"' "$context/answer" || fail "the image with $what answers $(cat "$context/answer")"
    store run --isolation chroot "$@" "$container" -- /usr/bin/tppctl status >/dev/null || fail "the image with $what: its health check fails"
    [[ ! -e $context/mounted/accounts ]] || image_edit "$what" "$container" "$@"
    kill -TERM "$(supervisor_below "$pid")"
    local code=0
    wait "$pid" || code=$?
    ((code == 0)) || fail "the image with $what: exit status $code after TERM: $(tail -n 5 "$context/container.log")"
    store rm "$container" >/dev/null
    ok "the image serves, is healthy and stops in order, with $what"
}

# image_edit WHAT CONTAINER [ARGUMENT...]: another account while it runs, by a new file in the place of the old one, as editors write.
image_edit() {
    local what=$1 container=$2
    shift 2
    printf 'dev:dev-password\nanother:password\n' >"$context/mounted/accounts.new"
    chmod a+r "$context/mounted/accounts.new"
    mv "$context/mounted/accounts.new" "$context/mounted/accounts"
    store run --isolation chroot "$@" "$container" -- /usr/bin/tppctl reload >"$context/answer" 2>&1 || fail "the image with $what does not reload: $(cat "$context/answer")"
    store run --isolation chroot "$@" "$container" -- /usr/bin/tppctl status --json >"$context/answer" || true
    grep -qE '"configured_tokens": *2' "$context/answer" || fail "the image with $what does not see the account: $(cat "$context/answer")"
    ok "an account is added while it runs, with $what"
}

# supervisor_below PID: the tpp among what that process has started, however deep.
supervisor_below() {
    local child
    for child in $(pgrep -P "$1"); do
        if [[ $(cat "/proc/$child/comm" 2>/dev/null) == tpp ]]; then
            echo "$child"
        else
            supervisor_below "$child"
        fi
    done
}

# image_stand_in: prints the address of a stand-in for the server, which is started if there is none.
image_stand_in() {
    if [[ ! -s $context/stand-in ]]; then
        target/debug/tpp dev --listen 127.0.0.1:0 --health-listen 127.0.0.1:0 --api-listen 127.0.0.1:0 --control-socket "$context/stand-in.sock" \
            --sessions 1 --workers 1 >"$context/stand-in" 2>&1 &
        echo $! >"$context/stand-in.pid"
        until grep -q '^upstream ' "$context/stand-in"; do sleep 0.05; done
    fi
    sed -n '/^upstream /{s,^upstream *http://,,p;q}' "$context/stand-in"
}

image_forget() {
    [[ ! -s $context/stand-in.pid ]] || kill -TERM "$(cat "$context/stand-in.pid")" 2>/dev/null || true
    local pid
    for pid in "${image_pids[@]}"; do
        kill -TERM "$pid" 2>/dev/null || true
    done
}
