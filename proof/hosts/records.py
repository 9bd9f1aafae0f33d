"""What stands in etcd, read as hosts read it: whose share of an account counts, and how much."""

import hashlib
import json
from collections import Counter

from store import PREFIX

# The format of records that the tpp writes that is proved.
LATEST = 2
NAMED = "inc", "gen", "floating", "home"


def account_of(upstream, user):
    """As `tpp_hosts::Account::of` has it."""
    digest = hashlib.sha256()
    for part in ["tpp account", upstream, user]:
        digest.update(len(part.encode()).to_bytes(8, "big") + part.encode())
    return digest.hexdigest()[:32]


class Records:
    def __init__(self, users):
        self.users, self.life, self.upstreams = users, None, {}
        self.generations, self.accounts, self.formats = {}, {}, {}

    def apply(self, life, key, value):
        """A write, in the order of revisions. A store that begins anew knows only what it says."""
        if life != self.life:
            self.life, self.generations, self.accounts, self.formats = life, {}, {}, {}
        upstream, _, rest = key.removeprefix(PREFIX).partition("/")
        if upstream not in self.upstreams:
            self.upstreams[upstream] = {account_of(upstream, user): user for user in self.users}
        kind, _, name = rest.partition("/")
        # Signs of life, which are most of all, change nothing here.
        if kind == "g":
            self.put(self.generations, (upstream, name), value)
        elif kind == "meta":
            self.put(self.formats, upstream, value)
        elif kind == "a" and name in self.upstreams[upstream]:
            self.put(self.accounts, (upstream, self.upstreams[upstream][name]), value)

    def put(self, table, place, value):
        if value is None:
            table.pop(place, None)
        else:
            table[place] = json.loads(value)

    def is_ahead(self):
        """Whether a share is written in a later format than is in force: hosts of before cannot read it."""
        shares = ((upstream, share) for (upstream, _), record in self.accounts.items() for share in record["shares"].values())
        return any(isinstance(share, dict) and self.formats.get(upstream, {"format": LATEST})["format"] < LATEST for upstream, share in shares)

    def counted(self, home_alone=False):
        """Sessions that count, by user and host: all, or home sessions alone."""
        had = {user: Counter() for user in self.users}
        for (upstream, user), record in self.accounts.items():
            for host, share in record["shares"].items():
                inc, generation, floating, home = share if isinstance(share, list) else (share[part] for part in NAMED)
                of = self.generations.get((upstream, host))
                if of and of["inc"] and of["inc"] == inc:
                    had[user][host] += home + (floating if of["gen"] == generation and not home_alone else 0)
        return had
