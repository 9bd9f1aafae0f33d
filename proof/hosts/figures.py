"""How long things take and what they cost, by real hosts over real members of etcd on this one machine."""

import http.client
import statistics
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from judge import rows
from scene import Scene


def ask(host, millis):
    """How long a request takes to the answer's head, seconds; it must come back from the server."""
    begun = time.monotonic()
    connection = http.client.HTTPConnection(host.machine.address, 8080, timeout=60)
    connection.request("GET", f"/work?ms={millis}&id=number")
    answer = connection.getresponse()
    assert answer.status == 200, answer.status
    connection.close()
    return time.monotonic() - begun


def spread(seconds):
    ordered = sorted(seconds)
    return f"{statistics.median(ordered) * 1000:.0f} ms in the middle, {ordered[0] * 1000:.0f} to {ordered[-1] * 1000:.0f} ms"


def ask_at_once(host, count, millis=200):
    """How long each of so many at once takes; of long work, to its first byte."""
    with ThreadPoolExecutor(count) as clients:
        return sorted(clients.map(lambda _: ask(host, millis), range(count)))


def owned(scene, host):
    return sum(had[host.name] for had in scene.counted().values())


def move(scene, host):
    """One more asks at a host than it has sessions, while others are idle elsewhere: the time of the one that has none here."""
    time.sleep(1.5)
    return ask_at_once(host, owned(scene, host) + 1)[-1] - 0.2


def moves(scene):
    first, second = scene.hosts
    here = statistics.median(ask_at_once(first, 1)[0] for _ in range(9)) - 0.2
    elsewhere = [move(scene, host) for _ in range(10) for host in sorted([first, second], key=lambda host: owned(scene, host))[:1]]
    print(f"numbers: served by a session that is idle elsewhere: after {spread(elsewhere)}; by one that is idle here: after {here * 1000:.0f} ms (10 moves)")


def writes(scene):
    """What idle hosts write, and hosts between which a session moves each second and a half."""
    counts = []
    for is_busy in (False, True):
        before, begun = scene.store.count(), time.monotonic()
        while (passed := time.monotonic() - begun) < 30:
            if is_busy:
                move(scene, min(scene.hosts, key=lambda host: owned(scene, host)))
            else:
                time.sleep(0.2)
        counts.append((scene.store.count() - before) / passed * 60 / len(scene.hosts))
    print(f"numbers: writes to etcd a host a minute: {counts[0]:.0f} when idle, {counts[1]:.0f} when 40 sessions a minute move")


def takeover(scene):
    """A host with sessions is killed while somebody waits elsewhere who needs one of them."""
    dead, other = scene.hosts
    count = owned(scene, other) + owned(scene, dead)
    scene.down(dead)
    dead.kill()
    took = ask_at_once(other, count, 20_000)
    print(f"numbers: after a crash somebody who waits elsewhere is served after {took[-1]:.1f} s; takeover_seconds is {scene.plan.takeover}")


def wait_for(condition, seconds=180):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it takes too long"
        time.sleep(0.1)


def drawn(scene, since=0.0):
    """For whom a token was drawn since then."""
    return {row[3] for row in rows(scene.directory / "seen") if row[1] == "login" and row[0] >= since}


def many(scene, begun):
    """From the first process of all to the last token, and what a crash costs then."""
    wait_for(lambda: not scene.lost())
    claimed = time.monotonic() - begun
    wait_for(lambda: len(drawn(scene)) == len(scene.plan.accounts))
    counts = [owned(scene, host) for host in scene.hosts]
    print(f"numbers: {len(scene.plan.accounts)} accounts over {len(scene.hosts)} hosts at start: claimed after {claimed:.1f} s, ", end="")
    print(f"logged in after {time.monotonic() - begun:.1f} s; they have {', '.join(map(str, counts))}")
    dead, began = scene.hosts[0], time.monotonic()
    theirs = {user for user, had in scene.counted().items() if had[dead.name]}
    scene.down(dead)
    dead.kill()
    wait_for(lambda: not owned(scene, dead) and not scene.lost())
    claimed = time.monotonic() - began
    wait_for(lambda: theirs <= drawn(scene, began))
    print(f"numbers: one of them killed: its {counts[0]} sessions are others' after {claimed:.1f} s, and logged in after {time.monotonic() - began:.1f} s")


def few(scene, _):
    for measure in (moves, writes, takeover):
        measure(scene)


def lines(scene, _):
    """How long is waited at hosts with lines of different lengths, when all have been there for a while."""
    counts, until, waits = [24, 8, 4], time.monotonic() + 30, [[] for _ in scene.hosts]

    def client(host, mine):
        while time.monotonic() < until:
            took = ask(host, 100) - 0.1
            if time.monotonic() > until - 20:
                mine.append(took)

    threads = [threading.Thread(target=client, args=one) for *one, count in zip(scene.hosts, waits, counts) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for host, mine, count in zip(scene.hosts, waits, counts):
        print(f"numbers: {count} clients for 6 sessions at three hosts, answers take 100 ms: they wait at {host.name} {spread(mine)} ({len(mine)} answers)")


# Each with the hosts and the accounts that it is measured with.
MEASURES = [(few, 2, {"user": 3}), (lines, 3, {"user": 6}), (many, 5, {f"user{number}": 1 for number in range(1000)})]


def measure(plan, directory):
    plan.differs = lambda _: {"expected": plan.hosts}
    plan.takeover, plan.home_percent, plan.home_takeover, plan.mode, plan.wait = 15, 0, 7200, "request", 60
    for number, (measured, plan.hosts, plan.accounts) in enumerate(MEASURES):
        (directory / str(number)).mkdir()
        scene = Scene(plan, directory / str(number))
        try:
            measured(scene, time.monotonic() - scene.begin()[1])
            assert not scene.violations, scene.violations
        finally:
            scene.end()
