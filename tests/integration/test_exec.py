"""muster exec: commands on many nodes, through the key-value store, and only where it is allowed."""

import base64
import json
import os
import signal
import subprocess

from cluster import MUSTER, PATIENCE, ClusterTest, main, wait_equal, wait_for


class Exec(ClusterTest):
    def setUp(self):
        super().setUp()
        self.all = self.cluster(servers=1, clients=2)
        self.s1, self.k1, self.k2 = (self.all.agents[n] for n in ("s1", "k1", "k2"))
        self.k1.args += ["-hcl", "disable_remote_exec = false"]
        self.s1.args += ["-hcl", "disable_remote_exec = false"]
        self.all.start().wait_ready()
        for agent in self.all.agents.values():
            wait_for("members", lambda a=agent: len(a.members()) == 3)

    def run_exec(self, *words, input=None):
        return self.k2.cli("exec", "-wait=1s", *words, input=input)

    def told(self, *words, input=None):
        run = self.run_exec(*words, input=input)
        return run.returncode, sorted(run.stdout.splitlines())

    def told_by_k1(self, line, *words, input=None):
        """Until nodes answer within the second that is waited for them."""
        wait_equal(f"exec {words}", (0, sorted([
            f"    k1: {line}", "==> k1: finished with exit code 0",
            "1 / 1 node(s) completed / acknowledged"])),
            lambda: self.told("-node=k1", *words, input=input))

    def test_commands(self):
        wait_equal("hello from two", (0, sorted(
            ["    k1: hello", "    k1: again", "==> k1: finished with exit code 0",
             "    s1: hello", "    s1: again", "==> s1: finished with exit code 0",
             "2 / 2 node(s) completed / acknowledged"])),
            lambda: self.told("echo", "hello;", "echo", "again"))
        # k2 has it turned off, as is the default; nothing is left in the store or listed as event.
        wait_for("k2 to say so", lambda: "ignoring remote exec event, disabled."
                 in self.k2.log_text())
        self.assertEqual(self.s1.get("/v1/kv/?keys").json(), [])
        self.assertEqual(self.s1.get("/v1/session/list").json(), [])
        self.assertEqual(self.k1.get("/v1/event/list").json(), [])

        wait_equal("what fails", (2, "    k1: oops\n==> k1: finished with exit code 3\n"
                                     "1 / 1 node(s) completed / acknowledged\n"),
                   lambda: (lambda r: (r.returncode, r.stdout))(
                       self.run_exec("-node=^k", "echo oops >&2; exit 3")))

        self.told_by_k1("a  b $HOME", "-shell=false", "/bin/echo", "a  b", "$HOME")
        self.told_by_k1("from python", "-",
                        input="#!/usr/bin/env python3\nprint('from', 'python')\n")
        run = self.run_exec("-node=k2", "true")
        self.assertEqual((run.returncode, run.stdout),
                         (0, "0 / 0 node(s) completed / acknowledged\n"))
        self.assertIn("only where disable_remote_exec = false is configured", run.stderr)
        for words, error in (((), "Must specify a command to execute\n"),
                             (("-tag=x", "y"), "Cannot provide tag filter without service filter.\n")):
            run = self.run_exec(*words)
            self.assertEqual((run.returncode, run.stderr), (1, error))

    def test_much_output(self):
        """More than is held at once: all of it comes, in order."""
        run = wait_for("an answer in time", lambda: (
            lambda r: r.returncode == 0 and "finished" in r.stdout and r)(
                self.run_exec("-node=k1", "seq 1 60000")))
        numbers = [line.split(": ", 1)[1] for line in run.stdout.splitlines()
                   if line.startswith("    k1: ")]
        self.assertEqual("".join(numbers), "".join(str(i) for i in range(1, 60001)))

    def test_wire(self):
        """By hand, as the reference's command does it: what it reads is what it expects."""
        session = self.s1.ok("PUT", "/v1/session/create", {"TTL": "15s", "Behavior": "delete"}).json()["ID"]
        job = {"Command": "printf 'a\\nb'; exit 4", "Args": None, "Script": None, "Wait": 2000000000}
        self.s1.ok("PUT", f"/v1/kv/_rexec/{session}/job?acquire={session}", job)
        self.s1.ok("PUT", "/v1/event/fire/_rexec?node=k1", {"Prefix": "_rexec", "Session": session})
        below = f"/v1/kv/_rexec/{session}/k1"
        wait_for("the end", lambda: self.s1.get(f"{below}/exit?raw").text == "4")
        self.assertEqual(self.s1.get(f"{below}/out/00000?raw").text, "a\nb")
        pairs = self.s1.get(f"{below}/?recurse").json()
        self.assertEqual([p["Key"].rsplit("/k1/")[1] for p in pairs], ["ack", "exit", "out/00000"])
        self.assertEqual({p["Session"] for p in pairs}, {session})

    def test_whoever_asked_is_gone(self):
        """The program ends with the session, and its children with it; so it does with the agent."""
        pids = os.path.join(self.all.dir, "pids")
        for end in ("session", "agent"):
            session = self.s1.ok("PUT", "/v1/session/create", {"Behavior": "delete"}).json()["ID"]
            script = f"#!/bin/sh\nsleep 1000 & echo $$ $! >{pids}.{end}.new; mv {pids}.{end}.new {pids}.{end}; wait\n"
            job = {"Script": base64.b64encode(script.encode()).decode(), "Wait": 500000000}
            self.s1.ok("PUT", f"/v1/kv/_rexec/{session}/job?acquire={session}", job)
            self.s1.ok("PUT", "/v1/event/fire/_rexec?node=k1", {"Prefix": "_rexec", "Session": session})
            wait_for("a program", lambda: os.path.exists(f"{pids}.{end}"))
            with open(f"{pids}.{end}") as f:
                born = f.read().split()
            self.assertEqual(len(born), 2)
            if end == "session":
                self.s1.ok("PUT", f"/v1/session/destroy/{session}")
            else:
                self.k1.terminate(signal.SIGTERM)
            for pid in born:
                wait_for("its end", lambda p=pid: self.is_gone(p))
        self.assertIn("Remote exec is given up: its session is over", self.k1.log_text())
        left = set(os.listdir(self.all.dir)) - {"pids.session", "pids.agent"}  # its TMPDIR, too
        self.assertEqual({n for n in left if n.split(".")[0] not in self.all.agents}, set())

    def is_gone(self, pid):
        try:
            with open(f"/proc/{pid}/stat") as f:
                return f.read().rsplit(")", 1)[1].split()[0] == "Z"
        except FileNotFoundError:
            return True

    def test_bad_input(self):
        for payload in (b"", b"{", b"[]", b'{"Prefix":1}', b'{"Prefix":"a"}',
                        b'{"Prefix":"../..","Session":"x y?&"}'):
            self.s1.ok("PUT", "/v1/event/fire/_rexec?node=k1", payload)
        for job in ("", "{", "{}", '{"Script":"!"}', '{"Args":[""]}'):
            session = self.s1.ok("PUT", "/v1/session/create", {"Behavior": "delete"}).json()["ID"]
            self.s1.ok("PUT", f"/v1/kv/_rexec/{session}/job?acquire={session}", job)
            self.s1.ok("PUT", "/v1/event/fire/_rexec?node=k1",
                       {"Prefix": "_rexec", "Session": session})
        wait_for("words about events", lambda: self.k1.log_text().count("exec event cannot be read") == 5)
        wait_for("words about keys", lambda: "A remote exec job is not to be had" in self.k1.log_text())
        wait_for("words about jobs", lambda: self.k1.log_text().count("exec job cannot be read") == 4)
        self.told_by_k1("fine", "echo fine")


if __name__ == "__main__":
    main()
