"""Three real members of etcd, each on a machine of its own, and who writes down all that is ever written there."""

import base64
import http.client
import json
import os
import shutil
import signal
import subprocess
import threading
import time

from network import send

PREFIX = "/tpp/1/"


def call(address, path, body, timeout=2):
    """What a member answers to a call of its JSON gateway; None: it does not."""
    connection = http.client.HTTPConnection(address, 2379, timeout=timeout)
    try:
        connection.request("POST", path, json.dumps(body))
        answer = connection.getresponse()
        return json.loads(answer.read()) if answer.status == 200 else None
    except (OSError, ValueError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def text(coded):
    return base64.b64decode(coded).decode()


def code(plain):
    return base64.b64encode(plain.encode()).decode()


class Member:
    def __init__(self, machine, directory):
        self.machine, self.directory, self.process = machine, directory, None
        self.url = f"http://{machine.address}"

    def start(self, others, state, token):
        names = ",".join(f"{one.machine.name}={one.url}:2380" for one in others)
        command = ["etcd", "--name", self.machine.name, "--data-dir", self.directory, "--listen-client-urls", "http://0.0.0.0:2379"]
        command += ["--advertise-client-urls", f"{self.url}:2379", "--listen-peer-urls", f"{self.url}:2380", "--initial-cluster-state", state]
        command += ["--initial-advertise-peer-urls", f"{self.url}:2380", "--initial-cluster", names, "--initial-cluster-token", token]
        with open(f"{self.directory}.log", "a") as log:
            self.process = self.machine.start(command, log, env=os.environ | {"ETCD_AUTO_COMPACTION_RETENTION": "1"})

    def kill(self):
        self.machine.send(signal.SIGKILL)
        self.process.wait()

    def id(self):
        """Its id and whom it takes for the leader."""
        said = call(self.machine.address, "/v3/maintenance/status", {}, 0.5)
        return (said["header"]["member_id"], said.get("leader")) if said else (None, None)


class Store:
    def __init__(self, network, directory):
        self.directory, self.lives = directory, 1
        self.members = [Member(network.add(f"etcd{number}"), directory / f"etcd{number}.1") for number in (1, 2, 3)]
        self.start_all()

    def start_all(self):
        for member in self.members:
            member.start(self.members, "new", f"tpp{self.lives}")

    def start(self, member):
        """A member that was killed, with all that it had."""
        member.start(self.members, "existing", f"tpp{self.lives}")

    def leader(self):
        """The member that leads, or the first one if nobody knows."""
        said = [member.id() for member in self.members]
        leaders = {leader for _, leader in said if leader}
        return next((member for member, (own, _) in zip(self.members, said) if own in leaders), self.members[0])

    def write(self, key, value):
        """Past all rules: only for plants."""
        return self.ask("/v3/kv/put", {"key": code(key), "value": code(value)})

    def ask(self, path, body):
        """What the first member says that answers."""
        return next(filter(None, (call(one.machine.address, path, body) for one in self.members)), None)

    def count(self):
        """The highest revision: how many writes there ever were."""
        said = self.ask("/v3/kv/range", {"key": code("x")})
        return int(said["header"]["revision"]) if said else 0

    def compact(self):
        """All history is forgotten, but for the last few writes."""
        return self.ask("/v3/kv/compaction", {"revision": str(max(self.count() - 3, 1))})

    def is_full(self, is_full):
        """As if the database had reached its quota: nothing can be written until an operator clears the alarm."""
        return self.ask("/v3/maintenance/alarm", {"action": "ACTIVATE" if is_full else "DEACTIVATE", "memberID": "0", "alarm": "NOSPACE"})

    def move_leader(self, which):
        """An election without a fault."""
        ids = [own for own, _ in (member.id() for member in self.members) if own]
        leader = self.leader()
        others = [own for own in ids if own != leader.id()[0]]
        return others and call(leader.machine.address, "/v3/maintenance/transfer-leadership", {"targetID": others[which % len(others)]})

    def save(self, snapshot):
        """Whether any member gave a snapshot."""
        snapshot.unlink(missing_ok=True)
        for member in self.members:
            command = ["etcdctl", "--endpoints", f"{member.url}:2379", "--command-timeout=3s", "snapshot", "save", snapshot]
            if subprocess.run(command, env=os.environ | {"ETCDCTL_API": "3"}, capture_output=True, timeout=20).returncode == 0:
                return True
        return False

    def restore(self, snapshot):
        """All members begin anew with what was saved: another cluster to whoever looks, and an older one."""
        for member in self.members:
            member.kill()
        self.lives += 1
        names = ",".join(f"{one.machine.name}={one.url}:2380" for one in self.members)
        for member in self.members:
            shutil.rmtree(member.directory)
            member.directory = self.directory / f"{member.machine.name}.{self.lives}"
            command = ["etcdctl", "snapshot", "restore", snapshot, "--name", member.machine.name, "--initial-cluster", names]
            command += ["--initial-cluster-token", f"tpp{self.lives}", "--initial-advertise-peer-urls", f"{member.url}:2380"]
            subprocess.run([*command, "--data-dir", member.directory], env=os.environ | {"ETCDCTL_API": "3"}, check=True, capture_output=True)
        self.start_all()


class Recorder:
    """Each write with the time when it was first seen at any member: (life of the store, revision, time, key, value or None)."""

    def __init__(self, store):
        self.store, self.lock, self.rows, self.ended = store, threading.Lock(), {}, False
        for member in store.members:
            threading.Thread(target=self.follow, args=(member,), daemon=True).start()

    def follow(self, member):
        life, start = 0, None
        while not self.ended:
            if life != self.store.lives:
                life, start = self.store.lives, None
            try:
                # A store that was restored may have forgotten how it came to what it has.
                start = start or self.list(member, life)
                for line in lines(member, start):
                    if life != self.store.lives or self.ended:
                        break
                    start = self.take(life, json.loads(line)["result"], start)
            except (OSError, ValueError, KeyError, http.client.HTTPException):
                pass
            time.sleep(0.2)

    def list(self, member, life):
        """What stands there, and the revision to go on from."""
        said = call(member.machine.address, "/v3/kv/range", {"key": code(PREFIX), "range_end": code("/tpp/10")}) or {}
        if life != self.store.lives:
            return None
        for pair in said.get("kvs", []):
            self.add(life, pair, text(pair["value"]))
        return int(said["header"]["revision"]) + 1

    def add(self, life, pair, value):
        with self.lock:
            self.rows.setdefault((life, int(pair["mod_revision"]), text(pair["key"])), (time.monotonic(), value))

    def take(self, life, said, start):
        """Where to go on from. What was compacted before this member could tell it has been told by another one."""
        for event in said.get("events", []):
            pair = event["kv"]
            self.add(life, pair, text(pair["value"]) if event.get("type") != "DELETE" else None)
            start = int(pair["mod_revision"]) + 1
        return max(start, int(said.get("compact_revision", 0)))

    def all(self):
        """What was written, in order."""
        with self.lock:
            return [(*place, *seen) for place, seen in sorted(self.rows.items())]


def lines(member, start):
    """What a watch from a revision on tells."""
    connection = http.client.HTTPConnection(member.machine.address, 2379, timeout=3)
    try:
        wanted = {"key": code(PREFIX), "range_end": code("/tpp/10"), "start_revision": str(start), "progress_notify": True}
        connection.request("POST", "/v3/watch", json.dumps({"create_request": wanted}))
        # A member that is stopped for long sends nothing, and neither does one where nothing happens.
        connection.sock.settimeout(30)
        answer = connection.getresponse()
        while line := answer.readline():
            yield line
            if "compact_revision" in (said := json.loads(line)["result"]) or said.get("canceled"):
                return
    finally:
        connection.close()
