#!/usr/bin/env python3
"""An upgrade in place from older executables: clients notice nothing, and what the new executable can read of what the old one left is kept.

    proof/upgrade-from.py [REVISION...]

Each revision is built once, into target/upgrade-from/COMMIT, from its own sources; the new executables are target/debug's. An old tpp serves a
stand-in with a configuration that it knows; its executable is replaced, and `tppctl upgrade` is the new one's. With the same layout of the
region every token and lease is kept; with another one the log says which two there are, and each account logs in once more a session, no more.
Without a revision: the last release, or, as long as there is none, the commits below.
"""

import collections
import http.client
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

from stage import start

ROOT = Path(__file__).resolve().parent.parent
HOME = ROOT / "target" / "upgrade-from"
NEW = ROOT / "target" / "debug"
# Before there were virtual hosts, of the present layout; and one whose region nobody can read any more.
SINCE = ["de8f878", "84cfade"]
SESSIONS = {"ann": 3, "bob": 3}
# Connections that hold a lease and ask nothing, or ask all the time; one more is in the middle of a request.
IDLE, BUSY = 2, 2
PATIENCE = 120
CONFIG = """listen = "127.0.0.1:0"
health_listen = "127.0.0.1:0"
control_socket = "{directory}/control.sock"
[workers]
count = 2
drain_timeout_seconds = {patience}
[upstream]
host = "127.0.0.1"
port = {port}
"""


def output(*words):
    return subprocess.run(words, cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()


def last_release():
    """The newest tag of a version, if there is one."""
    return output("git", "tag", "--list", "v*", "--sort=-version:refname").split()[:1]


def build(commit):
    """The old tpp."""
    built = HOME / commit / "tpp"
    if not built.exists():
        print(f"building {commit[:7]}", flush=True)
        with tempfile.TemporaryDirectory(dir=HOME) as sources:
            archive = subprocess.Popen(["git", "archive", commit], cwd=ROOT, stdout=subprocess.PIPE)
            subprocess.run(["tar", "-x", "-C", sources], stdin=archive.stdout, check=True)
            # Old revisions share what they have in common; none shares with the tree as it is.
            words = ["cargo", "build", "--locked", "--workspace", "--bin", "tpp"]
            env = os.environ | {"CARGO_TARGET_DIR": str(HOME / "target"), "CARGO_INCREMENTAL": "0"}
            subprocess.run(words, cwd=sources, env=env, check=True)
        built.parent.mkdir(exist_ok=True)
        shutil.copy(HOME / "target/debug/tpp", built.with_suffix(".part"))
        built.with_suffix(".part").rename(built)
    return built


def layout(commit):
    """The number of the region's layout, as that commit's sources have it."""
    return int(re.search(r"LAYOUT_VERSION: u64 = (\d+)", output("git", "grep", "-h", "LAYOUT_VERSION: u64 =", commit, "--", "src"))[1])


def until(what, holds):
    deadline = time.monotonic() + PATIENCE
    while not (found := holds()):
        if time.monotonic() > deadline:
            sys.exit(f"not within {PATIENCE} s: {what}")
        time.sleep(0.05)
    return found


class Server:
    """The stand-in, which knows the accounts and says under which session a request came."""

    def __init__(self):
        users = [f"--user={user}:secret-{user}" for user in SESSIONS]
        self.process = subprocess.Popen([NEW / "tpp-standin", "--listen=127.0.0.1:0", *users], stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline().rsplit(":", 1)[1])

    def stats(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        connection.request("GET", "/stats")
        return json.load(connection.getresponse())

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()


class Client:
    """A connection that is kept as long as tpp keeps it. What fails is a failure: nothing is tried again."""

    def __init__(self, address):
        self.address, self.connection = address, None

    def ask(self, script="1"):
        """The session that it was answered under."""
        if self.connection is None:
            host, port = self.address.rsplit(":", 1)
            self.connection = http.client.HTTPConnection(host, int(port), timeout=PATIENCE)
        self.connection.request("POST", "/api/execute", json.dumps({"script": script}))
        answer = self.connection.getresponse()
        said = json.load(answer)
        if answer.status != 200 or said["code"] != "0":
            raise OSError(f"status {answer.status}: {said}")
        if answer.will_close:
            self.close()
        return said["session"]

    def close(self):
        self.connection.close()
        self.connection = None


class Crowd:
    """Clients that ask without end, each in a thread of its own."""

    def __init__(self, address):
        self.over, self.failures, self.asked = threading.Event(), [], collections.Counter()
        self.threads = [threading.Thread(target=self.run, args=[number, address]) for number in range(BUSY)]
        for thread in self.threads:
            thread.start()

    def run(self, number, address):
        client = Client(address)
        try:
            while not self.over.is_set():
                client.ask()
                self.asked[number] += 1
        except (OSError, http.client.HTTPException, ValueError) as error:
            self.failures.append(repr(error))

    def has_asked(self, more):
        """Waits until each has asked so often more, or has failed."""
        before = dict(self.asked)
        until("requests go on", lambda: self.failures or all(self.asked[at] >= before.get(at, 0) + more for at in range(BUSY)))

    def end(self):
        self.over.set()
        for thread in self.threads:
            thread.join()


class Stage:
    """An old tpp at work."""

    def __init__(self, directory, old):
        self.directory, self.server, self.image = directory, Server(), directory / "tpp"
        shutil.copy(old, self.image)
        accounts = "".join(
            f'[[credentials]]\nusername = "{user}"\npassword = "secret-{user}"\nsessions = {count}\n' for user, count in SESSIONS.items()
        )
        config = directory / "tpp.toml"
        config.write_text(CONFIG.format(directory=directory, patience=PATIENCE, port=self.server.port) + accounts)
        # The old one's file cannot say where the new one keeps its state.
        os.environ["STATE_DIRECTORY"] = str(directory)
        self.log = directory / "log"
        self.tpp, self.address = start(self.image, config, self.log.open("w"), "clients")

    def ctl(self, *words):
        words = [NEW / "tppctl", "--socket", self.directory / "control.sock", *words]
        return subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE)

    def pool(self):
        """What the pool is now; while one supervisor follows the other, nothing."""
        answer = self.ctl("status", "--json")
        return collections.Counter(json.loads(answer.stdout)["pool"]) if answer.returncode == 0 else collections.Counter()

    def replace(self):
        """As a package does it: a new file of the same name."""
        new = self.directory / "tpp.new"
        shutil.copy(NEW / "tpp", new)
        new.rename(self.image)

    def end(self):
        self.tpp.send_signal(signal.SIGTERM)
        code = self.tpp.wait(PATIENCE)
        self.server.end()
        return code


def judge(stage, is_same, layouts, before, in_use):
    """What is wrong after the upgrade, where `before` is what the server had seen and `in_use` what was lent at once afterwards."""
    wrong, after, log = [], stage.server.stats(), stage.log.read_text()
    for user, sessions in SESSIONS.items():
        logins, allowed = after["users"][user]["logins"], sessions if is_same else 2 * sessions
        if logins != allowed:
            wrong.append(f"{user} logged in {logins} times, {allowed} are right (before: {before['users'][user]['logins']})")
    for fault in ("logins_refused", "unauthorized", "violations"):
        if after[fault]:
            wrong.append(f"the server counts {after[fault]} {fault}")
    told = f"region of layout {layouts[0]}, this is layout {layouts[1]}"
    if is_same and "begins anew" in log:
        wrong.append("the layout is the same, and the pool began anew")
    if is_same and in_use < IDLE + 1:
        wrong.append(f"{in_use} leases were there after the upgrade, {IDLE + 1} were held")
    if not is_same and told not in log:
        wrong.append(f"the log does not say: {told}")
    return wrong


def play(stage, layouts):
    """The whole of it; returns what is wrong."""
    slots, is_same = sum(SESSIONS.values()), layouts[0] == layouts[1]
    until("the old one has all tokens", lambda: stage.pool()["total"] == slots)
    idle = [Client(stage.address) for _ in range(IDLE)]
    sessions = [client.ask() for client in idle]
    crowd, before, long = Crowd(stage.address), stage.server.stats(), []
    asking = threading.Thread(target=lambda: long.append(Client(stage.address).ask("sleep(4000); 1")))
    asking.start()
    until("the long request is under way", lambda: stage.pool()["in_use"] == IDLE + BUSY + 1)
    crowd.has_asked(20)
    pid = stage.tpp.pid
    stage.replace()
    order = stage.ctl("upgrade")
    wrong = [f"tppctl upgrade: {order}"] * (order.returncode != 0)
    until("the new one has all tokens", lambda: stage.pool()["total"] == slots)
    in_use = stage.pool()["in_use"]
    crowd.has_asked(20)
    if not os.path.samefile(f"/proc/{pid}/exe", stage.image):
        wrong.append("the supervisor does not run the new file")
    # Their workers drain, and lend them what they have until they are answered once more.
    now = [client.ask() for client in idle]
    if now != sessions:
        wrong.append(f"idle connections had the sessions {sessions}, and now {now}")
    asking.join()
    crowd.end()
    wrong += crowd.failures
    if not long:
        wrong.append("the request that was under way failed")
    until("all tokens are back", lambda: stage.pool()["available"] == slots)
    wrong += judge(stage, is_same, layouts, before, in_use)
    print(f"  {sum(crowd.asked.values())} requests by {BUSY} busy clients; {in_use} leases held right after the upgrade", flush=True)
    return wrong


def main():
    os.makedirs(HOME, exist_ok=True)
    failed = False
    for revision in sys.argv[1:] or last_release() or SINCE:
        commit = output("git", "rev-parse", "--verify", f"{revision}^{{commit}}")
        old = build(commit)
        found = re.search(r"LAYOUT_VERSION: u64 = (\d+)", (ROOT / "src/region/directory.rs").read_text())
        layouts = layout(commit), int(found[1])
        with tempfile.TemporaryDirectory() as directory:
            stage = Stage(Path(directory), old)
            try:
                wrong = play(stage, layouts)
            finally:
                code = stage.end()
            wrong += [f"the supervisor ended with {code}"] * (code != 0)
            what = "the region is kept" if layouts[0] == layouts[1] else "the region is a new one"
            print(f"upgrade from {commit[:7]}, layout {layouts[0]} to {layouts[1]}: {'FAILED' if wrong else f'no request failed, {what}'}", flush=True)
            for line in wrong:
                print(f"  {line}")
            if wrong:
                print(stage.log.read_text())
            failed |= bool(wrong)
    return failed


if __name__ == "__main__":
    sys.exit(main())
