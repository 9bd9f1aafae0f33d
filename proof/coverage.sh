#!/usr/bin/env bash
# Lines covered by the tests, room by room: coverage.sh [--programs]
#
# The unit tests alone, and those of the configuration, which start no process either; or with --programs the whole-program tests,
# too: what supervisors and workers execute as processes of their own counts then. What is reckoned at compile time (`const fn`) counts
# as not covered. Needs cargo-llvm-cov, which is built once (packaging/tools.sh), and the profile tools of the compiler's LLVM:
# rustup's component llvm-tools, or Debian's package llvm-VERSION.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. packaging/tools.sh

fetch_tool llvm-cov
find_llvm_tools
what=(--lib --bins --test config)
[[ ${1:-} != --programs ]] || what=()
report=target/coverage.json
cargo llvm-cov --locked --workspace "${what[@]}" --json --summary-only --output-path "$report"
python3 - "$PWD" "$report" <<'END'
import collections, json, os, sys
top, report = sys.argv[1:]
# Rooms that only reckon: unit tests alone must go through nearly all of them.
PURE, LEAST = (
    "hosts/src/core", "src/config", "src/limits", "src/plan", "src/pool", "supervisor/src/outlook/metrics", "supervisor/src/plans/compile",
    "supervisor/src/plans/groups", "supervisor/src/plans/pairs", "supervisor/src/plans/spread", "supervisor/src/schedule",
    "worker/src/http1", "worker/src/message", "worker/src/view",
), 95.0
rooms = collections.defaultdict(lambda: [0, 0])
for file in json.load(open(report))["data"][0]["files"]:
    path = os.path.relpath(file["filename"], top)
    # Tests are no room of the product.
    if "/tests" in path or path.startswith(("tests/", "benches/", "fuzz/")):
        continue
    lines = file["summary"]["lines"]
    pure = [room for room in PURE if path.startswith((room + "/", room + ".rs"))]
    for room in {*(pure or [os.path.dirname(path)]), "all"}:
        rooms[room][0] += lines["covered"]
        rooms[room][1] += lines["count"]
short = []
for room, (covered, count) in sorted(rooms.items(), key=lambda row: (row[0] == "all", row[0])):
    share = 100 * covered / max(count, 1)
    is_short = room in PURE and share < LEAST
    short += [room] * is_short
    print(f"{room:36} {covered:6} of {count:6} lines  {share:5.1f} %{f'  below {LEAST:.0f} %' if is_short else ''}")
if short:
    sys.exit(f"coverage: too few lines of {', '.join(short)}")
END
