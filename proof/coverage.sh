#!/usr/bin/env bash
# Lines covered by the tests, room by room: coverage.sh [--programs]
#
# The unit tests alone, or with --programs the whole-program tests, too: what supervisors and workers execute as processes of
# their own counts then. Needs cargo-llvm-cov, which is built once (packaging/tools.sh), and the profile tools of the compiler's
# LLVM: rustup's component llvm-tools, or Debian's package llvm-VERSION.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. packaging/tools.sh

fetch_tool llvm-cov
find_llvm_tools
what=(--lib --bins)
[[ ${1:-} != --programs ]] || what=()
report=target/coverage.json
cargo llvm-cov --locked --workspace "${what[@]}" --json --summary-only --output-path "$report"
python3 - "$PWD" "$report" <<'END'
import collections, json, os, sys
top, report = sys.argv[1:]
rooms = collections.defaultdict(lambda: [0, 0])
for file in json.load(open(report))["data"][0]["files"]:
    path = os.path.relpath(file["filename"], top)
    # Tests are no room of the product.
    if "/tests" in path or path.startswith(("tests/", "benches/", "fuzz/")):
        continue
    lines = file["summary"]["lines"]
    for room in {os.path.dirname(path), "all"}:
        rooms[room][0] += lines["covered"]
        rooms[room][1] += lines["count"]
for room, (covered, count) in sorted(rooms.items(), key=lambda row: (row[0] == "all", row[0])):
    print(f"{room:36} {covered:6} of {count:6} lines  {100 * covered / max(count, 1):5.1f} %")
END
