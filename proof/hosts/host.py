"""A tpp on a machine of its own: what it is told, and what is done to its processes."""

import http.client
import json
import os
import shutil
import signal
import subprocess
from pathlib import Path

from network import send
from stage import head

OUT_OF_ALL = 2
# Makes of it what a tpp of before is to the others: it speaks and writes what that one did.
AS_BEFORE = "newest_format = 1\n"


class Host:
    """`plan` is what all hosts have alike: see `main.Plan`."""

    def __init__(self, plan, machine, directory):
        self.plan, self.machine, self.directory, self.name = plan, machine, directory, machine.name
        self.process, self.clock, self.is_wanted = None, 0, False
        directory.mkdir(parents=True)
        self.is_of_before, self.executable = plan.begins_as_before, plan.executable
        if plan.earlier:
            self.executable = directory / "tpp"
            shutil.copy(plan.earlier, self.executable)

    def configure(self, upstream, members, accounts=None, **hosts):
        """`accounts`: others than the plan's; `hosts`: what differs from the plan's table of that name."""
        plan = self.plan
        each = (accounts or plan.accounts).items()
        accounts = "".join(f'[[credentials]]\nusername = "{user}"\npassword = "p"\nsessions = {limit}\n' for user, limit in each)
        urls = ", ".join(f'"{member.url}:2379"' for member in members)
        table = {"cluster": '"proof"', "name": f'"{self.name}"', "endpoints": f"[{urls}]", "insecure": "true", "takeover_seconds": plan.takeover}
        table |= {"home_takeover_seconds": plan.home_takeover, "home_percent": plan.home_percent} | hosts
        if not plan.is_alone:
            accounts += "[hosts]\n" + "".join(f"{key} = {value}\n" for key, value in table.items())
            accounts += AS_BEFORE if self.is_of_before and not plan.earlier else ""
        (self.directory / "tpp.toml").write_text(
            f"""{head(self.directory, plan.workers, "0.0.0.0:8080", "0.0.0.0:9090", "s")}drain_timeout_seconds = 4
[upstream]
host = "{upstream.address}"
port = 8848
response_header_timeout_seconds = 10
[token]
ttl_seconds = 60
refresh_check_seconds = 5
login_timeout_seconds = 5
[lease]
mode = "{plan.mode}"
wait_timeout_seconds = {plan.wait}
max_hold_seconds = 5
{accounts}"""
        )

    def renew(self):
        """From its next process on it is the tpp that is proved, and speaks what that speaks."""
        if not self.is_of_before:
            return
        self.is_of_before = False
        config = self.directory / "tpp.toml"
        config.write_text(config.read_text().replace(AS_BEFORE, ""))
        if self.plan.earlier:
            # As a package's upgrade does.
            shutil.copy(self.plan.executable, self.directory / "tpp.new")
            os.replace(self.directory / "tpp.new", self.executable)

    def start(self):
        """As a service manager does, with a clock of its own if it may have one."""
        command = [self.executable, "--config", self.directory / "tpp.toml"]
        if self.clock:
            offset = str(self.clock)
            command = ["unshare", "--time", "--boottime", offset, "--monotonic", offset, *command]
        with open(self.directory / "log", "a") as log:
            self.process = self.machine.start(command, log)
        self.is_wanted = True

    def look_after(self):
        """Starts it anew when its supervisor is gone and nobody wanted that; True: it did."""
        if self.is_wanted and self.process.poll() is not None:
            self.start()
            return True
        return False

    def supervisor(self):
        """The id of the process that was started, whatever it has become since."""
        return self.process.pid

    def workers(self):
        """The ids of its workers: all that runs there besides the supervisor and those that only stand by."""
        found = []
        for pid in self.machine.processes():
            try:
                line = Path(f"/proc/{pid}/cmdline").read_bytes().decode()
            except OSError:
                continue
            if line.startswith("tpp-worker"):
                found.append(pid)
        return sorted(found)

    def kill(self):
        """All of it, at once, as when the power goes."""
        self.is_wanted = False
        self.machine.send(signal.SIGKILL)
        self.process.wait()

    def stop(self, within=40):
        """As a service manager stops it."""
        self.is_wanted = False
        send(self.supervisor(), signal.SIGTERM)
        try:
            self.process.wait(within)
        except subprocess.TimeoutExpired:
            self.kill()

    def answers(self, timeout=3):
        """Whether a request comes back from the server."""
        connection = http.client.HTTPConnection(self.machine.address, 8080, timeout=timeout)
        try:
            connection.request("GET", "/work?ms=5&id=probe")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def told(self, *words):
        """The same of what it tells as JSON, or None."""
        said = self.ctl(*words, "--json", timeout=5)
        return json.loads(said.stdout) if said is not None and said.stdout.startswith("{") else None

    def formats(self):
        """The formats that records are written in, by what it knows, and the hosts that hold a later one back."""
        pools = (self.told("hosts") or {}).get("pools", {}).values()
        return {pool["format"] for pool in pools}, {host for pool in pools for host in pool["held_back_by"]}

    def lends_nothing(self):
        """By what it knew of an etcd that is another one now: neither to anybody new nor to anybody still."""
        hosts, status = self.told("hosts"), self.told("status")
        pools = hosts["pools"].values() if hosts else []
        silent = [pool["phase"] == "other_store" and pool["lend_margin_ms"] + pool["home_margin_ms"] == 0 for pool in pools]
        return bool(silent) and all(silent) and status is not None and status["pool"]["in_use"] == 0

    def ctl(self, *words, timeout=20):
        """What tppctl comes to."""
        command = [self.plan.executable.parent / "tppctl", "--socket", self.directory / "s", *words]
        try:
            return subprocess.run(command, capture_output=True, text=True, timeout=timeout)
        except subprocess.TimeoutExpired:
            return None
