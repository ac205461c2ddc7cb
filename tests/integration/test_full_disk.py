"""A full disk means deletes and reads until there is room again; then it goes on by itself."""

import os
import time

from cluster import ClusterTest, GaveUp, main, wait_for
from small_disk import free_bytes, in_own_namespace, mount_tmpfs

VALUE = 500_000
NO_SPACE = "No space left in the data directory of "
MEGABYTE = 1 << 20
SETTLES = 3  # seconds in which a log that can be compacted has been


def value(key):
    """Different for each key, and not to be compressed away."""
    word = (key + ".").encode()
    return (word * (VALUE // len(word) + 1))[:VALUE]


class FullDisk(ClusterTest):
    def write_until_full(self, agent, acknowledged, most=200):
        """Until it stays full: the log gives back first what the state has."""
        for i in range(most):
            key = f"big/{len(acknowledged)}.{i}"
            try:
                wait_for("an accepted write", lambda: self.is_written(agent, key), SETTLES)
            except GaveUp:
                return
            acknowledged[key] = value(key)
        self.fail(f"never full, with {free_bytes(agent.data)} bytes free")

    def is_written(self, agent, key):
        answer = agent.put(f"/v1/kv/{key}", value(key))
        if answer.status != 200:
            self.assertEqual((answer.status, answer.text), (507, NO_SPACE + agent.name))
        return answer.status == 200

    def check_all(self, agent, acknowledged, query="raw"):
        for key, expected in acknowledged.items():
            answer = agent.get(f"/v1/kv/{key}?{query}")
            self.assertEqual(answer.status, 200, key)
            self.assertEqual(answer.body, expected, key)

    def delete(self, agent, acknowledged, key):
        agent.ok("DELETE", f"/v1/kv/{key}")
        del acknowledged[key]
        self.assertEqual(agent.get(f"/v1/kv/{key}").status, 404)

    def test_alone_on_a_small_disk(self):
        cluster = self.cluster(1, 0)
        server = cluster.agents["s1"]
        mount_tmpfs(cluster.dir + "/disk", "48m")
        server.data = cluster.dir + "/disk/data"
        filler = cluster.dir + "/disk/filler"
        with open(filler, "wb") as f:
            os.posix_fallocate(f.fileno(), 0, 16 * MEGABYTE)
        cluster.start().wait_ready()
        acknowledged = {}
        server.ok("PUT", "/v1/kv/small", b"kept")

        # There is room: much of it is used before anything is refused.
        self.write_until_full(server, acknowledged)
        self.assertGreater(sum(map(len, acknowledged.values())), 8 * MEGABYTE)

        # An archive takes nothing of what is left.
        saved = os.path.join(cluster.dir, "saved")
        run = server.cli("snapshot", "save", "-stale", saved)
        self.assertEqual(run.returncode, 1)
        self.assertRegex(run.stderr, r"no room for a snapshot in the data directory: \d+ bytes are "
                                     "free, and the last 16777216 are kept for the cluster")
        self.assertEqual([n for n in os.listdir(cluster.dir) if n.startswith("saved")], [])

        # Reads and deletes go on, whatever comes: also after kill -9.
        self.check_all(server, acknowledged)
        self.delete(server, acknowledged, sorted(acknowledged)[0])
        server.kill()
        server.start()
        cluster.wait_ready()
        self.check_all(server, acknowledged)
        self.assertEqual(server.get("/v1/kv/small?raw").body, b"kept")
        self.delete(server, acknowledged, sorted(acknowledged)[0])
        self.write_until_full(server, acknowledged)

        # Room again: writes go on without anybody doing anything.
        os.remove(filler)
        wait_for("writes to go on",
                 lambda: self.is_written(server, "more"))
        acknowledged["more"] = value("more")
        self.check_all(server, acknowledged)

        # Full once more, killed in the middle of it.
        self.write_until_full(server, acknowledged)
        server.kill()
        server.start()
        cluster.wait_ready()
        self.check_all(server, acknowledged)

    def test_deletes_make_room(self):
        cluster = self.cluster(1, 0)
        server = cluster.agents["s1"]
        mount_tmpfs(cluster.dir + "/disk", "32m")
        server.data = cluster.dir + "/disk/data"
        cluster.start().wait_ready()
        acknowledged = {}
        self.write_until_full(server, acknowledged)
        self.check_all(server, acknowledged)
        for key in sorted(acknowledged)[::2]:
            self.delete(server, acknowledged, key)
        # By itself, and with room for more than what the reserve would have taken.
        for i in range(4):
            wait_for("writes to go on", lambda: self.is_written(server, f"more/{i}"))
            acknowledged[f"more/{i}"] = value(f"more/{i}")
        self.check_all(server, acknowledged)

    def test_a_leader_whose_disk_is_full_gives_way(self):
        cluster = self.cluster(3, 0)
        small = cluster.agents["s1"]
        mount_tmpfs(cluster.dir + "/disk", "48m")
        small.data = cluster.dir + "/disk/data"
        cluster.start().wait_ready()
        while cluster.leader() is not small:
            leader = cluster.leader()
            leader.kill()
            cluster.leader()
            leader.start()
            cluster.wait_ready()
        other = cluster.agents["s2"]
        acknowledged = {}
        refused = 0
        while len(acknowledged) < 40 or "The disk is full" not in small.log_text():
            key = f"k/{len(acknowledged)}.{refused}"
            answer = other.put(f"/v1/kv/{key}", value(key))
            if answer.status == 200:
                acknowledged[key] = value(key)
                continue
            # At most what was asked for while it still led.
            refused += 1
            self.assertLess(refused, 100, answer.text)
            if answer.status != 500: # it has just ceased to lead
                self.assertEqual((answer.status, answer.text), (507, NO_SPACE + "s1"))
        wait_for("another leader", lambda: cluster.leader() is not small)
        self.check_all(other, acknowledged, "raw&consistent")

        # Whoever asks anywhere is told which disk it is. It stays full once the state alone fills
        # it: what the log gives back is used by what is written then.
        def is_named():
            for i in range(5):
                other.put(f"/v1/kv/more/{i}.{time.monotonic_ns()}", value(str(i)))
            return "s1: disk-full: " in other.cli("doctor").stdout
        wait_for("the doctor to name the disk", is_named)

    def test_start_names_what_is_missing(self):
        cluster = self.cluster(1, 0)
        server = cluster.agents["s1"]
        mount_tmpfs(cluster.dir + "/disk", "4m")
        server.data = cluster.dir + "/disk/data"
        server.start()
        self.assertEqual(server.wait(), 1)
        self.assertRegex(server.log_text(), r"in reserve.*KiB are free: \d+ KiB are missing")


if __name__ == "__main__":
    in_own_namespace()
    main()
