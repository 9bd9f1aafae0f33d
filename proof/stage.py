"""What proofs in Python share: packages of PyPI's in an environment of their own, and a tpp that has begun to listen."""

import re
import subprocess
import sys
import time
import venv
from pathlib import Path

# Of both proofs with a browser, so that there is one environment.
PLAYWRIGHT = "playwright==1.65.2"


def install(home, program, *wanted):
    """`program` of an environment in `home` that has these packages, each with its version; None: they cannot be had."""
    program, marker, wanted = home / "bin" / program, home / "version", list(wanted)
    if not (program.exists() and marker.exists() and marker.read_text().split() == wanted):
        venv.create(home, with_pip=True, clear=True)
        if subprocess.run([home / "bin" / "pip", "install", "-q", "--disable-pip-version-check", *wanted]).returncode:
            return None
        marker.write_text("\n".join(wanted))
    return program


def start(executable, config, log, *listeners):
    """tpp, and where it listens for each of `listeners`, as its log calls them; of several called alike one after another."""
    tpp = subprocess.Popen([executable, "--config", config], stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    for _ in range(600):
        text = Path(log.name).read_text()
        found = {what: re.findall(rf"listening for {what}.*?address=(\S+)", text) for what in listeners}
        if all(len(found[what]) >= listeners.count(what) for what in listeners):
            return tpp, *(found[what].pop(0) for what in listeners)
        if tpp.poll() is not None:
            break
        time.sleep(0.1)
    sys.exit(f"tpp does not start:\n{Path(log.name).read_text()}")
