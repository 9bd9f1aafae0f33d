#!/usr/bin/env bash
# Shows that the loom models guard what they claim to: spoils a copy of the pool in one place at a time and
# runs the models on it. Each mutation must make a model fail, or stand in `expected` below with a reason.
#
#   proof/mutations.sh [--list] [REGEX]      only those whose name matches
#
# Orderings are found by themselves, so a new one is covered from the start; mutations of the logic are in `logic`.
# Exits 1 when a mutation survives that is not expected to, or one that is expected to is caught.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

target=$PWD/target/loom-mutations # its own: cargo takes a copy's build for the original's
copy=$PWD/target/mutations
files=(pool/slot pool/bitmap pool/line pool/dispatch roster/seat shared/publication shared/suspects limits/table)
# Orderings outside of the models, each argued where it stands: the region is mapped memory, and loom's atomics are not.
argued=(region/directory shared/terms limits/rows)
seconds=300 # a model that has not ended by then hangs, since all together take a few seconds

list=
if [[ ${1:-} == --list ]]; then
    list=1
    shift
fi
only=${1:-.}

# Survivors: NAME|REASON. The comment at each place says the same at greater length.
expected() {
    cat <<'END'
reclaim does not set the bit|the sweep at its end sets it, too, unless its peek is behind
END
}

# Mutations of the logic: NAME|FILE|SED SCRIPT. One that changes nothing stops the run.
logic() {
    cat <<'END'
release does not serve the line|pool/dispatch|/pub fn release/,/^    }/s/self\.dispatch(bells);//
release does not set the bit|pool/dispatch|/pub fn release/,/^    }/s/self\.bitmap\.set(slot);//
a refused grant is not withdrawn|pool/dispatch|/fn complete_offer/,/^    }/s/Err(_) => {/Err(_) => {}\n_ => {/
a withdrawn offer does not set the bit|pool/dispatch|/fn withdraw/,/^    }/s/self\.bitmap\.set(slot);//
a grant found in place counts as ours|pool/dispatch|/fn complete_offer/,/^    }/s/Err(_) => {/Err(super::word::Place::Granted(t, s)) if t == ticket \&\& s == slot => {}\n&/
a newcomer does not look at the line|pool/dispatch|s/if !self\.line_seats\.is_empty() {/if false {/
the line is served by seat, not by ticket|pool/dispatch|s/min_by_key(|(_, front)| front\.ticket())/max_by_key(|(seat, _)| seat.get())/
dispatch goes past a hidden front|pool/line|s/\.checked_sub(1)/.checked_sub(u64::MAX)/
window_first is not read again|pool/line|s/if self\.line\.window_first\.load(Relaxed) == first {/if true {/
behind_window is read after the places|pool/line|/fn scan/,/^    }/{/let behind = self/d;s/^        behind$/        self.line.behind_window.load(Acquire)/}
behind_window is lowered before the places|pool/line|s/let mut showed = false;/&\nwindow.line.behind_window.store(0, Release);/
window_first is raised after the place is cleared|pool/line|/window_first\.store(self\.first, Release);/d;s/place\.store(Place::Empty.*$/&\nwindow.line.window_first.store(self.first, Release);/
a join does not enter its seat|pool/line|s/pool\.line_seats\.set(self\.seat);//
a hidden one leaves without a word|pool/line|/self\.hidden\.remove/,/}/s/return true;/return false;/
places shown are not told|pool/line|s/showed = true;/showed = false;/
who leaves keeps its grant|pool/line|s/Place::Granted(_, slot) => pool\.withdraw(slot, self\.seat, ticket),//
a void grant is not undone|pool/line|s/window\.ungrant(.*;//
a void grant does not serve the line|pool/line|s/serve = true;/let _ = \&mut serve;/
a void grant's slot is not withdrawn|pool/line|/fn collect/,/^    }/s/pool\.withdraw(slot, self\.seat, ticket);//
release does not look at the holder|pool/slot|s/if word\.holder != holder {/if false {/
a claim takes any word|pool/slot|/pub fn claim/,/^    }/s/SlotWord::IDLE, /SlotWord::unpack(self.word.load(Relaxed)), /
the version is raised before the bytes|shared/publication|s/fence(Release);/self.version.store(version, Release);/
the version is not read again|shared/publication|s/if self\.version\.load(Relaxed) == version {/if true {/
one buffer for all|shared/publication|s/if version & 1 == 0 {/if version > 0 {/
reclaim does not sweep|pool/recovery|/^pub fn reclaim/,/^}/s/pool\.sweep(bells);//
reclaim leaves the window|pool/recovery|s/self\.window(seat)\.clear();//
reclaim does not set the bit|pool/recovery|/fn take_back/,/^    }/s/self\.bitmap\.set(.*;//
pass_by does not sweep|pool/recovery|/^pub fn pass_by/,/^}/s/pool\.sweep(bells);//
pass_by does not mark the seat|pool/recovery|/^pub fn pass_by/,/^}/s/stalled: true/stalled: false/
a sweep leaves offers to a stalled seat|pool/recovery|s/seat_word\.is_none_or(|word| word\.stalled)/false/
a sweep undoes the grant it takes back|pool/recovery|s/self\.withdraw(slot, seat, ticket);/&\nif let Some((at, Place::Granted(..))) = self.window(seat).find(ticket) { self.places[seat.get() * self.window + at].store(Place::Waiting(ticket).pack(), std::sync::atomic::Ordering::Release); }/
sweep does not set bits|pool/recovery|s/Holder::Free => self\.mark_if_idle(index),/Holder::Free => {}/
sweep does not complete offers|pool/recovery|s/self\.complete_for_another(.*;//
a pause leaves the slots|pool/pause|s/slot\.hold_back();//
resume does not serve the line|pool/pause|/pub fn resume/,/^    }/s/self\.dispatch(bells);//
resume does not set the bit|pool/pause|/fn let_go/,/^    }/s/self\.bitmap\.set(.*;//
the end of a lease names no lease|pool/slot|/pub fn is_ended/,/^    }/s/== claim\.holder()\.pack()/!= 0/
a rate does not look at its burst|limits/rate|s/fits\.then_some(after)/Some(after)/
a breaker counts no probes|limits/breaker|s/probes: probing\.probes + 1,/probes: 0,/
a breaker takes any result|limits/breaker|s/let is_current = word\.generation == pass\.generation;/let is_current = true;/
a failure is not counted|limits/breaker|s/failures: word\.failures + 1,/failures: word.failures,/
a new bucket forgets who was first|limits/window|s/if word >> STAMP_SHIFT != stamp(number) {/if word >> STAMP_SHIFT != stamp(number) || word \& mask(COUNT_BITS) != 5 {/
a newcomer does not look for its like|limits/table|s/other != at \&\& met\.debt(other) > 0/false/
a key with two entries owes one|limits/table|s/seen\.own()\.map(|at| seen\.debt(at))\.sum::<u64>()/seen.own().next().map_or(0, |at| seen.debt(at))/
an entry is moved whatever it says|limits/table|s/compare_exchange(seen\.words\[at\], /compare_exchange(set[at].load(Relaxed), /
probes are given back twice|limits/probes|/pub fn give_back/,/^    }/s/self\.0\.store(0, Relaxed);//
lost probes stay out|limits/probes|s/breaker\.lost(.*;//
sweep does not serve the line|pool/recovery|/pub fn sweep_offers/,/^    }/s/self\.dispatch(bells);//
END
}

# Each ordering in the code of a file: NAME|FILE|SED SCRIPT. A name is file, function, ordering (and which of several), weaker.
orderings() {
    local file
    for file in "${files[@]}"; do
        awk -v file="$file" '
            function emit(what, k, weaker, script) {
                printf "%s::%s %s%s -> %s|%s|%s\n", file, fn, what, (k > 1 ? "#" k : ""), weaker, file, script
            }
            match($0, /fn [a-z_]+/) { fn = substr($0, RSTART + 3, RLENGTH - 3) }
            /^ *(\/\/|use )|sync::atomic::Ordering::/ { next }
            {
                sub(/\/\/.*/, "")
                if (match($0, /fence\([A-Za-z]+\);/)) {
                    what = substr($0, RSTART, RLENGTH - 1)
                    k = ++seen[fn, what]
                    emit(what, k, "nothing", NR "s/fence(.*);//")
                    if (what ~ /SeqCst/) emit(what, k, "AcqRel", NR "s/SeqCst/std::sync::atomic::Ordering::AcqRel/")
                    next
                }
                n = split("AcqRel Acquire Release", names, " ")
                for (i = 1; i <= n; i++) {
                    line = $0
                    for (nth = 1; match(line, "[^A-Za-z:]" names[i] "[^A-Za-z]"); nth++) {
                        line = substr(line, RSTART + RLENGTH - 1)
                        k = ++seen[fn, names[i]]
                        m = split(names[i] == "AcqRel" ? "Acquire Release Relaxed" : "Relaxed", weaker, " ")
                        for (w = 1; w <= m; w++)
                            emit(names[i], k, weaker[w], NR "s/\\b" names[i] "\\b/std::sync::atomic::Ordering::" weaker[w] "/" nth)
                    }
                }
            }' "src/$file.rs"
    done
}

cargo_test() {
    RUST_BACKTRACE=0 RUSTFLAGS="--cfg tpp_loom -C debug-assertions" LOOM_MAX_PREEMPTIONS=2 \
        CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 \
        "${limit[@]}" cargo test --quiet --manifest-path "$copy/Cargo.toml" -p tpp --release --lib --locked \
        --target-dir "$target" "$@"
}

# run: says what the models make of the copy: `survived`, or which of them caught it.
run() {
    local log=$copy.log code=0 limit=()
    if ! cargo_test --no-run >"$log" 2>&1; then
        echo "does not compile"
        return
    fi
    limit=(timeout "$seconds")
    cargo_test loom_ >"$log" 2>&1 || code=$?
    case $code in
    0) echo survived ;;
    *) awk -v code="$code" '/ --- FAILED$/ && !seen[$1]++ { sub(/.*::loom_/, ""); sub(/ .*/, ""); found = found (n++ ? ", " : "") $0 }
        /\(signal: [0-9]+, SIG/ { died = 1 }
        END {
            if (n) print "caught: " found
            else if (died) print "caught: the run died"
            else if (code == 124) print "caught: hangs"
            else print "broken: no model failed, but the run did"
        }' "$log" ;;
    esac
}

# An ordering in a file that nobody vouches for must not go unseen.
unseen() {
    local known
    known=$(printf 'src/%s.rs\n' "${files[@]}" "${argued[@]}")
    grep -lE '[^A-Za-z](Acquire|Release|AcqRel|SeqCst)[,)]' src/{pool,roster,shared,limits,lending,region}/*.rs |
        # tests.rs and words.rs are for tests alone.
        grep -vxF -e "$known" | grep -vE '/(tests|words|loom_models)\.rs$' || true
}
if [[ -n $(unseen) ]]; then
    echo "mutations: orderings in files that are neither mutated nor argued: $(unseen)"
    exit 1
fi

all=$(orderings && logic)
chosen=$(awk -F '|' -v only="$only" '$1 ~ only' <<<"$all")
if [[ -n $list ]]; then
    cut -d'|' -f1 <<<"$chosen"
    exit
fi

rm -rf "$copy" "$copy.pristine"
mkdir -p "$copy"
# Restored from here after each mutation, so that the tree may be worked on meanwhile.
cp -r src "$copy.pristine"
git ls-files -z --cached --others --exclude-standard | tar -c --null -T - --ignore-failed-read 2>/dev/null | tar -x -m -C "$copy" # -m: else what the last run built would pass for this
# A name that is expected and not there any more would excuse nothing, or the wrong thing.
while IFS='|' read -r name _; do
    if [[ -n $name ]] && ! grep -qF "$name|" <<<"$all"; then
        echo "mutations: no mutation is called '$name', but one is expected to survive"
        exit 1
    fi
done < <(expected)

verdict=$(run)
if [[ $verdict != survived ]]; then
    echo "mutations: the models must pass on the unspoilt tree: $verdict"
    exit 1
fi

total=0 caught=0 survived=0 wrong=()
while IFS='|' read -r name file script; do
    spoilt=$copy/src/$file.rs
    sed -i "$script" "$spoilt"
    if cmp -s "$copy.pristine/$file.rs" "$spoilt"; then
        verdict="changes nothing"
    else
        verdict=$(run)
    fi
    cp "$copy.pristine/$file.rs" "$spoilt"
    reason=$(expected | awk -F '|' -v name="$name" '$1 == name { print $2 }')
    total=$((total + 1))
    case $verdict in
    caught:*) caught=$((caught + 1)) ;;
    survived) survived=$((survived + 1)) ;;
    *) wrong+=("$name: $verdict") ;;
    esac
    if [[ $verdict == survived && -n $reason ]]; then
        verdict="survived, as expected: $reason"
    elif [[ $verdict == survived ]]; then
        wrong+=("$name: survived")
    elif [[ -n $reason ]]; then
        wrong+=("$name: expected to survive, but $verdict")
    fi
    printf '%-60s %s\n' "$name" "$verdict"
done <<<"$chosen"

echo
printf '%-12s %s\n' mutations "$total" caught "$caught" survived "$survived"
if ((${#wrong[@]} > 0)); then
    printf 'WRONG: %s\n' "${wrong[@]}"
    exit 1
fi
