"""Disks that fail or are slow: defined ends and no elections. strace stands between server and disk."""

import os
import re
import subprocess
import time

from cluster import Agent, ClusterTest, main, wait_for
from small_disk import in_own_namespace, mount_tmpfs, remount

# A tracer hides what LeakSanitizer has to see.
os.environ["ASAN_OPTIONS"] = os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0"


class Traced(Agent):
    """An agent whose system calls are tampered with, by a tracer that is not its parent."""

    inject = None

    def command(self):
        plain = super().command()
        if self.inject is None:
            return plain
        name = self.inject.split(":")[0]
        return ["strace", "-D", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={name}", "-e",
                f"inject={self.inject}", *plain]


class BadDisk(ClusterTest):
    def traced(self, cluster, inject):
        for agent in cluster.agents.values():
            agent.__class__ = Traced
            agent.inject = inject
        return cluster

    def test_a_failed_flush_ends_the_server_and_thrice_keeps_it_down(self):
        cluster = self.cluster(1, 0)
        server = cluster.agents["s1"]
        cluster.start().wait_ready()
        acknowledged = []
        for _ in range(3):
            for i in range(3):
                server.ok("PUT", f"/v1/kv/k{len(acknowledged)}", b"v")
                acknowledged.append(f"k{len(acknowledged)}")
            server.kill()
            # Later than what a start needs; then every flush fails.
            self.traced(cluster, "pwritev2:error=EIO:when=12+")
            server.start()
            wait_for("a write that meets the bad flush", lambda: not server.running() or
                     server.put("/v1/kv/lost", b"x").status != 200)
            self.assertEqual(server.wait(), 1)
            self.assertIn("could not be written", server.log_text())
            self.assertRegex(server.log_text(), r"log-[0-9a-f]+\.seg: write and flush: Input/output error")
            server.inject = None
            if server.log_text().count("This server must stop") == 3:
                break
            server.start()
            cluster.wait_ready()
            for key in acknowledged:
                self.assertEqual(server.get(f"/v1/kv/{key}?raw").body, b"v")
        server.start()
        self.assertEqual(server.wait(), 1)
        said = re.search(r"stays down: look at the disk, then remove (\S+/failures)",
                         server.log_text())
        self.assertTrue(said, server.log_text()[-2000:])
        os.remove(said.group(1))
        server.start()
        cluster.wait_ready()
        for key in acknowledged:
            self.assertEqual(server.get(f"/v1/kv/{key}?raw").body, b"v")

    def test_a_log_that_cannot_go_past_the_page_cache_goes_through_it(self):
        cluster = self.traced(self.cluster(1, 0), "pwritev2:error=EOPNOTSUPP")
        server = cluster.agents["s1"]
        cluster.start().wait_ready()
        for i in range(20):
            server.ok("PUT", f"/v1/kv/k{i}", b"v")
        server.kill()
        server.inject = None
        server.start()
        cluster.wait_ready()
        for i in range(20):
            self.assertEqual(server.get(f"/v1/kv/k{i}?raw").body, b"v")

    def test_a_slow_disk_is_not_an_election(self):
        cluster = self.cluster(3, 0).start().wait_ready()
        for _ in range(6):
            before, excuses = self.said(cluster, "leads term"), self.excuses(cluster)
            self.write_slowly(cluster)
            if self.said(cluster, "leads term") == before:
                return
            self.assertGreater(self.excuses(cluster), excuses, "a disk made an election")
        self.fail("no round in which all servers were let run, and flushed alike")

    def excuses(self, cluster):
        """Servers that were not let run may elect, and one that flushes much slower than the others
        gives its office away: that says nothing about disks that are all slow."""
        return (self.said(cluster, "stood still") +
                self.said(cluster, "its disk is full or slow"))

    def said(self, cluster, words):
        return sum(s.log_text().count(words) for s in cluster.servers())

    def write_slowly(self, cluster):
        leader = cluster.leader()
        brakes = [subprocess.Popen(["strace", "-f", "-qq", "-o", "/dev/null", "-e",
                                    "trace=pwritev2", "-e", "inject=pwritev2:delay_enter=500000",
                                    "-p", str(s.process.pid)]) for s in cluster.servers()]
        try:
            until = time.monotonic() + 15
            times = []
            while time.monotonic() < until:
                began = time.monotonic()
                self.assertEqual(leader.put(f"/v1/kv/{len(times)}", b"v").status, 200)
                times.append(time.monotonic() - began)
        finally:
            for brake in brakes:
                brake.terminate()
                brake.wait()
        self.assertGreater(max(times), 0.5, "no flush was slow: this shows nothing")
        self.assertGreater(len(times), 3)

    def test_a_read_only_file_system_is_named(self):
        cluster = self.cluster(1, 0)
        server = cluster.agents["s1"]
        mount_tmpfs(cluster.dir + "/disk", "64m")
        server.data = cluster.dir + "/disk/data"
        cluster.start().wait_ready()
        server.terminate()
        remount(cluster.dir + "/disk", "ro")
        server.start()
        self.assertEqual(server.wait(), 1)
        self.assertRegex(server.log_text(), re.escape(server.data) + r".*Read-only file system")


if __name__ == "__main__":
    in_own_namespace()
    main()
