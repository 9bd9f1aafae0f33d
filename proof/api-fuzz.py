#!/usr/bin/env python3
"""The management API against its own description: schemathesis asks a real tpp whatever openapi.json allows, and more.

    proof/api-fuzz.py [--install] [EXECUTABLE]

No answer may be a 500, or of a status, type or shape that is not described. schemathesis comes from PyPI into target/api-fuzz; with --install that
is all that is done. Exit 3: it cannot be had here. TPP_FUZZ_EXAMPLES says how many requests are made of each operation (default 25).
"""

import http.server
import os
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from stage import install, start

ROOT = Path(__file__).resolve().parent.parent
HOME = ROOT / "target" / "api-fuzz"
VERSION = "4.32.5"
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,response_schema_conformance"


class Origin(http.server.BaseHTTPRequestHandler):
    """A backend: it is well, whatever it is asked."""

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


def configuration(directory, port):
    """Two backends on `port`, a host, and an API without tokens."""
    backends = "".join(
        f'[[backends]]\nid = "{name}"\naddress = "127.0.0.1:{port}"\ntags = ["{tag}"]\npool = "none"\n' for name, tag in [("one", "a"), ("two", "b")]
    )
    # A pool whose tokens need no server.
    backends += f'[[backends]]\nid = "three"\naddress = "127.0.0.1:{port}"\ntags = ["k"]\npool = "keys"\n'
    text = f"""state_directory = "{directory}"
listen = "127.0.0.1:0"
health_listen = "127.0.0.1:0"
control_socket = "{directory}/control.sock"
[workers]
count = 1
[[pools]]
name = "keys"
provider = "static"
[[pools.credentials]]
key = "k"
[api]
listen = "127.0.0.1:0"
{backends}
[[virtual_hosts]]
domain = "default"
enabled_backends_tag = "a"
circuit_breaker = {{ enabled = true }}
"""
    path = Path(directory) / "tpp.toml"
    path.write_text(text)
    return path


def fuzz(tool, address, directory):
    """What schemathesis comes to. A stream of events goes on for longer than it waits for an answer."""
    command = [tool, "run", f"http://{address}/api/v1/openapi.json", "--checks", CHECKS, "--seed", "1", "--exclude-path", "/api/v1/events", "--workers", "1"]
    command += ["--max-examples", os.environ.get("TPP_FUZZ_EXAMPLES", "25"), "--request-timeout", "20", "--max-time", os.environ.get("TPP_FUZZ_SECONDS", "300"), "--no-color"]
    environment = os.environ | {"SCHEMATHESIS_HOOKS": "hooks", "PYTHONPATH": str(ROOT / "tests" / "api" / "fuzz")}
    return subprocess.run(command, env=environment, cwd=directory).returncode


def main():
    arguments = [one for one in sys.argv[1:] if one != "--install"]
    tool = install(HOME, "schemathesis", f"schemathesis=={VERSION}")
    if tool is None:
        print("!!! API FUZZING NOT CHECKED: PyPI's schemathesis cannot be installed")
        sys.exit(3)
    if "--install" in sys.argv:
        return
    # tpp ends with us, however we end.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    executable = Path(arguments[0] if arguments else ROOT / "target" / "debug" / "tpp").resolve()
    origin = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Origin)
    threading.Thread(target=origin.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory(dir=ROOT / "target") as directory, open(Path(directory) / "log", "w") as log:
        tpp, address = start(executable, configuration(directory, origin.server_port), log, "the management API")
        try:
            code = fuzz(tool, address, directory)
            if tpp.poll() is not None:
                code = code or 1
                print("api-fuzz: tpp has ended")
            if code:
                print("".join(Path(log.name).read_text().splitlines(keepends=True)[-60:]))
        finally:
            tpp.send_signal(signal.SIGTERM)
            tpp.wait(60)
    sys.exit(1 if code else 0)


main()
