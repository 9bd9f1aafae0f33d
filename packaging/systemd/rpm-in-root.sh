# shellcheck shell=bash disable=SC2016,SC2154
# Installs $rpm into a copy of $root, looks at what its scripts did, upgrades and removes it. Run by check-packages.sh in
# a mount namespace of its own, with which the copy goes.

fail() {
    echo "rpm-in-root: FAILED: $*" >&2
    exit 1
}

ok() { printf '   ok  %s\n' "$*"; }

mount -t tmpfs tmpfs /mnt
mkdir /mnt/upper /mnt/work /mnt/root
mount -t overlay overlay -o "lowerdir=$root,upperdir=/mnt/upper,workdir=/mnt/work" /mnt/root
in_root() { rpm --root /mnt/root "$@"; }
mode() { stat -c '%a %U %G' "/mnt/root/$1"; }

in_root --initdb
# The root is Debian's: it has what is required, but not in rpm's records.
in_root --install --force-debian --nodeps "$rpm"
in_root --verify --nodeps tpp || fail "what is installed differs from the package"
[[ $(mode etc/tpp/credentials) == "700 root root" ]] || fail "/etc/tpp/credentials is $(mode etc/tpp/credentials)"
[[ $(mode etc/tpp/tpp.toml) == "644 root root" ]] || fail "/etc/tpp/tpp.toml is $(mode etc/tpp/tpp.toml)"
grep -q '^tpp:.*nologin$' /mnt/root/etc/passwd || fail "no user tpp"
wanted=/mnt/root/etc/systemd/system/multi-user.target.wants/tpp.service
[[ -L $wanted ]] || fail "the preset does not enable the unit"
chroot /mnt/root tpp --version | grep -q '^tpp ' || fail "tpp does not run"
chroot /mnt/root tppctl --version | grep -q '^tppctl ' || fail "tppctl does not run"
ok "rpm --install: files verify, the user is there, the unit is enabled as the preset says, both programs run"

echo '# changed' >>/mnt/root/etc/tpp/tpp.toml
in_root --upgrade --force --force-debian --nodeps "$rpm"
grep -q '^# changed' /mnt/root/etc/tpp/tpp.toml || fail "the configuration was not kept"
[[ -L $wanted ]] || fail "an upgrade disables the unit"
ok "rpm --upgrade keeps the configuration, and the unit enabled"

echo secret >/mnt/root/etc/tpp/credentials/accounts
in_root --erase --force-debian tpp
[[ ! -e $wanted && ! -L $wanted ]] || fail "the unit is still enabled"
left=$(cd /mnt/root && find . -xdev -name '*tpp*' | sort | tr '\n' ' ')
[[ $left == "./etc/tpp ./etc/tpp/tpp.toml.rpmsave " ]] || fail "left behind: $left"
[[ -e /mnt/root/etc/tpp/credentials/accounts ]] || fail "rpm removed a file that was not its own"
ok "rpm --erase leaves the changed configuration, as .rpmsave, and the administrator's passwords"
