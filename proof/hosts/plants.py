"""Wrongs done on purpose, from outside: what a broken tpp would do. Each must be seen, else whoever looks is blind."""

import json
import shutil
import signal
import subprocess
import sys

from network import send
from records import NAMED

ROGUE = """
import http.client, json, sys, threading
address, token, user, count = *sys.argv[1:4], int(sys.argv[4])
def ask(path, token="", body=None):
    connection = http.client.HTTPConnection(address, 8848, timeout=10)
    connection.request("POST" if body else "GET", path, body, {"Authorization": f"Bearer {token}"})
    return connection.getresponse().read()
def work():
    ask("/work?ms=1500&id=rogue", token or json.loads(ask("/api/login", body=json.dumps({"username": user, "password": "p"})))["result"][0])
threads = [threading.Thread(target=work) for _ in range(count)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
"""


class Plant:
    """What the others have alike. `sign` stands in what the judge then says."""

    sign = "are allowed"

    def plan(self, plan):
        return plan

    def __call__(self, scene):
        """What is wrong is in the plan: it shows by itself."""
        scene.rest(12)

    def last_login(self, scene, source=""):
        """User and token of the last one that was drawn, from a source if it is given."""
        rows = [json.loads(line) for line in (scene.directory / "seen").read_text().splitlines() if '"login"' in line]
        return [row[3:] for row in rows if source in row[2]][-1]

    def rogue(self, scene, user, count=1, token="", machine=None):
        machine = machine or scene.network.add("rogue")
        subprocess.run([*machine.enter, sys.executable, "-c", ROGUE, scene.upstream.address, token, user, str(count)], check=True)


class Borrowed(Plant):
    """A host's token is used from elsewhere."""

    sign = ", was used by"

    def __call__(self, scene):
        scene.rest(3)
        user, token = self.last_login(scene)
        self.rogue(scene, user, token=token)


class Crowded(Plant):
    """Somebody draws all of an account's sessions besides the hosts."""

    def __call__(self, scene):
        scene.rest(3)
        user, limit = next(iter(scene.plan.accounts.items()))
        self.rogue(scene, user, limit + 1)


class Alone(Plant):
    """The hosts know nothing of each other: each has all sessions."""

    def plan(self, plan):
        plan.is_alone = True
        return plan


class Apart(Plant):
    """One of the hosts has another name for the server, so that what it has is not the others' business."""

    sign = "the records give away"

    def plan(self, plan):
        plan.differs = lambda host: {"upstream_id": '"another"'} if host == "host1" else {}
        return plan


class Hasty(Plant):
    """Others take the sessions of a host whose supervisor has just been stopped, without patience: its workers lend them."""

    sign = "at work, and owns"

    def plan(self, plan):
        plan.home_percent = 0
        return plan

    def __call__(self, scene):
        scene.rest(2)
        host = scene.hosts[0]
        send(host.supervisor(), signal.SIGSTOP)
        key, value = next((key, value) for _, _, key, _, value in reversed(scene.recorder.all()) if "/g/host1" in key)
        record = json.loads(value)
        scene.store.write(key, json.dumps(record | {"gen": record["gen"] + 1, "quiet": 0}))
        scene.rest(scene.plan.takeover)
        send(host.supervisor(), signal.SIGCONT)


class Late(Plant):
    """A host that is cut off from etcd goes on for longer than it may, though not for so long that others have taken what it has."""

    sign = "at work, and owns"

    def plan(self, plan):
        plan.home_percent = 0
        return plan

    def __call__(self, scene):
        machine = scene.hosts[0].machine
        for member in scene.store.members:
            scene.cut(machine, member.machine)
        scene.rest(scene.plan.takeover * 0.85)
        user, token = self.last_login(scene, machine.address)
        self.rogue(scene, user, token=token, machine=machine)


class Cloned(Plant):
    """A copy of a host's disk begins on another machine while the host, cut off from etcd, lends what is its for long: nothing tells them apart."""

    def plan(self, plan):
        plan.home_percent = 100
        return plan

    def __call__(self, scene):
        first = scene.hosts[0]
        machine, copy = scene.network.add("clone"), scene.directory / "clone"
        shutil.copytree(first.directory, copy, ignore=lambda _, names: [name for name in names if name == "s" or name.startswith("s.")])
        config = copy / "tpp.toml"
        config.write_text(config.read_text().replace(str(first.directory), str(copy)))
        for member in scene.store.members:
            scene.cut(first.machine, member.machine)
        with open(copy / "log", "a") as log:
            machine.start([scene.plan.executable, "--config", config], log)
        scene.rest(2 * scene.plan.takeover)
        ask = "import sys, http.client as h; c = h.HTTPConnection(sys.argv[1], 8080, timeout=10); c.request('GET', '/work?ms=900&id=clone'); c.getresponse()"
        asking = [subprocess.Popen([sys.executable, "-c", ask, machine.address], stderr=subprocess.DEVNULL) for _ in range(20)]
        scene.rest(5)
        for one in asking:
            one.wait()


class Early(Plant):
    """A record is written in a later format than all hosts speak."""

    sign = "in a later format than the one in force"

    def plan(self, plan):
        plan.begins_as_before = True
        return plan

    def __call__(self, scene):
        scene.rest(3)
        key, value = next((key, value) for _, _, key, _, value in reversed(scene.recorder.all()) if "/a/" in key)
        record = json.loads(value)
        shares = {host: dict(zip(NAMED, share)) for host, share in record["shares"].items()}
        scene.store.write(key, json.dumps(record | {"shares": shares}))
        scene.rest(3)


PLANTS = {"borrowed": Borrowed(), "crowded": Crowded(), "alone": Alone(), "apart": Apart(), "hasty": Hasty(), "late": Late(), "cloned": Cloned(), "early": Early()}
