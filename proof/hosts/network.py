"""Machines on one machine: a network namespace for each, all of them behind a router, this process's own namespace.

A pair of machines is cut in one direction by a rule of the router, which drops what it would pass on and tells nobody: packets of open connections
too, and one way only. Who is at the router itself, as clients and the recorder are, is cut off from nobody. It works without root, in a user namespace.
"""

import ctypes
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

NEWNET = 0x40000000
# Set where this process stands in namespaces of its own.
MARK = "TPP_HOSTS_ROUTER"


def why_not():
    """What is missing to make such a network, or None."""
    for program in ["ip", "unshare", "nsenter"]:
        if shutil.which(program) is None:
            return f"there is no {program}"
    if subprocess.run([*unshare(), "sh", "-c", TRIAL], capture_output=True).returncode:
        return "namespaces, pairs of interfaces or rules of routing cannot be had here"
    return None


TRIAL = "ip link add m0 type veth peer name m1 && ip rule add from 10.77.1.2 to 10.77.2.2 blackhole && echo 1 >/proc/sys/net/ipv4/ip_forward"


def unshare():
    return ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--user", "--map-root-user", "--net"]


def enter():
    """Starts this program anew as the router."""
    if MARK not in os.environ:
        os.execvpe("unshare", [*unshare(), sys.executable, *sys.argv], os.environ | {MARK: "1"})


def has_clocks():
    """Whether a process may have clocks of its own."""
    return subprocess.run(["unshare", "--time", "--boottime", "1000", "true"], capture_output=True).returncode == 0


def has_queues():
    """Whether links can be made slow."""
    return bool(shutil.which("tc")) and subprocess.run([*unshare(), "sh", "-c", SLOW_TRIAL], capture_output=True).returncode == 0


SLOW_TRIAL = "ip link add m0 type veth peer name m1 && tc qdisc add dev m0 root tbf rate 64kbit burst 3000 latency 400ms"


def ip(*words):
    subprocess.run(["ip", *map(str, words)], check=True, capture_output=True, text=True)


class Machine:
    """A namespace with one address."""

    def __init__(self, name, number):
        self.name, self.address = name, f"10.77.{number}.2"
        self.fd = made_namespace()
        self.inside = os.fstat(self.fd).st_ino
        path = f"/proc/{os.getpid()}/fd/{self.fd}"
        self.enter = ["nsenter", f"--net={path}"]
        self.outer = f"m{number}"
        self.slowed, self.ends = 0, [([], self.outer), (self.enter, "eth0")]
        ip("link", "add", self.outer, "type", "veth", "peer", "name", "eth0", "netns", path)
        ip("addr", "add", f"10.77.{number}.1/24", "dev", self.outer)
        ip("link", "set", self.outer, "up")
        inner = f"ip link set lo up; ip addr add {self.address}/24 dev eth0; ip link set eth0 up; ip route add default via 10.77.{number}.1"
        subprocess.run([*self.enter, "sh", "-ec", inner.replace(";", "\n")], check=True, capture_output=True)

    def start(self, command, log, **more):
        """A process on it; it ends when this one does."""
        return subprocess.Popen([*self.enter, *map(str, command)], stdin=subprocess.DEVNULL, stdout=log, stderr=log, **more)

    def slow(self, kbits, millis):
        """What it sends and gets waits until so much a second lets it through, and is dropped where it would wait for longer. Slow twice is hastened twice."""
        self.slowed += 1
        for place, device in self.ends:
            queue = ["root", "tbf", "rate", f"{kbits}kbit", "burst", "3000", "latency", f"{millis}ms"]
            subprocess.run([*place, "tc", "qdisc", "replace", "dev", device, *queue], check=True, capture_output=True)

    def hasten(self):
        self.slowed -= 1
        for place, device in self.ends if self.slowed == 0 else []:
            subprocess.run([*place, "tc", "qdisc", "del", "dev", device, "root"], check=True, capture_output=True)

    def processes(self):
        """The ids of all that runs on it."""
        found = []
        for process in Path("/proc").iterdir():
            if process.name.isdigit():
                try:
                    if os.stat(process / "ns" / "net").st_ino == self.inside:
                        found.append(int(process.name))
                except OSError:
                    pass  # it has ended, or is none of ours
        return found

    def send(self, number):
        """A signal to all that runs on it, until nothing new is found: who was just being started is met too."""
        met = set()
        while fresh := set(self.processes()) - met:
            for pid in fresh:
                send(pid, number)
            if number == signal.SIGCONT:
                return
            met |= fresh


def send(pid, number):
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


def made_namespace():
    """The descriptor of a new one, which lasts as long as it is open."""
    found = []

    def make():
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.unshare(NEWNET):
            raise OSError(ctypes.get_errno(), "unshare")
        found.append(os.open("/proc/thread-self/ns/net", os.O_RDONLY))

    # A namespace is a thread's: this one ends, and the others stay where they are.
    thread = threading.Thread(target=make)
    thread.start()
    thread.join()
    return found[0]


class Network:
    """The router's side."""

    def __init__(self):
        self.machines, self.cuts = {}, {}
        ip("link", "set", "lo", "up")
        Path("/proc/sys/net/ipv4/ip_forward").write_text("1")

    def add(self, name):
        self.machines[name] = Machine(name, len(self.machines) + 1)
        return self.machines[name]

    def cut(self, source, target):
        """Nothing gets from `source` to `target` any more. What is cut twice is healed twice."""
        pair = (source.address, target.address)
        self.cuts[pair] = self.cuts.get(pair, 0) + 1
        if self.cuts[pair] == 1:
            ip("rule", "add", "from", pair[0], "to", pair[1], "blackhole")

    def heal(self, source, target):
        pair = (source.address, target.address)
        self.cuts[pair] -= 1
        if self.cuts[pair] == 0:
            ip("rule", "del", "from", pair[0], "to", pair[1], "blackhole")

    def end(self):
        """Ends all that runs on any machine, and the machines."""
        for machine in self.machines.values():
            machine.send(signal.SIGKILL)
            ip("link", "del", machine.outer)
            os.close(machine.fd)
