"""wires.py - agents between which ways can be broken: in network namespaces, at the switch of the
chaos tests, which can drop one protocol in one direction."""

import os
import subprocess
import sys
import tempfile
import unittest

from cluster import MUSTER, PATIENCE, at_end

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "chaos"))
from lab import (Impossible, Switch, address, make_namespaces, namespace,  # noqa: E402
                 remove_namespaces, run)

__all__ = ["Wires", "address", "namespace", "run"]


class Wires(unittest.TestCase):
    """Agents in namespaces of their own, on the family of addresses that a class is about."""

    names = []

    def at(self, name):
        return address(name)

    def setUp(self):
        at_end.append(self.doCleanups)
        self.addCleanup(at_end.remove, self.doCleanups)
        self.owner = f"wires{os.getpid()}"
        self.addCleanup(remove_namespaces, self.names, self.owner)
        try:
            make_namespaces(self.names, self.owner)
            self.switch = Switch(os.environ["MUSTER_SWITCH"], self.names, self.owner, 1)
        except (Impossible, KeyError) as why:
            self.skipTest(str(why))
        self.addCleanup(self.switch.close)
        self.dir = tempfile.TemporaryDirectory(prefix="muster-test-")
        self.addCleanup(self.dir.cleanup)
        self.processes = {}

    def start(self, name, *words):
        self.start_unbound(name, "-bind", self.at(name), "-client", self.at(name), *words)

    def start_unbound(self, name, *words):
        self.start_alone(name, "-retry-join", self.at("s1"), *words)

    def start_alone(self, name, *words):
        with open(os.path.join(self.dir.name, name + ".log"), "ab") as log:
            process = subprocess.Popen(
                ["ip", "netns", "exec", namespace(name, self.owner), MUSTER, "agent", "-node", name,
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
                             env={**os.environ, "CONSUL_HTTP_ADDR": self.http(name)})
        return run.returncode, run.stdout

    def get(self, name, path):
        return subprocess.run(["ip", "netns", "exec", namespace(name, self.owner), "curl", "-fsS",
                               f"http://{self.http(name)}{path}"],
                              capture_output=True, text=True, timeout=PATIENCE).stdout

    def http(self, name):
        return f"[{self.at(name)}]:8500" if ":" in self.at(name) else f"{self.at(name)}:8500"

    def all_alive(self):
        return all(self.cli(n, "members")[1].count(" alive ") == len(self.names) for n in self.names)
