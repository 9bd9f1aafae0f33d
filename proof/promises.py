#!/usr/bin/env python3
"""Every promise in docs/promises.md names tests that are there: exits with 1 and says which are not."""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs/promises.md"
FILE = re.compile(r"`([\w./-]+\.rs)`")
NAME = re.compile(r"`(\w+)`")


def has_test(text: str, name: str) -> bool:
    """Whether a function of this name is there and is a test, by itself or of a table of them."""
    attribute = r"#\[(?:\w+::)?test\b[^\n]*\n(?:\s*(?:#\[|//)[^\n]*\n)*\s*(?:async )?fn " + name + r"\("
    return bool(re.search(attribute, text) or re.search(r"^\s*" + name + r"\b\s*[:{=(]", text, re.M))


def problems() -> list[str]:
    found, promise, held = [], None, True
    for number, line in enumerate(PAGE.read_text().splitlines(), 1):
        place = f"docs/promises.md:{number}"
        if line.startswith("- "):
            if not held:
                found.append(f"{promise}: no test is named")
            promise, held = place, False
        elif line.startswith("  - "):
            held = True
            files = FILE.findall(line)
            if not files:
                found.append(f"{place}: no file is named")
            for file in files:
                path = ROOT / file
                if not path.is_file():
                    found.append(f"{place}: there is no {file}")
            names = NAME.findall(line)
            if len(files) == 1 and (ROOT / files[0]).is_file():
                text = (ROOT / files[0]).read_text()
                found += [f"{place}: {files[0]} has no test {name}" for name in names if not has_test(text, name)]
            elif names:
                found.append(f"{place}: one file and its tests, or several files")
    if not held:
        found.append(f"{promise}: no test is named")
    return found


if __name__ == "__main__":
    wrong = problems()
    for problem in wrong:
        print(problem)
    promises = sum(line.startswith("- ") for line in PAGE.read_text().splitlines())
    print(f"{promises} promises, {len(wrong)} problems")
    sys.exit(bool(wrong) or promises == 0)
