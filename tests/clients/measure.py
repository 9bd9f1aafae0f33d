"""Real clients with more connections than there are tokens: what `lease.mode = "connection"` costs them over "request".

measure.py [--requests N] TPP [CLIENT ...]: TPP is the folder with the programs. Each client has 50 connections over 8 tokens and asks
2,000 times (N) for what takes no time; all else is tpp's default. Exit status 1 if one takes over two seconds more than in request mode, or
has a request that failed; a client whose runtime is not there is skipped, and that is said.
"""

import argparse
import json
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
CONNECTIONS, REQUESTS, TOKENS, MOST_MORE = 50, 2000, 8, 2.0
PYTHON = ["requests", "urllib3", "httpx", "httpx-async", "aiohttp"]
NODE = ["fetch", "agent", "undici"]


def free_ports(count: int) -> list[int]:
    import socket

    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


class Tpp:
    """A tpp in front of an upstream, both gone afterwards."""

    def __init__(self, programs: pathlib.Path, folder: pathlib.Path, mode: str, tokens: int) -> None:
        self.upstream = subprocess.Popen([sys.executable, HERE / "upstream.py"], stdout=subprocess.PIPE, text=True)
        self.process = None
        upstream = int(self.upstream.stdout.readline())
        self.port, self.health = free_ports(2)
        config = folder / "tpp.toml"
        config.write_text(
            f'listen = "127.0.0.1:{self.port}"\nhealth_listen = "127.0.0.1:{self.health}"\n'
            f'control_socket = "{folder}/control.sock"\n[workers]\ncount = 2\n'
            f'[upstream]\nhost = "127.0.0.1"\nport = {upstream}\n[lease]\nmode = "{mode}"\n'
            f'[[credentials]]\nusername = "u"\npassword = "p"\nsessions = {tokens}\n'
        )
        log = open(folder / "log", "ab")
        self.process = subprocess.Popen([programs / "tpp", "--config", config], stdout=log, stderr=log)
        deadline = time.monotonic() + 30
        while self.tokens() < tokens:
            if time.monotonic() > deadline or self.process.poll() is not None:
                self.end()
                sys.exit(f"tpp did not come up:\n{(folder / 'log').read_text()}")
            time.sleep(0.05)

    def tokens(self) -> int:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.health}/health", timeout=5) as answer:
                return json.load(answer)["pool"]["total"]
        except OSError:
            return 0

    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/q"

    def end(self) -> None:
        for process in filter(None, [self.process, self.upstream]):
            process.send_signal(signal.SIGTERM)
            process.wait()


def venv(folder: pathlib.Path) -> pathlib.Path:
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    pip = [folder / "venv/bin/pip", "install", "-q", "--disable-pip-version-check"]
    subprocess.run([*pip, "requests", "urllib3", "httpx", "aiohttp"], check=True)
    return folder / "venv/bin/python"


def commands(folder: pathlib.Path, wanted: list[str]):
    """Name of each client, and its command but for URL, connections and requests; or why there is none."""
    names = [*PYTHON, *NODE, "java", "go", "ab"]
    wanted = [name for name in names if not wanted or name in wanted]
    python = venv(folder) if set(wanted) & set(PYTHON) else None
    for name in wanted:
        if name in PYTHON:
            yield name, [python, HERE / "client.py", name]
        elif name in NODE:
            if not shutil.which("node"):
                yield name, "there is no node"
            elif name == "undici" and not shutil.which("npm"):
                yield name, "there is no npm"
            else:
                if name == "undici":
                    subprocess.run(["npm", "install", "--silent", "--prefix", folder, "undici@6"], check=True)
                yield name, ["node", HERE / "client.mjs", name]
        elif name == "ab":
            ab = shutil.which("ab")
            yield name, [ab, "-q", "-k", "-l"] if ab else "there is no ab"
        elif not shutil.which(name):
            yield name, f"there is no {name}"
        elif name == "java":
            yield name, ["java", HERE / "Client.java"]
        else:
            program = folder / "go-client"
            subprocess.run(["go", "build", "-o", program, HERE / "client.go"], check=True)
            yield name, [program, "time"]


def outcome_of_ab(text: str) -> dict:
    values = dict(line.split(":", 1) for line in text.splitlines() if line.count(":") == 1)
    failed = int(values["Failed requests"])
    longest = [line.split()[1] for line in text.splitlines() if line.strip().startswith("100%")]
    return {
        "seconds": float(values["Time taken for tests"].split()[0]),
        "longest": int(longest[0]) / 1000,
        "failures": ["ab"] * failed,
    }


def run(name: str, command: list, url: str, folder: pathlib.Path, connections: int, requests: int) -> dict:
    if name == "ab":
        command = [*command, "-c", str(connections), "-n", str(requests), url]
    else:
        command = [*command, url, str(connections), str(requests)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=600)
    if done.returncode != 0:
        return {"seconds": 0.0, "longest": 0.0, "failures": [f"exit status {done.returncode}: {done.stderr[-300:]}"]}
    return outcome_of_ab(done.stdout) if name == "ab" else json.loads(done.stdout)


def measured(programs, folder, name, command, mode, tokens, connections, requests) -> dict:
    tpp = Tpp(programs, folder, mode, tokens)
    try:
        return run(name, command, tpp.url(), folder, connections, requests)
    finally:
        tpp.end()


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--requests", type=int, default=REQUESTS)
    options.add_argument("programs", type=lambda path: pathlib.Path(path).resolve())
    options.add_argument("clients", nargs="*")
    options = options.parse_args()
    programs, requests = options.programs, options.requests
    bad = False
    with tempfile.TemporaryDirectory(prefix="tpp-clients-") as folder:
        folder = pathlib.Path(folder)
        print(f"{CONNECTIONS} connections over {TOKENS} tokens, {requests} requests, seconds in all (longest request):")
        for name, command in commands(folder, options.clients):
            if isinstance(command, str):
                print(f"{name:12} skipped: {command}", flush=True)
                continue
            by = {
                mode: measured(programs, folder, name, command, mode, TOKENS, CONNECTIONS, requests)
                for mode in ["request", "connection"]
            }
            more = by["connection"]["seconds"] - by["request"]["seconds"]
            failures = [one for outcome in by.values() for one in outcome["failures"]]
            is_bad = more > MOST_MORE or bool(failures)
            bad |= is_bad
            shown = "  ".join(f"{mode} {it['seconds']:6.2f} ({it['longest']:.2f})" for mode, it in by.items())
            print(f"{name:12} {shown}  failed {len(failures)}{'  TOO MUCH' if is_bad else ''}", flush=True)
            for failure in sorted(set(failures))[:5]:
                print(f"    {failures.count(failure)} x {failure}")
        if not options.clients or "fetch" in options.clients:
            if shutil.which("node"):
                command = ["node", HERE / "client.mjs", "fetch"]
                alone = measured(programs, folder, "fetch", command, "connection", 1, 1, 20)
                is_bad = alone["longest"] > 1 or bool(alone["failures"])
                bad |= is_bad
                print(f"fetch, one loop over one token, 20 requests: {alone['seconds']:.2f} ({alone['longest']:.2f})"
                      f"  failed {len(alone['failures'])}{'  TOO MUCH' if is_bad else ''}")
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
