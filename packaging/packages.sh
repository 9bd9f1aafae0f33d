#!/usr/bin/env bash
# Builds packages into target/packages: packages.sh [--fast | --guided] [--version X.Y.Z] deb|rpm|pages|tools...
#
# --fast packs the unoptimized executables that the tests use, to check the packaging without the long build. Such packages lie
# apart, in target/packages/fast, and say ~fast in their version, which is older than that of any real one.
# --guided packs a tpp that is built with a profile of its own work (release-pgo.sh), where the tools for it can be had: it takes two builds more
# and is not the same bit for bit.
# --version names the package's version, where it is not the code's: for tests of an upgrade.
# "pages" makes the manual pages and completions alone, in target/generated; "tools" fetches cargo-deb if it is missing.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. packaging/tools.sh

fail() {
    echo "packages: $*" >&2
    exit 1
}

profile=release
guided=
version=
kinds=()
while (($# > 0)); do
    case $1 in
    --fast) profile=dev ;;
    --guided) guided=yes ;;
    --version) version=${2:?} && shift ;;
    deb | rpm | pages | tools) kinds+=("$1") ;;
    *) fail "unknown argument '$1'" ;;
    esac
    shift
done
((${#kinds[@]} > 0)) || fail "say what: deb, rpm, pages, tools"
[[ -z $guided || $profile == release ]] || fail "--fast and --guided exclude each other"

own_version=$(cargo pkgid --locked -p tpp | sed 's/.*[#@]//')
version=${version:-$own_version}
out=$PWD/target/packages
if [[ $profile == dev ]]; then
    version=$version~fast
    out=$out/fast
fi
generated=$PWD/target/generated
# The same code makes the same package, bit for bit, unless it is guided.
if [[ -z ${SOURCE_DATE_EPOCH:-} ]]; then
    SOURCE_DATE_EPOCH=$(git log -1 --format=%ct 2>/dev/null || date -d "$(sed -n 's/^ -- .*>  //p' packaging/debian/changelog | head -1)" +%s)
fi
export SOURCE_DATE_EPOCH

built=${CARGO_TARGET_DIR:-target}/$([[ $profile == dev ]] && echo debug || echo release)

make_pages() {
    build_for_development tpp-generate
    rm -rf "$generated"
    "${CARGO_TARGET_DIR:-target}/debug/tpp-generate" "$generated"
    gzip -9n <CHANGELOG.md >"$generated/changelog.gz"
    # What is linked in, and under which licence; ours, named with a path, are not in the list.
    cargo tree --locked -p tpp-program -e normal,no-proc-macro --prefix none --format '{p}: {l}' |
        sed 's/ (\*)$//' | grep -v ' (/' | sort -u >"$generated/third-party.txt"
    [[ -s $generated/third-party.txt ]] || fail "no libraries found"
    add_notices >>"$generated/third-party.txt"
    # The console's charts, which no Cargo.toml names.
    local charts=supervisor/src/doors/console/assets/uplot
    {
        printf '\n--------------------------------------------------------------------------------\n'
        printf 'uPlot %s: MIT\n\n' "$(sed -n 's/.*(v\([0-9.]*\)).*/\1/p;q' "$charts/uPlot.iife.min.js")"
        cat "$charts/LICENSE"
    } >>"$generated/third-party.txt"
}

# The notices that their licences ask to be passed on with the executables: each text once, under the libraries it came with.
add_notices() {
    local sources=${CARGO_HOME:-$HOME/.cargo}/registry/src name version file
    declare -A holders texts
    while read -r name version _; do
        while IFS= read -r file; do
            local sum
            sum=$(sha256sum <"$file" | cut -d" " -f1)
            holders[$sum]+=" $name"
            texts[$sum]=$file
        done < <(find "$sources"/*/"$name-${version#v}" -maxdepth 1 -type f \
            \( -iname 'licen[sc]e*' -o -iname 'copying*' -o -iname 'notice*' -o -iname 'copyright*' \) | sort)
    done < <(sed 's/:.*//' "$generated/third-party.txt")
    ((${#texts[@]} > 0)) || fail "no notices of the libraries found"
    local sum
    for sum in $(printf '%s\n' "${!texts[@]}" | sort); do
        printf '\n--------------------------------------------------------------------------------\n'
        tr ' ' '\n' <<<"${holders[$sum]}" | sed '/^$/d' | sort -u | paste -sd ' ' | fold -sw 120
        printf '\n'
        cat "${texts[$sum]}"
    done
}

make_programs() {
    if [[ $profile == dev ]]; then
        build_for_development tpp-program tpp
    else
        local programs=(--bin tppctl)
        if [[ -n $guided ]] && packaging/release-pgo.sh; then
            mkdir -p "$built"
            cp target/pgo/tpp "$built/tpp"
        else
            [[ -z $guided ]] || echo "packages: built without a profile, for the reason above"
            programs+=(--bin tpp)
        fi
        cargo build --locked --profile "$profile" -p tpp-program -p tpp "${programs[@]}"
    fi
}

# build_for_development CRATE...: with --fast all, and as the tests need it, so that nothing is built twice; what is compiled by C would be, for another date.
build_for_development() {
    if [[ $profile == dev ]]; then
        env -u SOURCE_DATE_EPOCH cargo test --locked --quiet --workspace --no-run
    else
        cargo build --locked "${@/#/--package=}"
    fi
}

make_deb() {
    fetch_tool deb
    mkdir -p "$out"
    # Symbols go into a package of their own, unless it is only for a test.
    local symbols=(--dbgsym)
    [[ $profile == release ]] || symbols=(--no-dbgsym --strip --fast)
    cargo deb --quiet --locked -p tpp-program --no-build --profile "$profile" "${symbols[@]}" \
        --deb-version "$version-1" -o "$out/"
}

# rpmbuild rather than cargo-generate-rpm: the latter does not strip, nor compress pages, nor list directories, licence
# and changelog (6 errors of rpmlint against 2 that are meant), and takes minutes to build where rpmbuild takes none.
make_rpm() {
    local top=$out/rpmbuild
    command -v rpmbuild >/dev/null 2>&1 || fail "no rpmbuild; on Debian: apt-get install rpm"
    rm -rf "$top"
    mkdir -p "$out"
    rpmbuild -bb --quiet packaging/rpm/tpp.spec \
        --define "_topdir $top" --define "source $PWD" --define "built $(realpath "$built")" --define "tpp_version $version" \
        --define "_buildhost localhost" --define "use_source_date_epoch_as_buildtime 1" \
        --define "clamp_mtime_to_source_date_epoch 1"
    mv "$top"/RPMS/*/*.rpm "$out/"
    rm -rf "$top"
}

if [[ ${kinds[*]} == tools ]]; then
    fetch_tool deb
    exit
fi
make_pages
made=
for kind in "${kinds[@]}"; do
    case $kind in
    deb | rpm)
        [[ -n $made ]] || make_programs
        made=yes
        "make_$kind"
        ls -l "$out"/tpp[-_]"$version"-*."$kind"
        ;;
    esac
done
