"""A way that carries no datagrams is named, with its direction, and harms nobody.

Three agents in network namespaces; between them the switch of the chaos tests, which can drop one
protocol in one direction.
"""

import os
import re
import subprocess
import sys
import tempfile
import time
import unittest

from cluster import MUSTER, PATIENCE, main, wait_for

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "chaos"))
from lab import (Impossible, Switch, address, make_namespaces, namespace,  # noqa: E402
                 remove_namespaces)

NAMES = ["s1", "s2", "s3"]


class Doctor(unittest.TestCase):
    def setUp(self):
        self.owner = f"doctor{os.getpid()}"
        self.addCleanup(remove_namespaces, NAMES, self.owner)
        try:
            make_namespaces(NAMES, self.owner)
            self.switch = Switch(os.environ["MUSTER_SWITCH"], NAMES, self.owner, 1)
        except (Impossible, KeyError) as why:
            self.skipTest(str(why))
        self.addCleanup(self.switch.close)
        self.dir = tempfile.TemporaryDirectory(prefix="muster-test-")
        self.addCleanup(self.dir.cleanup)
        self.processes = {}

    def start(self, name, *words):
        with open(os.path.join(self.dir.name, name + ".log"), "ab") as log:
            process = subprocess.Popen(
                ["ip", "netns", "exec", namespace(name, self.owner), MUSTER, "agent", "-node", name,
                 "-bind", address(name), "-client", address(name), "-retry-join", address("s1"),
                 "-data-dir", os.path.join(self.dir.name, name), *words],
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
        self.processes[name] = process
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)

    def log(self, name):
        with open(os.path.join(self.dir.name, name + ".log"), errors="replace") as log:
            return log.read()

    def cli(self, name, *words):
        run = subprocess.run(["ip", "netns", "exec", namespace(name, self.owner), MUSTER, *words],
                             capture_output=True, text=True, timeout=PATIENCE,
                             env={**os.environ, "CONSUL_HTTP_ADDR": f"{address(name)}:8500"})
        return run.returncode, run.stdout

    def all_alive(self):
        return all(self.cli(n, "members")[1].count(" alive ") == 3 for n in NAMES)

    def test_one_way_without_udp(self):
        self.start("s1", "-server", "-bootstrap-expect", "1")
        self.start("s2")
        self.start("s3")
        wait_for("all to know all", self.all_alive)
        self.assertEqual(self.cli("s2", "doctor"),
                         (0, "3 members answered, every way between them carries.\n"))

        self.switch.wire("s1", "s3", "noudp")
        cut = time.monotonic()

        def diagnosis():
            code, text = self.cli("s2", "doctor")
            self.assertNotIn("s3 -> s1", text, "that way carries")
            both = re.search(r"UDP s1 -> s3: nothing arrives \(seen by s[13][^;)]*; s[13]", text)
            return text if code == 1 and both else None

        text = wait_for("the doctor to name it, from both its ends", diagnosis)
        named = time.monotonic() - cut
        self.assertIn("UDP s1 -> s3: nothing arrives", text)
        self.assertIn("from s1 to s3: firewalls", text)
        self.assertNotIn("s2", text)
        print(f"named by both ends after {named:.1f} s")
        for name in NAMES:  # carried by TCP: nobody was declared failed
            self.assertNotIn("EventMemberFailed", self.log(name))
        self.assertTrue(self.all_alive())

        self.switch.wire("s1", "s3")
        wait_for("the doctor to be content again", lambda: self.cli("s3", "doctor")[0] == 0)

        # One that is stopped answers nothing, whoever asks.
        self.processes["s3"].send_signal(19)
        try:
            code, text = self.cli("s1", "doctor")
            self.assertEqual(code, 1)
            self.assertIn("s3: does not answer", text)
        finally:
            self.processes["s3"].send_signal(18)


if __name__ == "__main__":
    main()
