"""What must never be, looked for in all that was seen.

- A token is used from where it was drawn, and by one request at a time.
- Of an account no more sessions are at work at any instant than it allows; no host has more at work than etcd's records give it,
  and nothing floating once it has given no sign of life for so long that it must have let go.
- The records never give away more than an account allows, and are in no later format than all hosts speak.
- Each client is answered, with what it asked for.

Limits of sight: who is gone is seen gone a moment later (`GONE`); a write is seen a moment after it was taken (`SEEN`); what is at work for a host that
is cut off from the server counts until the cut, as neither knows of the other from there on. What arrives later, after the cut was healed say, counts.
"""

import json
from bisect import bisect_right, insort
from collections import Counter, defaultdict, namedtuple

from records import Records

GONE, SEEN = 0.3, 0.5
Work = namedtuple("Work", "begin end source user token path")


def rows(file):
    """All whole lines."""
    for line in file.read_text().splitlines() if file.exists() else ():
        try:
            yield json.loads(line)
        except ValueError:
            pass


def works(seen, cuts, upstream):
    """What was at work for whom, and what was drawn by whom."""
    drawn, found = {}, []
    silent = defaultdict(list)
    for source, target, begin, _ in cuts:
        if target == upstream:
            silent[source].append(begin)
    for row in seen:
        if row[1] == "login":
            drawn[row[4]] = (row[2], row[3])
            continue
        begin, _, source, token, end, how, path = row
        if how == "gone":
            end -= GONE
        end = min([end, *(cut for cut in silent[source] if begin < cut)])
        # A moment is the least, so that it begins before it ends.
        end = max(end, begin + 0.001)
        found.append(Work(begin, end, source, drawn[token][1], token, path))
    return sorted(found), drawn


def strangers(found, drawn):
    """Tokens used from elsewhere."""
    for work in found:
        if drawn[work.token][0] != work.source:
            yield f"a token of {work.user}, drawn by {drawn[work.token][0]}, was used by {work.source}", work.begin


def crowds(found, limits):
    """Tokens at work twice, and accounts with too many at work."""
    for user, limit in limits.items():
        moments = sorted([moment for work in found if work.user == user for moment in ((work.begin, 1, work), (work.end, 0, work))], key=lambda one: one[:2])
        at_work = Counter()
        for when, begins, work in moments:
            if not begins:
                at_work[work.token] -= 1
                at_work += Counter()
                continue
            if at_work[work.token]:
                yield f"a token of {user} is at work for two at {work.source}", when
            is_new = not at_work[work.token]
            at_work[work.token] += 1
            if is_new and len(at_work) > limit:
                yield f"{len(at_work)} sessions of {user} at work, where {limit} are allowed; the last one at {work.source}", when


class Steps:
    """A number that changes now and then."""

    def __init__(self):
        self.times, self.counts = [0.0], [0]

    def set(self, when, count):
        if self.counts[-1] != count:
            self.times.append(when)
            self.counts.append(count)

    def most(self, when):
        """The most that it may have been, as times are known with an error."""
        first = bisect_right(self.times, when - SEEN) - 1
        return max(self.counts[max(first, 0) : bisect_right(self.times, when + SEEN)])


class Ownership:
    """How many sessions of each account each host had, at any time, and when it gave signs of life."""

    def __init__(self, written, limits, takeover):
        self.all, self.home, self.beats, self.excess = defaultdict(Steps), defaultdict(Steps), defaultdict(list), []
        # By then whoever gave the last sign of life has let go of what is floating, also if it was stopped.
        self.patience = takeover * 23 / 30 + SEEN
        records, latest, last = Records(limits), 0, {}
        for life, revision, key, when, value in written:
            records.apply(life, key, value)
            # The order is that of revisions; what was seen late was taken earlier.
            latest = max(latest, when)
            if "/h/" in key:
                insort(self.beats[key.rsplit("/", 1)[1]], when)
                continue
            if records.is_ahead():
                self.excess.append((f"revision {revision}: a record is in a later format than the one in force", latest))
            counted, home = records.counted(), records.counted(home_alone=True)
            for user, limit in limits.items():
                had = counted[user]
                if sum(had.values()) > limit and had != last.get(user):
                    self.excess.append((f"revision {revision}: the records give away {sum(had.values())} sessions of {user}, of {limit}: {dict(had)}", latest))
                last[user] = had
                for host in {*had, *(host for host, whose in self.all if whose == user)}:
                    self.all[host, user].set(latest, had[host])
                    self.home[host, user].set(latest, home[user][host])

    def most(self, host, user, when):
        """The most that it may have at work."""
        beats = self.beats[host]
        last = bisect_right(beats, when + SEEN) - 1
        is_alive = last >= 0 and beats[last] > when - self.patience
        return (self.all if is_alive else self.home)[host, user].most(when)

    def moments(self, host, user):
        """When what is at work must have become less: a moment after a share did, and after signs of life."""
        beats = self.beats[host]
        ends = [beat for beat, after in zip(beats, [*beats[1:], float("inf")]) if after > beat + self.patience]
        return [when + SEEN for when in self.all[host, user].times] + [end + self.patience for end in ends]


def trespassers(found, ownership, hosts, pauses):
    """Hosts with more at work than they have."""
    by_place = defaultdict(list)
    for work in found:
        if work.source in hosts:
            by_place[hosts[work.source], work.user].append(work)
    for (host, user), mine in by_place.items():
        moments = [(work.begin, 1, work) for work in mine] + [(work.end, 0, work) for work in mine]
        moments += [(when, 2, None) for when in ownership.moments(host, user)]
        at_work = Counter()
        for when, kind, work in sorted(moments, key=lambda one: one[:2]):
            if kind < 2:
                at_work[work.token] += 1 if kind else -1
                at_work += Counter()
            if kind and not any(begin <= when <= end for begin, end in pauses) and len(at_work) > ownership.most(host, user, when):
                yield f"{host} has {len(at_work)} sessions of {user} at work, and owns {ownership.most(host, user, when)}", when


def restored(notes):
    """When the records were not those that hosts went by: from a restored backup until all began anew."""
    begins = [when for what, when in notes if what == "restored"]
    ends = [when for what, when in notes if what == "started over"] + [float("inf")]
    return [(begin - SEEN, min(end for end in ends if end > begin) + SEEN) for begin in begins]


def unserved(asked, strikes):
    """Clients that got nothing, or something else; whose host was struck meanwhile may have got nothing."""
    for begin, address, end, how in asked:
        excuses = [what for host, what, since, until in strikes if host == address and since < end and begin < (until or float("inf"))]
        if how == "wrong":
            yield f"a client of {address} got another one's answer", begin
        elif how == "nothing" and not excuses:
            yield f"a client of {address} got no answer for {end - begin:.0f} s", begin
        elif how == "refused" and not set(excuses) & {"down", "worker"}:
            yield f"{address} took no connection", begin


def judge(scene, plan):
    """All violations with their times, and how what clients asked for ended."""
    found, drawn = works(rows(scene.directory / "seen"), scene.cuts, scene.upstream.address)
    asked = list(rows(scene.directory / "asked"))
    violations = [*strangers(found, drawn), *crowds(found, plan.accounts), *unserved(asked, scene.strikes)]
    if not plan.is_alone:
        ownership = Ownership(scene.recorder.all(), plan.accounts, plan.takeover)
        hosts = {host.machine.address: host.name for host in scene.hosts}
        violations += [*ownership.excess, *trespassers(found, ownership, hosts, restored(scene.notes))]
    return sorted(violations, key=lambda one: one[1]), Counter(row[3] for row in asked), len(found)
