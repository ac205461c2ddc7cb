"""Bytes at rest go bad on one server: it is repaired by its peers, or refuses by file and place."""

import os
import random
import re

from cluster import ClusterTest, flip, main, wait_for

KEYS = 40
ROUNDS = int(os.environ.get("MUSTER_TEST_ROUNDS", "4"))


def value(i):
    return (f"value {i} " * 200).encode()


class Damage(ClusterTest):
    def used(self, path):
        with open(path, "rb") as f:
            content = f.read()
        return len(content.rstrip(b"\0"))

    def has_all(self, server, count):
        for i in range(count):
            if server.get(f"/v1/kv/k{i}?raw&stale").body != value(i):
                return False
        return True

    def test_the_log_is_repaired(self):
        cluster = self.cluster(3, 0).start().wait_ready()
        dice = random.Random(7)
        count = 0
        healed = 0
        for _ in range(ROUNDS):
            leader = cluster.leader()
            victim = next(s for s in cluster.servers() if s is not leader)
            # What forms the cluster is in front of that: a configuration is not repaired.
            begin = self.used(victim.segments()[-1]) // 4096 + 1
            for _ in range(KEYS):
                wait_for("a write", lambda: leader.put(f"/v1/kv/k{count}", value(count)).status
                         == 200)
                count += 1
            wait_for("the victim to have it", lambda: self.has_all(victim, count))
            # In order: damage within the 50 ms until the last write is proven looks like a torn one.
            victim.terminate()
            path = victim.segments()[-1]
            before = len(victim.log_text())
            page = dice.randrange(begin, self.used(path) // 4096)
            flip(path, page * 4096 + dice.randrange(100))  # batches begin on pages
            # Meanwhile the others go on.
            leader = cluster.leader()
            wait_for("a write", lambda: leader.put(f"/v1/kv/k{count}", value(count)).status == 200)
            count += 1
            victim.start()
            wait_for("the victim to have all of it again", lambda: self.has_all(victim, count))
            healed += "The log was damaged" in victim.log_text()[before:]
        # Some flips hit padding, or what nobody was told of.
        self.assertGreater(healed, 0)
        self.assertEqual(cluster.leader().ok("GET", "/v1/kv/k0?raw&consistent").body, value(0))

    def test_what_cannot_be_repaired_is_named(self):
        cluster = self.cluster(3, 0).start().wait_ready()
        victim = next(s for s in cluster.servers() if s is not cluster.leader())
        victim.kill()
        path = victim.segments()[0]
        flip(path, 20)  # the head of the file
        victim.start()
        self.assertEqual(victim.wait(), 1)
        self.assertRegex(victim.log_text(), re.escape(path) + r" at byte \d+: .*restore this file")
        self.assertTrue(cluster.leader().put("/v1/kv/a", b"b").status == 200)


if __name__ == "__main__":
    main()
