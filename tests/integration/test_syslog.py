"""The log goes to the system's own as well: with a /dev of the test's own, where one listens."""

import os
import re
import signal
import socket
import subprocess

from cluster import MUSTER, PATIENCE, ClusterTest, main, wait_for
from small_disk import in_own_namespace
from test_serf_agent import SerfAgent, gossip_port

DEVICES = ("null", "zero", "full", "random", "urandom")


def make_dev(path):
    """What a process needs of /dev, in `path`, and that in place of /dev."""
    os.makedirs(path)
    for name in DEVICES:
        with open(os.path.join(path, name), "w"):
            pass
        subprocess.run(["mount", "--bind", f"/dev/{name}", os.path.join(path, name)], check=True)
    os.symlink("/proc/self/fd", os.path.join(path, "fd"))
    subprocess.run(["mount", "--rbind", path, "/dev"], check=True)


class Listener:
    def __init__(self):
        if os.path.exists("/dev/log"):
            os.remove("/dev/log")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("/dev/log")
        self.socket.setblocking(False)
        self.lines = []

    def heard(self, pattern):
        while True:
            try:
                self.lines.append(self.socket.recv(65536).decode())
            except BlockingIOError:
                return [line for line in self.lines if re.search(pattern, line)]

    def close(self):
        self.socket.close()


class Syslog(ClusterTest):
    def setUp(self):
        super().setUp()
        self.all = self.cluster()
        self.all.port = gossip_port()
        make_dev(os.path.join(self.all.dir, "dev"))

    def tearDown(self):
        subprocess.run(["umount", "--lazy", "/dev"], check=True)  # or its directory stays
        super().tearDown()

    def serf_agent(self, *args):
        agent = SerfAgent(self.all, "n1", self.all.address(), False, ["-profile", "local", *args])
        self.all.agents["n1"] = agent
        return agent

    def test_serf_agent(self):
        first = Listener()
        path = os.path.join(self.all.dir, "syslog.json")
        with open(path, "w") as f:
            f.write('{"syslog_facility": "local3", "log_level": "warn"}')
        n1 = self.serf_agent("-syslog", "-config-file", path)
        n1.args += ["-retry-join", self.all.address()]  # where nobody is: a warning
        n1.start()
        # local3 is 19, a warning 4: 19 * 8 + 4
        line = wait_for("a line", lambda: first.heard("Join failed"))[0]
        self.assertRegex(line, rf"^<156>[A-Z][a-z]{{2}} [ \d]\d \d\d:\d\d:\d\d serf\[{n1.process.pid}\]: "
                               r"agent: Join failed: 1 error occurred:")
        self.assertEqual(first.heard("Serf agent starting"), [])  # below the level
        first.close()
        second = Listener()  # it was started again
        n1.serf("query", "-timeout=1ms", "q")
        wait_for("lines again", lambda: second.heard("agent: Join failed"))
        with open(path, "w") as f:
            f.write('{"syslog_facility": "local3", "log_level": "info"}')
        n1.send(signal.SIGHUP)
        tries = iter(range(10000))

        def update_told():
            self.assertEqual(n1.serf("tags", "-set", f"a={next(tries)}")[0], 0)
            return second.heard(r"^<158>.* serf: EventMemberUpdate: n1$")

        wait_for("the new level", update_told)
        # One that does not read loses lines, hears how many, and holds nobody up.
        with open(path, "w") as f:
            f.write('{"syslog_facility": "local3", "log_level": "debug"}')
        n1.send(signal.SIGHUP)
        for _ in range(1300):
            with socket.create_connection((n1.address, 7373)):
                pass
        self.assertIn("alive", n1.serf("members")[1])
        wait_for("the loss to be told",
                 lambda: second.heard(r"agent: \d+ lines were lost to syslog, it was too slow"))
        for _ in range(50):
            with socket.create_connection((n1.address, 7373)):
                pass
        self.assertEqual(n1.terminate(signal.SIGINT), 0)  # also while it stands still
        second.close()

    def test_refused(self):
        n1 = self.serf_agent("-syslog")
        for words, text in (([], "==> Syslog setup failed: Unix syslog delivery error: connect "
                                 "/dev/log: No such file or directory\n"),
                            (["-config-file", os.path.join(self.all.dir, "bad.json")],
                             "==> Syslog setup failed: invalid syslog facility: NOPE\n")):
            with open(os.path.join(self.all.dir, "bad.json"), "w") as f:
                f.write('{"syslog_facility": "NOPE"}')
            run = subprocess.run([*n1.command(), *words], capture_output=True, text=True,
                                 timeout=PATIENCE)
            self.assertEqual(run.returncode, 1)
            self.assertIn(text, run.stdout + run.stderr)

    def test_agent(self):
        listener = Listener()
        agent = self.all.add("d1", False, ["-dev", "-syslog"]).start()
        line = wait_for("it", lambda: listener.heard("agent: Consul agent running!"))[0]
        self.assertRegex(line, rf"^<134>.* consul\[{agent.process.pid}\]: agent: Consul agent running!$")
        listener.close()


if __name__ == "__main__":
    in_own_namespace()
    main()
