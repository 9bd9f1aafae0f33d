"""All machines together: hosts, members of etcd, the server and the clients, what is being done to them, and what was."""

import heapq
import itertools
import signal
import subprocess
import sys
import time
from pathlib import Path

from faults import DEEDS, signal_one
from host import Host
from network import Network
from records import LATEST, Records
from store import Recorder, Store

HERE = Path(__file__).resolve().parent


class Scene:
    def __init__(self, plan, directory):
        self.plan, self.directory, self.network = plan, directory, Network()
        self.snapshot = directory / "snapshot"
        self.upstream = self.network.add("upstream")
        self.store = Store(self.network, directory)
        self.recorder = Recorder(self.store)
        self.hosts = [Host(plan, self.network.add(f"host{number + 1}"), directory / f"host{number + 1}") for number in range(plan.hosts)]
        # What was done, for the judge: (source, target, from, to); (host, what, from, to); (what, when).
        self.cuts, self.strikes, self.notes, self.violations = [], [], [], []
        self.later, self.order, self.deeds = [], itertools.count(), 0
        self.programs = []

    # === Begin and end ===

    def begin(self):
        """The server and all hosts, until they serve: whether they do, and after how long."""
        started = time.monotonic()
        self.run(self.upstream, "oracle.py", 8848, self.directory / "seen", *self.plan.accounts)
        for host in self.hosts:
            self.configure(host)
            self.down(host)
            self.up(host)
        return self.wait_until_whole("after the start"), time.monotonic() - started

    def configure(self, host, accounts=None):
        host.configure(self.upstream, self.store.members, accounts, **self.plan.differs(host.name))

    def begin_to_ask(self):
        addresses = [host.machine.address for host in self.hosts]
        self.run(None, "clients.py", self.plan.seed, self.directory / "asked", self.plan.patience, self.plan.clients, *addresses)

    def run(self, machine, program, *words):
        command = [sys.executable, HERE / program, *map(str, words)]
        with open(self.directory / f"{program}.log", "w") as log:
            start = machine.start if machine else lambda command, log: subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
            self.programs.append(start(command, log))

    def end(self):
        """Clients first, then hosts as they are wanted to end, then everything."""
        for program in self.programs[1:]:
            program.kill()
        for host in self.hosts:
            host.is_wanted = False
            if host.process and host.process.poll() is None:
                host.process.send_signal(signal.SIGTERM)
        for host in self.hosts:
            if host.process:
                host.stop()
        self.recorder.ended = True
        for program in self.programs:
            if program.poll() is None:
                program.kill()
        self.network.end()

    # === What faults do ===

    def cut(self, source, target):
        self.network.cut(source, target)
        self.cuts.append([source.address, target.address, time.monotonic(), None])

    def heal(self, source, target):
        self.network.heal(source, target)
        one = next(one for one in self.cuts if one[:2] == [source.address, target.address] and one[3] is None)
        one[3] = time.monotonic()

    def struck(self, host, what):
        """Its clients may notice, until all is whole again."""
        self.strikes.append([host.machine.address, what, time.monotonic(), None])

    def down(self, host):
        self.struck(host, "down")

    def up(self, host, clock=0):
        if host.process is None or host.process.poll() is not None:
            host.clock = self.plan.clock(host.name, clock)
            host.start()

    def start_later(self, host, seconds):
        """Its supervisor is about to be killed, and is not to be missed before."""
        self.struck(host, "supervisor")
        host.is_wanted = False

        def start():
            host.is_wanted = True
            host.look_after()

        self.at(time.monotonic() + seconds, start)

    def note(self, what):
        self.notes.append((what, time.monotonic()))

    def needed(self, what, attempt, within=10):
        """Something that must succeed for all to be whole: tried until it does."""
        until = time.monotonic() + within
        while not attempt() and time.monotonic() < until:
            self.do_what_is_due()
            time.sleep(0.2)
        self.notes.append((what, time.monotonic()))

    def is_settled(self, host):
        """Whether its supervisor has gone as far as to have workers that are at work."""
        said = host.ctl("status", timeout=3)
        return said is not None and said.returncode == 0

    # === Storm and quiet ===

    def at(self, when, action):
        heapq.heappush(self.later, (when, next(self.order), action))

    def storm(self, length, deeds):
        begun = time.monotonic()
        for deed in deeds:
            self.at(begun + deed.at, lambda deed=deed: self.do(deed))
        while (left := begun + length - time.monotonic()) > 0:
            self.do_what_is_due()
            time.sleep(min(left, 0.05))
        while self.later:
            heapq.heappop(self.later)[2]()
        self.heal_all()

    def do_what_is_due(self):
        while self.later and self.later[0][0] <= time.monotonic():
            heapq.heappop(self.later)[2]()
        for host in self.hosts:
            host.look_after()

    def do(self, deed):
        self.deeds += 1
        undo = DEEDS[deed.name](self, deed.first, deed.second)
        if undo:
            self.at(time.monotonic() + deed.lasts, undo)

    def heal_all(self):
        for host in self.hosts:
            self.up(host)
            host.is_wanted = True

    def quiet(self, dice, after):
        self.wait_until_whole(after)
        self.rest(dice.uniform(1, 3))

    def rest(self, seconds):
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.do_what_is_due()
            time.sleep(0.1)

    def upgrade_the_rest(self):
        """All hosts become of today; then records are written in the latest format."""
        for host in self.hosts:
            host.renew()
            # One that was told in a storm may not have heard it.
            self.needed(f"{host.name} is upgraded", lambda host=host: signal_one(self, host, signal.SIGUSR2), 60)
        if not self.wait_until_whole("the upgrade"):
            return
        said = []
        self.needed("one format", lambda: said.clear() or said.extend(host.formats() for host in self.hosts) or all(one == ({LATEST}, set()) for one in said), 60)
        print(f"hosts: after all upgrades records are in formats {said}", flush=True)
        if any(one != ({LATEST}, set()) for one in said):
            self.violations.append(f"all hosts are of today, and records are not in format {LATEST}: {said}")

    def wait_until_whole(self, after):
        """Each host serves again, and each session is at one of them, within the bound. Until then who was struck is excused."""
        begun, missing, is_late = time.monotonic(), set(self.hosts), False
        while missing or self.lost():
            if is_late := time.monotonic() > begun + self.plan.recovery:
                names = ", ".join(sorted(host.name for host in missing)) or "none"
                lost = ", ".join(f"{count} of {user}'s" for user, count in self.lost().items()) or "none"
                self.violations.append(f"{after}: not whole after {self.plan.recovery} s: serve nobody: {names}; sessions at no host: {lost}")
                break
            self.do_what_is_due()
            missing = {host for host in missing if not host.answers()}
            time.sleep(0.2)
        for strike in self.strikes:
            strike[3] = strike[3] or time.monotonic()
        return not is_late

    def counted(self):
        """Sessions by user and host, as etcd's records have them."""
        records = Records(self.plan.accounts)
        for life, _, key, _, value in self.recorder.all():
            records.apply(life, key, value)
        return records.counted()

    def lost(self):
        """Sessions that no host has, by user."""
        counted = {} if self.plan.is_alone else self.counted()
        return {user: self.plan.accounts[user] - sum(had.values()) for user, had in counted.items() if sum(had.values()) < self.plan.accounts[user]}
