# shellcheck shell=bash disable=SC2016,SC2154
# A machine with a systemd of its own: a container of systemd-nspawn over a root of mmdebstrap. Sourced by systemd-test.sh.
#
# The container gets a cgroup2 mount that nobody else sees, so that it runs on hosts with the old hierarchy as well, and
# a network of its own with nothing but loopback. Its root is an overlay: each boot begins afresh.

machine_name=tpp-systemd-test-$$
machine_pid=
machine_init=

# machine_lacks: prints what this host lacks to run one, nothing if it has all.
machine_lacks() {
    local tool missing=()
    for tool in mmdebstrap systemd-nspawn nsenter unshare pgrep; do
        command -v "$tool" >/dev/null 2>&1 || missing+=("$tool")
    done
    if ((EUID != 0)); then
        echo "root"
    elif ((${#missing[@]} > 0)); then
        echo "${missing[*]}"
    elif ! unshare --mount --propagation private -- mount -t cgroup2 cgroup2 /mnt 2>/dev/null; then
        echo "permission to mount cgroup2"
    fi
}

# machine_root SUITE DIRECTORY: builds the root, unless it stands there already.
machine_root() {
    local include=systemd,systemd-sysv,dbus,procps
    [[ $(cat "$2/.complete" 2>/dev/null) == "$include" ]] && return
    rm -rf "$2"
    mkdir -p "$(dirname "$2")"
    mmdebstrap --quiet --variant=minbase --include=$include "$1" "$2" ${MIRROR:+"$MIRROR"} || return
    echo $include >"$2/.complete"
}

# machine_boot ROOT SHARED LOG: starts it, with the directory SHARED under /shared, and waits until it is up.
machine_boot() {
    # Both --register=no and --keep-unit: the host's init need not be systemd. @memlock: nspawn's own filter refuses
    # mlock otherwise.
    setsid unshare --mount --propagation private -- bash -c '
        umount -R /sys/fs/cgroup 2>/dev/null
        mkdir -p /sys/fs/cgroup && mount -t cgroup2 cgroup2 /sys/fs/cgroup || exit
        mkdir -p "/sys/fs/cgroup/$1" && echo $$ >"/sys/fs/cgroup/$1/cgroup.procs" || exit
        exec systemd-nspawn --quiet --boot --directory="$2" --machine="$1" --bind-ro="$3:/shared" \
            --register=no --keep-unit --private-network --resolv-conf=off --timezone=off --link-journal=no \
            --console=pipe --system-call-filter=@memlock --volatile=overlay' \
        machine "$machine_name" "$1" "$2" </dev/null >"$3" 2>&1 &
    machine_pid=$!
    local deadline=$((SECONDS + 60))
    until machine_init=$(pgrep -P "$machine_pid" -x systemd) && [[ $(inside systemctl is-system-running 2>/dev/null) =~ ^(running|degraded)$ ]]; do
        kill -0 "$machine_pid" 2>/dev/null || return 1
        ((SECONDS < deadline)) || return 1
        sleep 0.1
    done
}

# inside COMMAND...: runs it as root in the machine.
inside() {
    nsenter -t "$machine_init" --mount --uts --ipc --net --pid --cgroup --root --wd -- \
        env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive "$@" </dev/null
}

# into FILE: writes standard input to FILE in the machine.
into() {
    nsenter -t "$machine_init" --mount --root -- /bin/sh -c 'cat >"$1"' into "$1"
}

# beside COMMAND...: runs a program of this host in the machine's network.
beside() {
    nsenter -t "$machine_init" --net -- "$@"
}

# machine_stop: powers it off and removes what it leaves on the host.
machine_stop() {
    [[ -n $machine_pid ]] || return 0
    if [[ -n $machine_init ]]; then
        inside systemctl poweroff >/dev/null 2>&1 || true
    fi
    local deadline=$((SECONDS + 20))
    while kill -0 "$machine_pid" 2>/dev/null; do
        ((SECONDS < deadline)) || kill -KILL "$machine_init" "$machine_pid" 2>/dev/null || true
        sleep 0.1
    done
    wait "$machine_pid" 2>/dev/null || true
    machine_pid=
    unshare --mount --propagation private -- bash -c '
        umount -R /sys/fs/cgroup 2>/dev/null
        mkdir -p /sys/fs/cgroup && mount -t cgroup2 cgroup2 /sys/fs/cgroup &&
            find "/sys/fs/cgroup/$1" -depth -type d -exec rmdir {} +' machine "$machine_name" 2>/dev/null || true
}
