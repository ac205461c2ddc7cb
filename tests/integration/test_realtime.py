"""The loop before other programs, and nothing else with it."""

import glob
import os
import re
import subprocess
import unittest

from cluster import MUSTER, ClusterTest, main, wait_for


def is_allowed():
    return subprocess.run(["chrt", "-f", "1", "true"], capture_output=True).returncode == 0


def is_sanitized():
    """The address sanitizer makes nothing of mlockall()."""
    with open(MUSTER, "rb") as f:
        return b"__asan_init" in f.read()


def policy(stat):
    """0: as everybody; 1: SCHED_FIFO (proc(5), the 41st field)."""
    with open(stat) as f:
        return int(f.read().rsplit(")", 1)[1].split()[38])


class Realtime(ClusterTest):
    def start(self, *args):
        cluster = self.cluster(servers=1, clients=0, args=["-hcl", "realtime = true", *args])
        cluster.start().wait_ready()
        return cluster.agents["s1"]

    @unittest.skipUnless(is_allowed(), "SCHED_FIFO needs a right that is not there")
    def test_the_loop_and_nothing_else(self):
        out = os.path.join(self.cluster().dir, "out")
        s1 = self.start("-event-handler", f"user:look=cat /proc/self/stat >{out}.new; mv {out}.new {out}")
        pid = s1.process.pid
        self.assertNotIn("realtime: the system refused it", s1.log_text())
        self.assertEqual(policy(f"/proc/{pid}/stat"), 1)
        others = [p for p in glob.glob(f"/proc/{pid}/task/*/stat") if f"/task/{pid}/" not in p]
        self.assertGreater(len(others), 1)
        self.assertEqual({policy(p) for p in others}, {0})
        if not is_sanitized():
            with open(f"/proc/{pid}/status") as f:
                self.assertGreater(int(re.search(r"VmLck:\s+(\d+) kB", f.read())[1]), 0)
        s1.cli("serf", "event", f"-rpc-addr={s1.address}:7373", "-coalesce=false", "look", check=0)
        wait_for("the handler", lambda: os.path.exists(out))
        self.assertEqual(policy(out), 0)

    @unittest.skipUnless(os.geteuid() == 0, "only root can give rights away")
    def test_without_the_right(self):
        """It is said, and nothing else happens."""
        cluster = self.cluster(servers=1, clients=0, args=["-hcl", "realtime = true"])
        s1 = cluster.agents["s1"]
        s1.command = lambda base=s1.command: ["setpriv", "--bounding-set=-sys_nice", "prlimit",
                                              "--rtprio=0", *base()]
        cluster.start().wait_ready()
        self.assertIn("realtime: the system refused it", s1.log_text())
        self.assertEqual(policy(f"/proc/{s1.process.pid}/stat"), 0)


if __name__ == "__main__":
    main()
