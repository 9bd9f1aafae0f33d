#!/usr/bin/env python3
"""Many hosts under chaos: real tpps over three real members of etcd, on machines of network namespaces, before a server that sees all.

    proof/hosts/main.py [--secs=60] [--seed=1] [--plant=NAME] [--numbers] [--schedule] [--check] [--keep] [--earlier=EXECUTABLE] [EXECUTABLE]

Storms of faults, drawn from the seed, alternate with quiet, in which everything must come back to whole. What was seen is judged at the end; exit 1 if
anything was that must not be. --plant does that on purpose; all of them in turn, and each must be seen: --plant=all. --numbers measures instead.
In some seeds hosts begin as of before, by hosts.newest_format, and are upgraded one after another; with --earlier=EXECUTABLE by that executable, in all.
--schedule prints what a seed does. --check tells whether it can be run here; exit 3: it cannot, and why. Clocks of other rates and jumps of the wall clock
cannot be had on one machine, and are not tried.
"""

import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path

# What all proofs share.
sys.path.append(str(Path(__file__).resolve().parent.parent))

import faults
import network
from judge import judge
from figures import measure
from plants import PLANTS
from scene import Scene

ROOT = Path(__file__).resolve().parent.parent.parent
# Most lines about what must not be.
SHOWN = 25


class Plan:
    """What is the same for all hosts: drawn from the seed."""

    takeover, home_takeover, wait, workers, clients = 6, 60, 10, 2, 7
    # Of a client: a wait for a session, two servers' silences and what a loaded machine adds. Of a cluster: a takeover, a return after it, logins.
    patience, recovery = 40, 45
    is_alone = False

    def __init__(self, seed, executable, earlier=None):
        dice = random.Random(f"{seed} plan")
        self.seed, self.executable = seed, executable
        self.has_clocks, self.has_queues = network.has_clocks(), network.has_queues()
        self.hosts = dice.randint(3, 5)
        self.mode = dice.choice(["request", "connection"])
        self.home_percent = dice.choice([0, 50, 50, 100])
        self.accounts = {f"user{number}": dice.randint(1, 5) for number in range(dice.randint(3, 6))}
        # As many as there are hosts, at the least: each is to serve.
        self.accounts["user0"] += self.hosts
        self.earlier = earlier
        self.begins_as_before = dice.random() < 0.6 or earlier is not None

    def clock(self, host, turn):
        """Seconds that a host's clock is ahead."""
        return random.Random(f"{self.seed} {host} {turn}").choice([0, 10, 3600, 5_000_000]) if self.has_clocks else 0

    def differs(self, _):
        """What a host is told that others are not."""
        return {}

    def __str__(self):
        sessions = sum(self.accounts.values())
        return f"{self.hosts} hosts, {sessions} sessions of {len(self.accounts)} accounts, lent for a {self.mode}, {self.home_percent} % home{', begun as before' * self.begins_as_before}"


def described(deeds):
    return "; ".join(f"{deed.at:.1f} {deed.name.replace('_', ' ')} ({deed.first}, {deed.second}) for {deed.lasts:.1f}" for deed in deeds)


def weather(scene, seconds, seed):
    """Storms until the time is over, and quiet after each."""
    dice, until = random.Random(f"{seed} quiet"), time.monotonic() + seconds
    for number, (length, deeds) in enumerate(faults.storms(seed), 1):
        left = until - time.monotonic()
        if left < 8:
            break
        print(f"storm {number}, {length:.0f} s: {described(deeds)}", flush=True)
        begun = time.monotonic()
        scene.storm(length, deeds)
        healed = time.monotonic()
        scene.quiet(dice, f"storm {number}")
        print(f"  over after {healed - begun:.0f} s, whole {time.monotonic() - healed:.0f} s later", flush=True)
    scene.upgrade_the_rest()


def drive(plan, directory, seconds, plant):
    started = time.monotonic()
    scene = Scene(plan, directory)
    try:
        is_whole, after = scene.begin()
        print(f"hosts: seed {plan.seed}: {plan}; {'' if is_whole else 'not '}whole after {after:.1f} s", flush=True)
        scene.begin_to_ask()
        if is_whole and plant:
            plant(scene)
        elif is_whole:
            weather(scene, seconds, plan.seed)
        for program in scene.programs:
            if program.poll() is not None:
                scene.violations.append(f"{program.args[-1]}: a program of the proof has ended")
    finally:
        scene.end()
    violations, asked, seen = judge(scene, plan)
    lines = scene.violations + [f"at {when - started:.2f} s: {what}" for what, when in violations]
    print(f"hosts: {', '.join(f'{count} {how}' for how, count in asked.most_common())}; the server saw {seen}")
    print("\n".join(lines[:SHOWN]) + (f"\n… and {len(lines) - SHOWN} more" if len(lines) > SHOWN else ""))
    print(f"hosts: {time.monotonic() - started:.0f} s, {sum(asked.values())} requests, {scene.deeds} faults, seed {plan.seed}; {len(lines)} violations")
    return len(lines)


def see_all():
    """How many plants were not seen for what they are."""
    unseen = 0
    for name, plant in PLANTS.items():
        words = [word for word in sys.argv if not word.startswith("--plant=")]
        said = subprocess.run([sys.executable, *words, f"--plant={name}"], capture_output=True, text=True).stdout
        line = next((line for line in said.splitlines() if plant.sign in line), None)
        unseen += line is None
        print(f"hosts: {name}: {line or 'NOT SEEN: ' + said}", flush=True)
    print(f"hosts: {len(PLANTS)} plants, {unseen} not seen")
    return unseen


def option(name, default):
    return next((word.split("=", 1)[1] for word in sys.argv if word.startswith(f"--{name}=")), default)


def why_not():
    missing = next((program for program in ["etcd", "etcdctl"] if shutil.which(program) is None), None)
    return f"there is no {missing}" if missing else network.why_not()


def main():
    arguments = [one for one in sys.argv[1:] if not one.startswith("--")]
    seed, seconds = int(option("seed", 1)), float(option("secs", 60))
    if "--schedule" in sys.argv:
        for number, (length, deeds) in enumerate(islice(faults.storms(seed), 20), 1):
            print(f"storm {number}, {length:.0f} s: {described(deeds)}")
        return
    if why := why_not():
        print(why)
        sys.exit(3)
    if "--check" in sys.argv:
        return
    if option("plant", "") == "all":
        sys.exit(see_all())
    network.enter()
    # All ends with us, however we end.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    executable = Path(arguments[0] if arguments else ROOT / "target" / "debug" / "tpp").resolve()
    earlier = option("earlier", None) and Path(option("earlier", None)).resolve()
    plan, plant = Plan(seed, executable, earlier), PLANTS.get(option("plant", ""))
    if not plan.has_clocks:
        print("hosts: clocks of their own cannot be had here: all hosts have one")
    if not plan.has_queues:
        print("hosts: links cannot be made slow here (tc, with tbf): they are not")
    plan = plant.plan(plan) if plant else plan
    directory = Path(tempfile.mkdtemp(dir=ROOT / "target", prefix="hosts-"))
    code = measure(plan, directory) if "--numbers" in sys.argv else drive(plan, directory, seconds, plant)
    if not (code and not plant or "--keep" in sys.argv):
        shutil.rmtree(directory)
    else:
        print(f"hosts: logs and records are in {directory}")
    sys.exit(1 if code else 0)


main()
