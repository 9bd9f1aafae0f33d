"""What is done to hosts, to members of etcd and to the network between, and when: all of it follows from a seed.

A fault is done to a `Scene` with two numbers from 0 to 999 that choose the details, and a time for which it lasts. What it
returns is to be done when that is over: heal, go on, start again.
"""

import random
import signal
from collections import namedtuple

from network import send

Deed = namedtuple("Deed", "at name first second lasts")
# How long a storm lasts, seconds; one in so many is long enough for home sessions to lapse, and for those of the dead to be taken.
STORM, LONG_STORM, LONG_EVERY = (12, 25), (75, 100), 7


def pick(items, number):
    return items[number % len(items)] if items else None


# === The network ===


def cut(scene, pairs):
    for source, target in pairs:
        scene.cut(source, target)

    def heal():
        for source, target in pairs:
            scene.heal(source, target)

    return heal


def directed(one, others, way):
    """Both ways mostly, else one of them."""
    there, back = [(one, other) for other in others], [(other, one) for other in others]
    return {0: there, 1: back}.get(way % 4, there + back)


def cut_host_from_etcd(scene, which, way):
    members = [member.machine for member in scene.store.members]
    return cut(scene, directed(pick(scene.hosts, which).machine, members, way))


def cut_host_from_leader(scene, which, way):
    return cut(scene, directed(pick(scene.hosts, which).machine, [scene.store.leader().machine], way))


def cut_host_from_upstream(scene, which, way):
    return cut(scene, directed(pick(scene.hosts, which).machine, [scene.upstream], way))


def cut_host_from_all(scene, which, way):
    others = [scene.upstream, *(member.machine for member in scene.store.members)]
    return cut(scene, directed(pick(scene.hosts, which).machine, others, way))


def cut_etcd(scene, which, way):
    """A member from the others; every second time it is the leader. Hosts reach all."""
    members = scene.store.members
    one = scene.store.leader() if which % 2 else pick(members, which)
    return cut(scene, directed(one.machine, [other.machine for other in members if other is not one], way))


def split(scene, which, _):
    """Some hosts reach one member only, which the others have lost: they are on the side that has no majority."""
    members = scene.store.members
    alone = pick(members, which)
    rest = [other.machine for other in members if other is not alone]
    pairs = directed(alone.machine, rest, 2)
    for host in scene.hosts[which % 2 :: 2]:
        pairs += directed(host.machine, rest, 2)
    return cut(scene, pairs)


def slow_etcd(scene, which, how):
    """Packets from and to members that do not lead wait for up to half a second, and are lost where they would for longer.

    What the leader takes is to be seen without delay, else nobody could tell what a host may know by then."""
    if not scene.plan.has_queues:
        return None
    leader = scene.store.leader()
    others = [member for member in scene.store.members if member is not leader]
    chosen = [pick(others, which)] if which % 3 else others
    for member in chosen:
        member.machine.slow(100 + how % 200, 50 + how // 2)
    return lambda: [member.machine.hasten() for member in chosen]


# === Processes ===


def kill_worker(scene, which, other):
    host = pick(scene.hosts, which)
    if pid := pick(host.workers(), other):
        scene.struck(host, "worker")
        send(pid, signal.SIGKILL)


def stop_worker(scene, which, other):
    host = pick(scene.hosts, which)
    pid = pick(host.workers(), other)
    return pid and stopped(scene, host, "worker", lambda number: send(pid, number))


def kill_supervisor(scene, which, wait):
    """Its successor comes at once, in seconds, or too late for floating sessions."""
    host = pick(scene.hosts, which)
    if host.is_wanted:
        scene.start_later(host, wait / 100)
        send(host.supervisor(), signal.SIGKILL)


def stop_supervisor(scene, which, _):
    host = pick(scene.hosts, which)
    return stopped(scene, host, "supervisor", lambda number: send(host.supervisor(), number))


def stopped(scene, host, what, tell):
    scene.struck(host, what)
    tell(signal.SIGSTOP)

    def go_on():
        tell(signal.SIGCONT)
        scene.struck(host, what)

    return go_on


def stop_host(scene, which, _):
    """As a virtual machine that gets no processor."""
    host = pick(scene.hosts, which)
    return stopped(scene, host, "down", host.machine.send)


def kill_host(scene, which, clock):
    """As when the power goes; after that the clock may begin anywhere."""
    host = pick(scene.hosts, which)
    scene.down(host)
    host.kill()
    return lambda: scene.up(host, clock)


def end_host(scene, which, clock):
    """As a service manager stops it: all is given away."""
    host = pick(scene.hosts, which)
    if not host.is_wanted:
        return None
    scene.down(host)
    host.is_wanted = False
    send(host.supervisor(), signal.SIGTERM)

    def start():
        host.stop()
        scene.up(host, clock)

    return start


def kill_all_hosts(scene, _, clock):
    undone = [kill_host(scene, which, clock + which) for which in range(len(scene.hosts))]
    return lambda: [undo() for undo in undone]


def upgrade(scene, which, _):
    """A host of before is one of today from then on."""
    pick(scene.hosts, which).renew()
    return signalled(scene, [pick(scene.hosts, which)], signal.SIGUSR2)


def upgrade_all(scene, which, _):
    """One host after another, each as soon as the one before was told."""
    for offset in range(len(scene.hosts)):
        upgrade(scene, which + offset, 0)


def replace_workers(scene, which, _):
    return signalled(scene, [pick(scene.hosts, which)], signal.SIGUSR1)


def reload(scene, which, _):
    return signalled(scene, [pick(scene.hosts, which)], signal.SIGHUP)


def drift(scene, which, how):
    """A host is told of one account less than the others, or of one that allows less, and then of the same again."""
    host = pick(scene.hosts, which)
    user, accounts = pick(list(scene.plan.accounts), how), dict(scene.plan.accounts)
    accounts[user] -= 1
    scene.configure(host, {user: limit for user, limit in accounts.items() if limit})
    reload_one(scene, host)

    def agree():
        scene.configure(host)
        # One that does not run reads it when it begins.
        scene.needed("the accounts are the same again", lambda: not host.is_wanted or reload_one(scene, host), 60)

    return agree


def reload_one(scene, host):
    """Whether it was told, and is at work."""
    return signal_one(scene, host, signal.SIGHUP) and scene.is_settled(host)


def signalled(scene, hosts, number):
    for host in hosts:
        signal_one(scene, host, number)


def signal_one(scene, host, number):
    # A supervisor that has just begun does not know these signals yet, and would end by them.
    if not host.is_wanted or host.process.poll() is not None or not scene.is_settled(host):
        return False
    scene.struck(host, "worker")
    send(host.supervisor(), number)
    return True


# === etcd ===


def members(scene, which, how_many):
    first = scene.store.leader() if which % 2 else pick(scene.store.members, which)
    return sorted(scene.store.members, key=lambda member: member is not first)[:how_many]


def kill_members(scene, which, how_many):
    chosen = [one for one in members(scene, which, 1 + how_many % 3) if one.process.poll() is None]
    for member in chosen:
        member.kill()
    return lambda: [scene.store.start(member) for member in chosen if member.process.poll() is not None]


def stop_members(scene, which, how_many):
    chosen = members(scene, which, 1 + how_many % 3)
    for member in chosen:
        member.machine.send(signal.SIGSTOP)
    return lambda: [member.machine.send(signal.SIGCONT) for member in chosen]


def fill(scene, _, __):
    scene.store.is_full(True)

    def clear():
        # A member that is still away may be the first that is asked.
        scene.needed("the alarm is cleared", lambda: scene.store.is_full(False))

    return clear


def compact(scene, _, __):
    scene.store.compact()


def move_leader(scene, which, _):
    scene.store.move_leader(which)


def save(scene, _, __):
    scene.store.save(scene.snapshot)


def restore(scene, which, _):
    """etcd forgets what was written since a moment ago. Who lends then may go on, and no further; nobody does when it is taken for true."""
    if scene.snapshot.exists():
        scene.note("restored")
        scene.store.restore(scene.snapshot)
        return lambda: (adopt if which % 2 else start_over)(scene)


def adopt(scene):
    """What an operator does who ends nothing: waits until nobody lends by what etcd knew before, then has each host take the etcd that is there for right."""
    for host in scene.hosts:
        scene.struck(host, "down")
    # Home sessions are lent for 8/15 of their time.
    scene.needed("nobody lends", lambda: all(host.lends_nothing() for host in scene.hosts), scene.plan.home_takeover)
    for host in scene.hosts:
        said = host.ctl("hosts", "adopt")
        if said is None or said.returncode:
            scene.violations.append(f"{host.name} does not adopt: {said}")
    scene.note("started over")


def start_over(scene):
    """What an operator does: all hosts are ended before any begins anew."""
    for host in scene.hosts:
        scene.down(host)
        host.kill()
    scene.note("started over")
    for host in scene.hosts:
        scene.up(host, 0)


# How many times out of all each is chosen.
FAULTS = {
    cut_host_from_etcd: 6,
    cut_host_from_leader: 3,
    cut_host_from_upstream: 4,
    cut_host_from_all: 4,
    cut_etcd: 4,
    split: 2,
    slow_etcd: 4,
    kill_worker: 3,
    stop_worker: 4,
    kill_supervisor: 5,
    stop_supervisor: 4,
    stop_host: 5,
    kill_host: 5,
    end_host: 3,
    kill_all_hosts: 1,
    upgrade: 3,
    upgrade_all: 1,
    replace_workers: 2,
    reload: 1,
    drift: 3,
    kill_members: 4,
    stop_members: 4,
    fill: 1,
    compact: 1,
    move_leader: 2,
}
DEEDS = {fault.__name__: fault for fault in [*FAULTS, save, restore]}
# Each so many storms end with etcd restored from a backup.
RESTORE_EVERY = 5


def storms(seed):
    """One list of deeds after another, for ever; times are seconds from the storm's begin."""
    dice = random.Random(f"{seed} faults")
    number = 0
    while True:
        number += 1
        is_long = number % LONG_EVERY == 0
        length = dice.uniform(*(LONG_STORM if is_long else STORM))
        deeds = []
        for _ in range(dice.randint(2, 7) + 5 * is_long):
            fault = dice.choices(list(FAULTS), FAULTS.values())[0]
            at = dice.uniform(0, length - 2)
            # One in four is healed only with everything else.
            lasts = length - at if is_long or dice.random() < 0.25 else min(length - at, dice.uniform(0.3, 14))
            deeds.append(Deed(at, fault.__name__, dice.randrange(1000), dice.randrange(1000), lasts))
        if number % RESTORE_EVERY == 0:
            deeds = [Deed(0, "save", 0, 0, 0), Deed(6, "restore", number // RESTORE_EVERY, 0, dice.uniform(4, 12))]
        yield length, sorted(deeds)
