#!/usr/bin/env python3
"""The front door before clients that people have: proof/front-clients.py [--install | --scan] [--only=CLIENT] [EXECUTABLE]

Each asks a real tpp with a certificate, HTTP/2 and a pool of tokens, over TLS or without, in either version of HTTP; status, body and version are
looked at on both sides, and no token is at work for two at once. Sessions resume at both workers. With --scan testssl.sh looks for what is weak, some
minutes long. A client that is not there is left out and named. With --install PyPI's clients are installed, in target/front, and that is all.
"""

import http.server
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from stage import PLAYWRIGHT, certificate, certify, head, install, keys, start

ROOT = Path(__file__).resolve().parent.parent
HERE = ROOT / "proof" / "front"
HOME = ROOT / "target" / "front"
PACKAGES = ["requests==2.34.2", "httpx[http2]==0.28.1"]
TOKENS, WORKERS = 4, 2
COUNT, AT_ONCE = 40, 8
# Requests of the two that are made for loads.
MANY = 1000
PATIENCE = 120
# Of what testssl.sh says: about the certificate, which is made for this run, about what a site may send with its answers, and about itself.
NOT_TPPS = re.compile(r"cert_|cert$|intermediate_cert|DNS_|OCSP_|HSTS|HPKP|security_headers|cookie|banner|X-|overall_grade|engine_problem")


class Origin(http.server.BaseHTTPRequestHandler):
    """A backend that says how it was asked, and sees whose tokens are at work."""

    protocol_version = "HTTP/1.1"
    # An answer is one packet.
    wbufsize = -1
    lock, at_work, shared = threading.Lock(), {}, []

    def do_GET(self):
        token = self.headers["Authorization"]
        with self.lock:
            self.at_work[token] = self.at_work.get(token, 0) + 1
            if self.at_work[token] > 1:
                self.shared.append(token)
        length = self.read_body()
        time.sleep(0.002)
        said = wanted(self.command, self.path, length, self.headers["Via"], self.headers["X-Forwarded-Proto"] or "http").encode()
        with self.lock:
            self.at_work[token] -= 1
        self.send_response(200)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    do_POST = do_GET

    def read_body(self):
        if self.headers["Transfer-Encoding"] is None:
            return len(self.rfile.read(int(self.headers["Content-Length"] or 0)))
        length = 0
        while piece := int(self.rfile.readline(), 16):
            length += len(self.rfile.read(piece))
            self.rfile.readline()
        while self.rfile.readline() != b"\r\n":
            pass
        return length

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 128


def wanted(method, path, length, via, scheme):
    return f"{method} {path} {length} by {via} over {scheme}"


def configuration(directory, port):
    listeners = "".join(
        f'[[listeners]]\naddress = "127.0.0.1:0"\n{kind}\n' for kind in ["tls = true", "tls = true\nhttp2 = false", "http2 = true"]
    )
    path = directory / "tpp.toml"
    path.write_text(
        f"""{head(directory, WORKERS)}
[tls]
default_certificate = "ecdsa"
{listeners}{certificate("ecdsa")}{certificate("rsa")}{keys(TOKENS)}
[[backends]]
id = "one"
address = "127.0.0.1:{port}"
tags = ["a"]
pool = "keys"
[backends.health_check]
type = "tcp"
[[virtual_hosts]]
domain = "default"
enabled_backends_tag = "a"
"""
    )
    return path


class Stage:
    """A tpp, its doors, and where clients find what they need."""

    def __init__(self, executable, directory, authority, addresses, only):
        self.executable, self.directory, self.authority, self.only = executable, directory, authority, only
        _, secure, old, plain = (address.rsplit(":", 1)[1] for address in addresses)
        self.secure, self.old, self.plain = f"https://localhost:{secure}", f"https://localhost:{old}", f"http://localhost:{plain}"
        self.skipped = {}

    def tppctl(self, *words):
        command = [self.executable.parent / "tppctl", "--socket", self.directory / "control.sock", *words, "--json"]
        return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)

    def has(self, program):
        found = shutil.which(program)
        if found is None:
            self.skipped[program] = f"there is no {program}"
        return found


def run(command, **more):
    """What it prints."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, **more)
    assert done.returncode == 0, f"{command} ended with {done.returncode}:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    return done.stdout


# Each of these asks `url` COUNT times, each second time by POST, in a version of HTTP, and yields number, status, version and body.


def curl(stage, url, *flags):
    tables = []
    for number in range(COUNT):
        body = stage.directory / f"body-{number}"
        body.write_bytes(b"x" * (number * 997))
        lines = [f'url = "{url}/{number}"', f'cacert = "{stage.authority}"', "silent", "show-error", *flags]
        lines += [f'data-binary = "@{body}"', 'header = "Expect:"'] if number % 2 else []
        tables.append("\n".join([*lines, f'write-out = "\\n{number} %{{http_code}} %{{http_version}}\\n"']))
    # Debian 12's fails with a second request over a connection of prior knowledge, whoever serves it.
    runs = tables if "http2-prior-knowledge" in flags else ["\nnext\n".join(tables)]
    said = [line for one in runs for line in run(["curl", "-K", "-"], input=one).splitlines()]
    for body, line in zip(said[::2], said[1::2]):
        number, status, version = line.split(" ")
        yield int(number), int(status), version, body


def nghttp(stage, url, *_):
    """It asks by GET alone, and shows no body."""
    said = run(["nghttp", "-nvs", *(f"{url}/{number}" for number in range(0, COUNT, 2))])
    assert "The negotiated protocol: h2\n" in said or url.startswith("http:"), said[-2000:]
    scheme = url.split(":")[0]
    for status, number in re.findall(r"^ +\d+ +\+\S+ +\+\S+ +\S+ +(\d{3}) +\S+ /(\d+)$", said, re.M):
        yield int(number), int(status), "2", wanted("GET", f"/{number}", 0, "2.0 tpp", scheme)


def h2load(_, url, *flags):
    said = run(["h2load", "-n", str(MANY), "-c", "4", "-m", "32", *flags, f"{url}/0"])
    protocol = re.search(r"^Application protocol: (\S+)", said, re.M).group(1)
    assert f"{MANY} succeeded, 0 failed, 0 errored, 0 timeout" in said, said
    assert f"status codes: {MANY} 2xx" in said, said
    assert protocol == ("http/1.1" if "--h1" in flags else "h2c" if url.startswith("http:") else "h2"), said


def script(*program):
    def ask(stage, url, version):
        return json.loads(run([*program, url, stage.authority, version, str(COUNT), str(AT_ONCE)]))

    return ask


def clients(stage):
    """Name, the function that asks with it, what it may be told besides (its flags or version), the door, and the version that is to come of it."""
    secure, plain = stage.secure, stage.plain
    if stage.has("curl"):
        yield from [
            ("curl", curl, ["http1.1"], secure, "1.1"),
            ("curl", curl, ["http2"], secure, "2"),
            ("curl, where HTTP/2 is off", curl, ["http2"], stage.old, "1.1"),
            ("curl, with an upgrade to HTTP/2", curl, ["http2"], plain, "1.1"),
            ("curl, prior knowledge", curl, ["http2-prior-knowledge"], plain, "2"),
        ]
    yield from of_python(stage)
    if stage.has("node"):
        node = script("node", HERE / "ask.mjs")
        yield from [("Node", node, [version], door, version) for door in [secure, plain] for version in ["1.1", "2"]]
    if stage.has("java"):
        java = script("java", HERE / "Ask.java")
        yield from [("Java", java, ["1.1"], secure, "1.1"), ("Java", java, ["2"], secure, "2")]
        yield "Java, with an upgrade to HTTP/2", java, ["2"], plain, "1.1"
    if stage.has("go"):
        places = {"GOCACHE": str(HOME / "go"), "GOPATH": str(HOME / "go"), "GO111MODULE": "off"}
        run(["go", "build", "-o", stage.directory / "ask-go", ROOT / "tests/clients/client.go"], env=os.environ | places)
        go = script(stage.directory / "ask-go", "answers")
        yield from [("Go", go, [version], secure, version) for version in ["1.1", "2"]]
    if stage.has("nghttp"):
        yield from [("nghttp", nghttp, [], door, "2") for door in [secure, plain]]
    if stage.has("h2load"):
        yield from [("h2load", h2load, ["--h1"], secure, "1.1"), ("h2load", h2load, [], secure, "2"), ("h2load", h2load, [], plain, "2")]


def of_python(stage):
    secure, plain = stage.secure, stage.plain
    python = install(HOME / "python", "python", *PACKAGES)
    if python is None:
        stage.skipped["requests and httpx"] = "PyPI does not give them"
    else:
        requests, httpx = (script(python, HERE / "ask.py", library) for library in ["requests", "httpx"])
        yield from [("requests", requests, ["1.1"], door, "1.1") for door in [secure, plain]]
        yield from [("httpx", httpx, [version], secure, version) for version in ["1.1", "2"]]
    python = install(ROOT / "target" / "console", "python", PLAYWRIGHT)
    if python is None:
        stage.skipped["Chromium"] = "PyPI does not give playwright"
    elif stage.has("chromium"):

        def chromium(_, url, *__):
            return json.loads(run([python, HERE / "browse.py", url, str(COUNT)]))

        yield from [("Chromium", chromium, [], door, version) for door, version in [(secure, "2"), (stage.old, "1.1")]]


def judge(answers, url, version):
    """Each was answered, in this version, as it was asked."""
    scheme, via = url.split(":")[0], {"1.1": "1.1 tpp", "2": "2.0 tpp"}[version]
    answers = sorted(map(tuple, answers))
    for number, *answer in answers:
        method, length = ("POST", number * 997) if number % 2 else ("GET", 0)
        body = wanted(method, f"/{number}", length, via, scheme)
        assert answer == [200, version, body], f"{number}: {answer} is not {[200, version, body]}"
    numbers = [number for number, *_ in answers]
    # One of them asks by GET alone.
    assert numbers in (list(range(COUNT)), list(range(0, COUNT, 2))), numbers
    return len(numbers)


def check_clients(stage):
    for name, ask, flags, url, version in clients(stage):
        if not re.search(stage.only, name):
            continue
        began = time.monotonic()
        answers = ask(stage, url, *flags)
        # It has judged by itself, and shows no answers.
        count = MANY if answers is None else judge(answers, url, version)
        print(f"{name}: {count} by HTTP/{version}, {url.split(':')[0]} ({time.monotonic() - began:.1f} s)", flush=True)
    assert not Origin.shared, f"tokens at work for two: {Origin.shared[:3]}"


def s_client(stage, *flags):
    port = stage.secure.rsplit(":", 1)[1]
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-servername", "localhost", "-CAfile", stage.authority]
    ask = "GET /0 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    return run([*command, "-verify_return_error", "-ign_eof", *flags], input=ask)


def check_sessions(stage):
    """One session goes on at both workers, in either version."""
    if not stage.has("openssl"):
        return
    for version in ["1.2", "1.3"]:
        flags = [f"-tls{version.replace('.', '_')}"]
        session = stage.directory / f"session-{version}"
        first = s_client(stage, *flags, "-sess_out", session)
        assert f"New, TLSv{version}" in first and "HTTP/1.1 200 OK" in first, first
        before = served(stage)
        for turn in range(1, 200):
            again = s_client(stage, *flags, "-sess_in", session)
            assert f"Reused, TLSv{version}" in again and "HTTP/1.1 200 OK" in again, again
            met = [pid for pid, count in served(stage).items() if count > before[pid]]
            if len(met) == WORKERS:
                break
        assert len(met) == WORKERS, f"only {met} was met"
        print(f"openssl: a session of TLS {version} went on {turn} times, at both workers")
    rsa = s_client(stage, "-sigalgs", "rsa_pss_rsae_sha256:rsa_pkcs1_sha256")
    assert "Peer signature type: RSA" in rsa, rsa
    print("openssl: who takes no ECDSA is shown the other certificate")


def served(stage):
    return {worker["pid"]: worker["requests"] for worker in stage.tppctl("workers")}


def scan(stage):
    """testssl.sh finds nothing that it calls worse than "low"."""
    program = shutil.which("testssl") or shutil.which("testssl.sh")
    if program is None:
        stage.skipped["testssl.sh"] = "it is not installed"
        return
    found = stage.directory / "found.json"
    port = stage.secure.rsplit(":", 1)[1]
    command = [program, "--quiet", "--color", "0", "--warnings", "batch", "--ip", "127.0.0.1", "--add-ca", stage.authority]
    command += ["--protocols", "--std", "--fs", "--server-preference", "--server-defaults", "--headers", "--vulnerable", "--jsonfile", found]
    done = subprocess.run([*command, f"localhost:{port}"], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    findings = [one for one in json.loads(found.read_text()) if not NOT_TPPS.match(one["id"])]
    bad = [one for one in findings if one["severity"] not in ("OK", "INFO", "LOW", "WARN")]
    assert not bad and len(findings) > 40, f"{done.stdout[-8000:]}\n" + "\n".join(map(str, bad))
    for severity, called in [("LOW", "low"), ("WARN", "could not look")]:
        named = [f"{one['id']} ({one['finding']})" for one in findings if one["severity"] == severity]
        print(f"testssl.sh: {called}: {', '.join(named) or 'none'}")
    print(f"testssl.sh: {len(findings)} findings, none above low")


def drive(executable, checks, only):
    server = Server(("127.0.0.1", 0), Origin)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory(dir=ROOT / "target") as place, open(Path(place) / "log", "w") as log:
        directory = Path(place)
        authority = certify(directory)
        tpp, *addresses = start(executable, configuration(directory, server.server_port), log, *["clients"] * 4)
        has_failed = True
        try:
            stage = Stage(executable, directory, authority, addresses, only)
            for check in checks:
                check(stage)
            assert tpp.poll() is None, "tpp has ended"
            has_failed = False
        finally:
            if has_failed:
                print("".join(Path(log.name).read_text().splitlines(keepends=True)[-60:]))
            tpp.send_signal(signal.SIGTERM)
            tpp.wait(60)
    tell(stage.skipped)


def tell(skipped):
    lines = [f"front door, {name}: {why}" for name, why in skipped.items()]
    print("".join(f"!!! NOT CHECKED: {line}\n" for line in lines), end="")
    if "NOT_CHECKED" in os.environ:
        with open(os.environ["NOT_CHECKED"], "a") as file:
            file.write("".join(f"{line}\n" for line in lines))


def main():
    arguments = [one for one in sys.argv[1:] if not one.startswith("--")]
    if "--install" in sys.argv:
        install(HOME / "python", "python", *PACKAGES)
        install(ROOT / "target" / "console", "python", PLAYWRIGHT)
        return
    # tpp ends with us, however we end.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    executable = Path(arguments[0] if arguments else ROOT / "target" / "debug" / "tpp").resolve()
    only = [one.removeprefix("--only=") for one in sys.argv if one.startswith("--only=")]
    drive(executable, [scan] if "--scan" in sys.argv else [check_sessions, check_clients], "|".join(only))


main()
