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

    def test_damage_in_front_of_the_state_is_harmless_and_goes(self):
        cluster = self.cluster(3, 0, args=["-hcl", 'scrub { interval = "0s" }', "-hcl",
                                           "autopilot { cleanup_dead_servers = false }"])
        cluster.start().wait_ready()
        leader = cluster.leader()
        victim = next(s for s in cluster.servers() if s is not leader)
        for i in range(KEYS):
            leader.ok("PUT", f"/v1/kv/k{i}", value(i))
        wait_for("the victim to have it", lambda: self.has_all(victim, KEYS))
        victim.terminate()  # in order, so its state has all of its log
        path, offset = self.written_into(victim, value(KEYS // 2))
        before = len(victim.log_text())
        bundle = os.path.join(cluster.dir, "bundle")
        with open(bundle + ".kept", "w"):
            os.symlink("bundle.kept", bundle)
        clean = victim.cli("consensus", "inspect", "-data-dir", victim.data, check=0)
        self.assertEqual(clean.stderr, "")
        flip(path, offset)

        # The operator's look: said, and no reason to give this server up.
        seen = victim.cli("consensus", "inspect", "-data-dir", victim.data, "-bundle", bundle,
                          check=0)
        self.assertEqual(seen.stdout, clean.stdout)
        self.assertRegex(seen.stderr, re.escape(path) + r" at byte \d+: ")
        self.assertIn("Nothing is lost by it", seen.stderr)
        self.assertTrue(os.path.islink(bundle))
        with open(bundle) as f:
            self.assertEqual(f.read(), clean.stdout)

        # Nobody writes, so nothing compacts the log: its own start sees to it.
        victim.start()
        wait_for("the segment to go", lambda: path not in victim.segments())
        found = wait_for("it to be told", lambda: self.shed(victim))
        self.assertEqual(found["Damages"], 1)
        self.assertRegex(found["Found"], re.escape(path) + r" at byte \d+: ")
        text = victim.log_text()[before:]
        self.assertEqual(text.count("The log was damaged"), 1)
        self.assertTrue(self.has_all(victim, KEYS))

        victim.terminate()
        before = len(victim.log_text())
        clean = victim.cli("consensus", "inspect", "-data-dir", victim.data, check=0)
        self.assertEqual(clean.stderr, "")
        victim.start()
        wait_for("it to be back", lambda: self.has_all(victim, KEYS))
        self.assertNotIn("The log was damaged", victim.log_text()[before:])
        self.assertRegex(victim.ok("GET", "/v1/operator/scrub").json()["Found"], re.escape(path))

    def written_into(self, server, content):
        """Segment and offset of what stands in its log."""
        for path in server.segments():
            with open(path, "rb") as f:
                at = f.read().find(content)
            if at >= 0:
                return path, at
        raise AssertionError("it is nowhere in the log")

    def shed(self, server):
        seen = server.ok("GET", "/v1/operator/scrub").json()
        return seen if seen["Damages"] and not seen["Shedding"] else None

    def test_what_cannot_be_repaired_is_named(self):
        cluster = self.cluster(3, 0).start().wait_ready()
        victim = next(s for s in cluster.servers() if s is not cluster.leader())
        victim.kill()
        path = victim.segments()[0]
        flip(path, 20)  # the head of the file
        victim.start()
        self.assertEqual(victim.wait(), 1)
        self.assertRegex(victim.log_text(), re.escape(path) + r" at byte \d+: .*recover -rejoin")
        self.assertTrue(cluster.leader().put("/v1/kv/a", b"b").status == 200)


if __name__ == "__main__":
    main()
