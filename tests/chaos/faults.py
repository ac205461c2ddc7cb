"""faults.py - what is done to the servers. Every fault says what it did and returns its undoing.

A fault is drawn, lasts a while, and is undone; sometimes a second one overlaps. At most a minority
is killed, stopped or out of space at a time, but for `all`; links may be cut in any way. What a
fault aims at is the leader half of the time.

Changes of who is a server (CHANGES) are drawn only when asked for. One that lost its disk or left
counts as hurt until it votes again: of what was acknowledged one copy at most is lost at a time.
"""

import os
import shutil

CHOSEN_MAX = 2  # of five


class Faults:
    def __init__(self, lab, random, leader_share):
        self.lab = lab
        self.random = random
        self.leader_share = leader_share
        self.hurt = set()  # names of servers that may be gone
        self.returning = set()  # of them, those that run, and do not vote yet

    # -- whom ------------------------------------------------------------------------------------

    def leader_sometimes(self):
        return self.lab.leader() if self.random.random() < self.leader_share else None

    def victims(self, most=CHOSEN_MAX):
        self.settle()
        whole = [s for s in self.lab.servers if s.running() and s.name not in self.hurt]
        room = most - len(self.hurt)
        if room <= 0 or not whole:
            return []
        count = min(self.random.randint(1, room), len(whole))
        chosen = self.random.sample(whole, count)
        leader = self.leader_sometimes()
        if leader in whole and leader not in chosen:
            chosen[0] = leader
        return chosen

    @staticmethod
    def names(servers):
        return " ".join(s.name for s in servers)

    # -- processes -------------------------------------------------------------------------------

    def kill(self):
        chosen = self.victims()
        if not chosen:
            return None
        for server in chosen:
            server.kill()
            self.hurt.add(server.name)

        def undo():
            for server in chosen:
                self.hurt.discard(server.name)
                server.start()
        return f"kill -9 {self.names(chosen)}", undo

    def all(self):
        if self.hurt:
            return None
        for server in self.lab.servers:
            server.kill()
            self.hurt.add(server.name)

        def undo():
            self.hurt.clear()
            for server in self.random.sample(self.lab.servers, len(self.lab.servers)):
                server.start()
        return "kill -9 all", undo

    def pause(self):
        chosen = self.victims()
        if not chosen:
            return None
        for server in chosen:
            server.pause()
            self.hurt.add(server.name)

        def undo():
            for server in chosen:
                self.hurt.discard(server.name)
                server.resume()
        return f"stop {self.names(chosen)}", undo

    # -- wires -----------------------------------------------------------------------------------

    def servers_wires(self, faults, pairs):
        for a, b in pairs:
            self.lab.switch.wire(a.name, b.name, faults)

    def mended(self, pairs):
        def undo():
            self.servers_wires("", pairs)
        return undo

    def sides(self, left):
        """All pairs across, from `left` to the others."""
        return [(a, b) for a in left for b in self.lab.servers if b not in left]

    def partition(self):
        leader = self.leader_sometimes()
        left = self.random.sample(self.lab.servers, self.random.randint(1, 2))
        if leader is not None and leader not in left:
            left[0] = leader
        pairs = self.sides(left)
        pairs += [(b, a) for a, b in pairs]
        self.servers_wires("cut", pairs)
        return f"cut {self.names(left)} from the others", self.mended(pairs)

    def oneway(self):
        one = self.leader_sometimes() or self.random.choice(self.lab.servers)
        pairs = self.sides([one])
        if self.random.random() < 0.5:
            pairs = [(b, a) for a, b in pairs]
            text = f"nothing reaches {one.name}"
        else:
            text = f"nothing leaves {one.name}"
        self.servers_wires("cut", pairs)
        return text, self.mended(pairs)

    def bridge(self):
        """Two halves that only one in the middle can reach."""
        mixed = self.random.sample(self.lab.servers, len(self.lab.servers))
        left, right = mixed[1:3], mixed[3:]
        pairs = [(a, b) for a in left for b in right]
        pairs += [(b, a) for a, b in pairs]
        self.servers_wires("cut", pairs)
        return f"cut {self.names(left)} from {self.names(right)}", self.mended(pairs)

    def slow(self):
        chosen = self.random.sample(self.lab.servers, self.random.randint(1, 3))
        faults = self.random.choice((
            "delay=40 jitter=60", "delay=150 jitter=20", "loss=5", "loss=20 jitter=10",
            "copy=20 jitter=30", "rate=60", "loss=3 copy=5 delay=5 jitter=40"))
        pairs = self.sides(chosen)
        pairs += [(b, a) for a, b in pairs]
        self.servers_wires(faults, pairs)
        return f"{faults} at {self.names(chosen)}", self.mended(pairs)

    # -- who is a server -------------------------------------------------------------------------

    def transfer(self):
        asked = self.random.choice(self.lab.servers)
        if not asked.running() or asked.is_paused:
            return None
        answer = asked.ask("POST", "/v1/operator/raft/transfer-leader")
        return f"transfer asked of {asked.name}: {answer}", lambda: None

    def blank(self):
        """Another disk in the same machine: what it had promised is forgotten."""
        server = self.one_whole()
        if server is None:
            return None
        server.kill()
        for folder in ("consensus", "state"):
            shutil.rmtree(os.path.join(server.data, folder), ignore_errors=True)
        return f"empty the disk of {server.name}", self.returns(server)

    def leave(self):
        server = self.one_whole()
        if server is None:
            return None
        answer = server.ask("PUT", "/v1/agent/leave", 5.0)
        server.kill()  # it may be on its way out, or may not get there
        return f"{server.name} leaves: {answer}", self.returns(server)

    def one_whole(self):
        """Not on a small disk: what a server that was removed has set aside fills that."""
        self.settle()
        whole = [s for s in self.lab.servers if s.running() and not s.small_disk]
        leader = self.leader_sometimes()
        return None if self.hurt else leader if leader in whole else self.random.choice(whole)

    def returns(self, server):
        self.hurt.add(server.name)

        def undo():
            server.start()
            self.returning.add(server.name)
        return undo

    def settle(self):
        """Those that vote again are whole again."""
        if not self.returning:
            return
        voters = self.lab.voters()
        for name in self.returning & voters:
            self.returning.discard(name)
            self.hurt.discard(name)

    # -- disks -----------------------------------------------------------------------------------

    def disk(self):
        small = [s for s in self.lab.servers if s.small_disk and s.running() and
                 s.name not in self.hurt]
        if not small or len(self.hurt) >= CHOSEN_MAX:
            return None
        server = self.random.choice(small)
        ballast = os.path.join(server.dir, "ballast")
        self.hurt.add(server.name)
        with open(ballast, "wb", buffering=0) as f:
            try:
                while True:
                    f.write(bytes(65536))
            except OSError:
                pass

        def undo():
            os.remove(ballast)
            self.hurt.discard(server.name)
            if not server.running():
                self.lab.say(f"{server.name} had ended: {server.last_line()}")
                server.start()
        return f"fill the disk of {server.name}", undo


KINDS = ("kill", "pause", "partition", "oneway", "bridge", "slow", "disk", "all")
CHANGES = ("transfer", "blank", "leave")
