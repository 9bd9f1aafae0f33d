"""What proofs in Python share: a package of PyPI's in an environment of its own, and a tpp that has begun to listen."""

import re
import subprocess
import sys
import time
import venv
from pathlib import Path


def install(home, package, version, program):
    """`program` of an environment in `home` that has that version of the package; None: it cannot be had."""
    program, marker = home / "bin" / program, home / "version"
    if not (program.exists() and marker.exists() and marker.read_text() == version):
        venv.create(home, with_pip=True, clear=True)
        wanted = f"{package}=={version}"
        if subprocess.run([home / "bin" / "pip", "install", "-q", "--disable-pip-version-check", wanted]).returncode:
            return None
        marker.write_text(version)
    return program


def start(executable, config, log, *listeners):
    """tpp, and where it listens for each of `listeners`, as its log calls them."""
    tpp = subprocess.Popen([executable, "--config", config], stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    for _ in range(600):
        text = Path(log.name).read_text()
        found = [re.search(rf"listening for {what}.*?address=(\S+)", text) for what in listeners]
        if all(found):
            return tpp, *(one.group(1) for one in found)
        if tpp.poll() is not None:
            break
        time.sleep(0.1)
    sys.exit(f"tpp does not start:\n{Path(log.name).read_text()}")
