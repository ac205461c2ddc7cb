"""Standard files that are closed, or that take nothing: a command says so and does no harm."""

import os
import signal
import subprocess

from cluster import MUSTER, PATIENCE, ClusterTest, main, wait_for

ALL = (0, 1, 2)


class Closed(ClusterTest):
    def without(self, closed, command, env=None, **files):
        def close():
            for fd in closed:
                os.close(fd)

        files = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE,
                 "stderr": subprocess.PIPE, **files}
        run = subprocess.Popen(command, preexec_fn=close, text=True, env=env, **files)
        self.addCleanup(run.kill)
        return run

    def test_a_command_does_without_them(self):
        cluster = self.cluster(servers=1, clients=0).start().wait_ready()
        server = cluster.agents["s1"]
        server.ok("PUT", "/v1/kv/x", "value")
        env = {**os.environ, "CONSUL_HTTP_ADDR": f"{server.address}:8500"}
        for closed, out in (((0,), "value\n"), ((1,), ""), ((2,), "value\n"), (ALL, "")):
            run = self.without(closed, [MUSTER, "kv", "get", "x"], env)
            self.assertEqual((*run.communicate(timeout=PATIENCE), run.returncode), (out, "", 0))

    def test_an_agent_does_without_them(self):
        cluster = self.cluster(servers=1, clients=0)
        server = cluster.agents["s1"]
        for closed in ((0,), (1,), (2,), ALL):
            server.process = self.without(closed, server.command(), stdout=subprocess.DEVNULL,
                                          stderr=subprocess.DEVNULL)
            wait_for("it to lead", server.leader)
            for fd in closed:
                self.assertEqual(os.readlink(f"/proc/{server.process.pid}/fd/{fd}"), "/dev/null")
            server.send(signal.SIGTERM)
            self.assertEqual(server.process.wait(PATIENCE), 1)  # a server leaves nobody


class Full(ClusterTest):
    def test_what_could_not_be_printed_is_said(self):
        for words in (["version"], ["kv", "-help"], ["keygen"]):
            with open("/dev/full", "w") as full:
                run = subprocess.run([MUSTER, *words], stdout=full, stderr=subprocess.PIPE,
                                     text=True, timeout=PATIENCE)
            self.assertEqual(
                (run.returncode, run.stderr),
                (1, "Error writing to standard output: No space left on device\n"), words)

    def test_so_is_what_was_too_much_for_one_write(self):
        cluster = self.cluster(servers=1, clients=0).start().wait_ready()
        server = cluster.agents["s1"]
        server.ok("PUT", "/v1/kv/big", "x" * 100000)
        with open("/dev/full", "w") as full:
            run = subprocess.run([MUSTER, "kv", "export"], stdout=full, stderr=subprocess.PIPE,
                                 text=True, timeout=PATIENCE, env={
                                     **os.environ, "CONSUL_HTTP_ADDR": f"{server.address}:8500"})
        self.assertEqual(run.returncode, 1)
        self.assertRegex(run.stderr, "^Error writing to standard output: [^\n]+\n$")


if __name__ == "__main__":
    main()
