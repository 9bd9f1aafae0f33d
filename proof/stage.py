"""What proofs in Python share: packages of PyPI's in an environment of their own, what stands in their tpp.toml, and a tpp that has begun to listen."""

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


def certify(directory):
    """An authority, and certificates for localhost that it signed: one for clients that take an ECDSA key, and one for the others."""

    def openssl(*words):
        subprocess.run(["openssl", *words], cwd=directory, check=True, capture_output=True)

    (directory / "own").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth\n")
    kinds = {"ecdsa": ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"], "rsa": ["rsa:2048"]}
    for name, kind in ({"ca": kinds["ecdsa"]} | kinds).items():
        request = ["req", "-newkey", *kind, "-nodes", "-keyout", f"{name}.key", "-subj", f"/CN={'localhost' if name in kinds else 'authority'}"]
        if name == "ca":
            openssl(*request, "-x509", "-days", "2", "-out", "ca.pem")
            continue
        openssl(*request, "-out", f"{name}.csr")
        signed = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "own"]
        openssl("x509", "-req", "-in", f"{name}.csr", *signed, "-out", f"{name}.pem")
    return directory / "ca.pem"


def head(directory, workers=2, listen="127.0.0.1:0", health_listen="127.0.0.1:0", socket="control.sock"):
    """How a tpp.toml begins: all that tpp writes stays in `directory`, and it listens where there is room, if nothing else is said."""
    return f"""state_directory = "{directory}"
listen = "{listen}"
health_listen = "{health_listen}"
control_socket = "{directory}/{socket}"
[workers]
count = {workers}
"""


def certificate(name):
    """The table of a certificate that `certify` made."""
    return f'[[certificates]]\nname = "{name}"\ncert_file = "{name}.pem"\nkey_file = "{name}.key"\n'


def keys(count):
    """A pool called `keys` of so many that need no login."""
    each = "".join(f'[[pools.credentials]]\nkey = "key-{number}"\n' for number in range(count))
    return f'[[pools]]\nname = "keys"\nprovider = "static"\n{each}'


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
