#!/usr/bin/env bash
# Checks what packages.sh has built: check-packages.sh [--fast] [deb] [rpm]
#
# The deb by lintian, the rpm by installing it into a root of its own and removing it again. What this host cannot check
# it says, and if NOT_CHECKED names a file, there too.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export PATH="$PATH:$HOME/.cargo/bin:/usr/sbin:/sbin"
packages=$PWD/target/packages
root=$PWD/target/systemd-test/bookworm
version=$(cargo pkgid --locked -p tpp | sed 's/.*[#@]//')
if [[ ${1:-} == --fast ]]; then
    packages=$packages/fast
    version=$version~fast
    shift
fi
deb=$(echo "$packages/tpp_$version-1"_*.deb)
rpm=$(echo "$packages/tpp-$version-1".*.rpm)
. packaging/systemd/machine.sh

fail() {
    echo "check-packages: FAILED: $*" >&2
    exit 1
}

ok() { printf '   ok  %s\n' "$*"; }

not_checked() {
    echo "!!! $1: NOT CHECKED: $2"
    [[ -z ${NOT_CHECKED:-} ]] || echo "$1: $2" >>"$NOT_CHECKED"
}

# What both packages must hold, whatever else they do.
files=(
    usr/bin/tpp usr/bin/tppctl etc/tpp/tpp.toml
    usr/share/man/man1/tpp.1.gz usr/share/man/man1/tppctl.1.gz usr/share/man/man5/tpp.toml.5.gz
    usr/lib/systemd/system/tpp.service usr/lib/sysusers.d/tpp.conf usr/lib/tmpfiles.d/tpp.conf
    usr/share/bash-completion/completions/tpp usr/share/bash-completion/completions/tppctl
    usr/share/fish/vendor_completions.d/tpp.fish usr/share/fish/vendor_completions.d/tppctl.fish
    usr/share/doc/tpp/examples/tpp.toml usr/share/doc/tpp/third-party.txt
    etc/logrotate.d/tpp usr/share/tpp/prometheus/rules.yml usr/share/tpp/grafana/tpp.json
)
# What an administrator changes, and an upgrade leaves alone.
configuration=$'/etc/logrotate.d/tpp\n/etc/tpp/tpp.toml'

# holds LIST FILE...: each stands in LIST.
holds() {
    local list=$1 file
    shift
    for file in "$@"; do
        grep -qxE "\.?/?$file" <<<"$list" || fail "$file is not in the package"
    done
}

check_deb() {
    [[ -f $deb ]] || fail "no $deb; make deb"
    holds "$(dpkg-deb --fsys-tarfile "$deb" | tar -t)" "${files[@]}" usr/share/zsh/vendor-completions/_tpp{,ctl} \
        usr/share/doc/tpp/{copyright,changelog.gz,changelog.Debian.gz}
    [[ $(dpkg-deb --info "$deb" conffiles | sort) == "$configuration" ]] || fail "its conffiles are others than $configuration"
    dpkg-deb --field "$deb" Depends | grep -q 'libc6 (>= ' || fail "it does not depend on libc6"
    # Older ones know no credentials; where there is no systemd, what makes the user is enough.
    dpkg-deb --field "$deb" Depends | grep -qF 'systemd (>= 250) | systemd-standalone-sysusers (>= 250)' ||
        fail "it does not depend on systemd 250 or what stands in for it: $(dpkg-deb --field "$deb" Depends)"
    ok "the deb holds ${#files[@]} files and more, and keeps the configuration"
    if command -v lintian >/dev/null 2>&1; then
        lintian --allow-root --fail-on error,warning "$deb" || fail "lintian"
        ok "lintian has nothing to say that is not argued for in packaging/lintian/tpp"
    else
        not_checked "the deb's policy" "lintian is not installed"
    fi
    if command -v mandoc >/dev/null 2>&1; then
        # The pages bear no date, on purpose.
        local said
        said=$(mandoc -T lint -W warning target/generated/*.[15] | grep -v 'missing date' || true)
        [[ -z $said ]] || fail "mandoc: $said"
        ok "mandoc renders the manual pages without a warning"
    else
        not_checked "the manual pages' markup" "mandoc is not installed"
    fi
}

check_rpm() {
    [[ -f $rpm ]] || fail "no $rpm; make rpm"
    rpm --checksig --nosignature "$rpm" >/dev/null || fail "digests"
    holds "$(rpm -qlp "$rpm")" "${files[@]}" usr/share/zsh/site-functions/_tpp{,ctl} usr/share/licenses/tpp/LICENSE-{MIT,APACHE} \
        etc/tpp/credentials
    [[ $(rpm -qp --configfiles "$rpm" | sort) == "$configuration" ]] || fail "its configuration files are others than $configuration"
    local needed
    for needed in 'libc\.so\.6\(GLIBC_[0-9.]+\)\(64bit\)' 'systemd >= 250'; do
        rpm -qp --requires "$rpm" | grep -qxE "$needed" || fail "it does not require $needed"
    done
    # EL9 has glibc 2.34.
    local newest
    newest=$(rpm -qp --requires "$rpm" | sed -nE 's/.*\(GLIBC_([0-9.]+)\).*/\1/p' | sort -V | tail -1)
    [[ $(printf '%s\n' "$newest" 2.34 | sort -V | tail -1) == 2.34 ]] || not_checked "the rpm on EL9" "built here it needs glibc $newest"
    ok "the rpm holds ${#files[@]} files and more, requires systemd and glibc $newest, and keeps the configuration"

    local lacking
    lacking=$(machine_lacks)
    if [[ -n $lacking ]]; then
        not_checked "the rpm's installation" "this host lacks $lacking"
    elif ! machine_root bookworm "$root"; then
        not_checked "the rpm's installation" "no root could be built"
    else
        export root rpm
        unshare --mount --propagation private -- bash -euo pipefail packaging/systemd/rpm-in-root.sh || fail "the rpm's installation"
    fi
}

(($# > 0)) || set -- deb rpm
for kind in "$@"; do
    "check_$kind"
done
