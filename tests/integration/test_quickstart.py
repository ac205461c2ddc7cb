"""The release and README's first command, in a copy of the tree and in a network of its own: builds
without a word of warning, runs, resolves names though it is one static file, and stops."""

import os
import shutil
import struct
import subprocess
import tempfile
import unittest

from cluster import at_end, main, wait_equal
from own_network import in_own_namespace, ip

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
NOT_SOURCE = ("build", ".git", "node_modules", "__pycache__")
BUILD_SECONDS = 540
PT_INTERP, ET_DYN = 3, 3


def run(*words, seconds=60, **more):
    return subprocess.run(words, capture_output=True, text=True, timeout=seconds, **more)


def elf(path):
    """The type of a 64-bit ELF file, and the types of its segments."""
    with open(path, "rb") as f:
        head = f.read(64)
        assert head[:5] == b"\x7fELF\x02", head[:5]
        kind, = struct.unpack_from("<H", head, 16)
        offset, = struct.unpack_from("<Q", head, 32)
        size, count = struct.unpack_from("<HH", head, 54)
        f.seek(offset)
        return kind, [struct.unpack_from("<I", f.read(size))[0] for _ in range(count)]


class Quickstart(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="muster-test-")
        self.tree = os.path.join(self.dir, "muster")
        shutil.copytree(TOP, self.tree, ignore=shutil.ignore_patterns(*NOT_SOURCE), symlinks=True)
        self.script = os.path.join(self.tree, "deploy", "quickstart")
        self.muster = os.path.join(self.tree, "build", "release", "muster")
        self.env = {**os.environ, "MUSTER_SKIP_INSTALL": "1"}
        self.env.pop("MUSTER_QUICKSTART_DIR", None)
        at_end.append(self.tearDown)

    def tearDown(self):
        run(self.script, "stop", env=self.env)
        shutil.rmtree(self.dir, ignore_errors=True)
        at_end.remove(self.tearDown)

    def quickstart(self, *words, seconds=60):
        done = run(self.script, *words, seconds=seconds, env=self.env)
        self.assertEqual(done.returncode, 0, done.stdout[-4000:] + done.stderr[-4000:])
        return done.stdout + done.stderr

    def test_it_runs(self):
        said = self.quickstart(seconds=BUILD_SECONDS)
        self.assertNotIn("warning", said.lower())
        for expected in ("Registered web-c1", "127.0.0.4\n", "127.0.0.5\n", "The cluster runs."):
            self.assertIn(expected, said)
        kind, segments = elf(self.muster)
        self.assertEqual(kind, ET_DYN, "an address drawn at each start")
        self.assertNotIn(PT_INTERP, segments, "nobody loads it")
        self.assertEqual(self.quickstart("status").count("running (pid"), 5)
        again = self.quickstart(seconds=BUILD_SECONDS)
        self.assertEqual(again.count("runs already"), 5)
        self.names()
        self.quickstart("stop")
        self.assertEqual(self.quickstart("status").count("not running"), 5)

    def names(self):
        """From the file of hosts, and from DNS: a sixth agent answers on the port of DNS."""
        where = os.path.join(self.dir, "resolv.conf")
        with open(where, "w") as f:
            f.write("nameserver 127.0.0.6\n")
        log = open(os.path.join(self.dir, "c6.log"), "wb")
        agent = subprocess.Popen(
            [self.muster, "agent", "-node", "c6", "-bind", "127.0.0.6", "-client", "127.0.0.6",
             "-dns-port", "53", "-data-dir", os.path.join(self.dir, "c6"),
             "-retry-join", "127.0.0.1"], stdout=log, stderr=subprocess.STDOUT)
        try:
            wait_equal("the sixth to answer", "127.0.0.1\n", lambda: run(
                "dig", "+short", "+time=1", "@127.0.0.6", "n1.node.consul").stdout)
            put = run(self.muster, "kv", "put", "-http-addr=localhost:8500", "greeting", "hello")
            self.assertEqual(put.stdout, "Success! Data written to: greeting\n", put.stderr)
            got = run("unshare", "--mount", "sh", "-c",
                      'mount --bind "$1" /etc/resolv.conf && '
                      'exec "$2" kv get -http-addr=n2.node.consul:8500 greeting',
                      "sh", where, self.muster)
            self.assertEqual(got.stdout, "hello\n", got.stderr)
        finally:
            agent.terminate()
            self.assertEqual(agent.wait(60), 0)
            log.close()


if __name__ == "__main__":
    in_own_namespace()
    ip("link", "set", "lo", "up")
    main()
