#!/usr/bin/env python3
"""Looks at the house, not at what is done in it: no file and no function too long, no circle between files or between folders, unsafe code in its
rooms alone, no test that nobody runs.

Whether a function of Rust is too long, clippy says (clippy.toml). An arrow goes from a file to each file of the same crate that a `use`, or a path beginning with `crate::`, `super::` or `self::`,
leads to. What stands under `#[cfg(test)]` and in test files does not count. A folder's `mod.rs` (or the file named like the folder) and what
stands inside the folder are one room with one door, so arrows between the two are no circle. Between folders an arrow is one between files
in them; what lies beside a folder is compared with it, at each level. Of programs that are tests all files count.
"""
import ast
import collections
import pathlib
import re
import subprocess
import sys
import tomllib

ROOT = pathlib.Path(__file__).resolve().parent.parent
# What has a root of its own for `crate::`.
ROOTS = ["src", "src/bin/tppctl", "hosts/src", "supervisor/src", "worker/src", "standin/src", "program/src", "packaging/generate/src", "benches/compare"]
PROGRAMS = "tests/programs.rs"
CODE = ["*.rs", "*.py", "*.sh", ".ci/run", "*.go", "*.java", "*.js", "*.mjs"]
MOST_LINES = 400
# Of a function, from its first to its last.
MOST_OF_A_FUNCTION = 60
UNSAFE_ROOMS = 4


def is_test(path: str) -> bool:
    return bool(re.search(r"(^|/)(tests|fuzzing|loom_models|fuzz)(/|\.rs$)|(^|/)(stress|play)\.rs$", path))


def product(text: str) -> str:
    """The text without comments and strings' contents, up to its tests."""
    text = re.sub(r"//[^\n]*", "", text)
    return re.split(r"#\[cfg\((?:all\()?(?:test|tpp_loom|any\(test)", text)[0] if "mod tests {" in text else text


def modules(root: str) -> dict[tuple[str, ...], str]:
    found = {}
    for file in sorted((ROOT / root).rglob("*.rs")):
        parts = list(file.relative_to(ROOT / root).with_suffix("").parts)
        if parts[0] in ("bin", "main"):
            continue
        if parts[-1] in ("mod", "lib"):
            parts.pop()
        found[tuple(parts)] = str(file.relative_to(ROOT))
    return found


def leaves(tree: str) -> list[list[str]]:
    """The paths that a use tree names: `a::{b, c::d}` are a::b and a::c::d."""
    tree = tree.strip()
    brace = tree.find("{")
    if brace < 0:
        return [[part.strip() for part in tree.split(" as ")[0].split("::") if part.strip()]]
    head = [part.strip() for part in tree[:brace].split("::") if part.strip()]
    inner, depth, items, current = tree[brace + 1 : tree.rfind("}")], 0, [], ""
    for char in inner:
        depth += (char == "{") - (char == "}")
        if char == "," and depth == 0:
            items.append(current)
            current = ""
        else:
            current += char
    items.append(current)
    return [head + leaf for item in items if item.strip() for leaf in leaves(item)]


def arrows(root: str) -> dict[str, set[str]]:
    rooms = modules(root)
    graph = {}
    for module, file in rooms.items():
        if is_test(file) and not root.startswith("tests"):
            continue
        text = product((ROOT / file).read_text())
        paths = [leaf for use in re.findall(r"\buse\s+((?:crate|super|self)\b[^;]*);", text) for leaf in leaves(use)]
        paths += [path.split("::") for path in re.findall(r"\b((?:crate|super|self)(?:::\w+)+)", text)]
        graph[file] = set()
        for path in paths:
            at = list(module)
            while path and path[0] in ("super", "self", "crate"):
                step, path = path[0], path[1:]
                at = [] if step == "crate" else at[:-1] if step == "super" else at
            at += path
            while tuple(at) not in rooms and at:
                at.pop()
            target, own = tuple(at), module
            # One is the other's door.
            if target == own[: len(target)] or own == target[: len(own)]:
                continue
            graph[file].add(rooms[target])
    return graph


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Strongly connected components of more than one file (Tarjan, 1972)."""
    index, low, stack, on_stack, found = {}, {}, [], set(), []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        on_stack.add(node)
        for target in graph.get(node, ()):
            if target not in index:
                visit(target)
                low[node] = min(low[node], low[target])
            elif target in on_stack:
                low[node] = min(low[node], index[target])
        if low[node] == index[node]:
            component = []
            while True:
                component.append(stack.pop())
                on_stack.discard(component[-1])
                if component[-1] == node:
                    break
            if len(component) > 1:
                found.append(sorted(component))

    sys.setrecursionlimit(10_000)
    for node in sorted(graph):
        if node not in index:
            visit(node)
    return found


def folders(root: str, graph: dict[str, set[str]]) -> dict[str, set[str]]:
    """The same arrows between what lies side by side where the ways to both files part: folders, or files without one. Each is called by its path."""
    module = {file: module for module, file in modules(root).items()}
    sides = collections.defaultdict(set)
    for file, target in ((file, target) for file in graph for target in graph[file]):
        parted = next(at for at, (one, other) in enumerate(zip(module[file], module[target])) if one != other) + 1
        one, other = ("/".join((root, *module[end][:parted])) for end in (file, target))
        sides[one].add(other)
    return sides


def unlisted_tests() -> list[str]:
    """Whole-program tests that neither a manifest nor the joint program lists: cargo would not run them."""
    listed = set()
    for manifest in ("Cargo.toml", "tests/Cargo.toml"):
        tests = tomllib.loads((ROOT / manifest).read_text())["test"]
        listed |= {str((ROOT / manifest).parent / test["path"]) for test in tests}
    listed |= {str(ROOT / f"tests/{name}.rs") for name in re.findall(r"^mod (\w+);", (ROOT / PROGRAMS).read_text(), re.M)}
    there = [*(ROOT / "tests").glob("*.rs"), *(ROOT / "tests").glob("*/main.rs")]
    return sorted(str(path.relative_to(ROOT)) for path in there if str(path) not in listed)


def functions(file: str, text: str) -> list[tuple[str, int]]:
    """Each function of a script, with its lines."""
    if file.endswith(".py"):
        nodes = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
        return [(node.name, node.end_lineno - node.lineno + 1) for node in nodes]
    if file.endswith((".sh", ".ci/run")):
        found = re.finditer(r"^(\w+)\(\) \{\n.*?^\}", text, re.S | re.M)
        return [(function[1], function[0].count("\n") + 1) for function in found]
    return []


def main() -> int:
    wrong = [f"{file} is in no manifest" for file in unlisted_tests()]
    files = subprocess.run(["git", "ls-files", *CODE], cwd=ROOT, check=True, capture_output=True, text=True).stdout.split()
    unsafe = []
    for file in files:
        # A library as its makers give it, in few lines that have no end.
        if not (ROOT / file).exists() or ".min." in file or ".iife." in file:
            continue
        text = (ROOT / file).read_text()
        lines = text.count("\n")
        if lines > MOST_LINES:
            wrong.append(f"{file} has {lines} lines, {MOST_LINES} are allowed: it wants to be two")
        for name, length in functions(file, text):
            if length > MOST_OF_A_FUNCTION:
                wrong.append(f"{file}: {name} has {length} lines, {MOST_OF_A_FUNCTION} are allowed: it wants to be two")
        if re.match(r"(src|hosts|supervisor|worker|standin|program)/", file) and re.search(r"^[^/\n\"]*\bunsafe (\{|fn|impl)", text, re.M):
            unsafe.append(file)
    if len(unsafe) > UNSAFE_ROOMS:
        wrong.append(f"unsafe code stands in {len(unsafe)} files, {UNSAFE_ROOMS} are allowed: {', '.join(unsafe)}")
    count = 0
    tests = sorted(str(main.parent.relative_to(ROOT)) for main in ROOT.glob("tests/*/main.rs"))
    for root in [*ROOTS, "tests", *tests]:
        graph = arrows(root)
        count += len(graph)
        # A circle of files is one of what they lie in, or lies in one folder.
        wrong += [f"rooms that use each other in a circle: {', '.join(circle)}" for circle in circles(folders(root, graph))]
    for line in wrong:
        print(f"house: {line}")
    if not wrong:
        print(f"house: {len(files)} files, none too long; no circle among {count}; unsafe in {len(unsafe)}")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
