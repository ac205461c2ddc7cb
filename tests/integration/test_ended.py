"""Tests that are told to end leave nothing: no agent, no directory."""

import os
import signal
import subprocess
import sys

from cluster import PATIENCE, ClusterTest, main, wait_for

VICTIM = """
import os
import cluster

class Victim(cluster.ClusterTest):
    def test_one(self):
        all = self.cluster(servers=1, clients=0).start().wait_ready()
        path = os.path.join(os.path.dirname(__file__), self.id())
        with open(path + ".new", "w") as f:
            f.write(f"{{all.agents['s1'].process.pid}} {{all.dir}}")
        os.rename(path + ".new", path)
        all.agents["s1"].wait(1000)

    def test_other(self):
        self.test_one()

cluster.main({})
"""


def is_running(pid):
    try:
        os.kill(pid, 0)
        return True
    except ProcessLookupError:
        return False


class Ended(ClusterTest):
    def check(self, number, at_once):
        where = self.cluster().dir
        path = os.path.join(where, "victim.py")
        with open(path, "w") as f:
            f.write(VICTIM.format(at_once))

        def begun():
            found = []
            for name in ("test_one", "test_other")[:at_once]:
                with open(os.path.join(where, f"__main__.Victim.{name}")) as f:
                    found.append(f.read().split())
            return found

        run = subprocess.Popen([sys.executable, path], stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                               env={**os.environ, "PYTHONPATH": os.path.dirname(__file__)})
        self.addCleanup(run.wait)
        self.addCleanup(run.kill)
        found = wait_for("it to begin", begun, 2 * PATIENCE)
        self.assertTrue(all(is_running(int(pid)) and os.path.exists(dir) for pid, dir in found))
        run.send_signal(number)
        self.assertEqual(run.wait(PATIENCE), -number)
        self.assertFalse(any(is_running(int(pid)) or os.path.exists(dir) for pid, dir in found))

    def test_by_a_key(self):
        self.check(signal.SIGINT, 1)

    def test_by_another_process(self):
        self.check(signal.SIGTERM, 1)

    def test_several_at_once(self):
        self.check(signal.SIGTERM, 2)


if __name__ == "__main__":
    main()
