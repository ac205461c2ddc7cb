"""muster lock: a command runs while a lock is held, one at a time or as many as were said; who dies is
followed by the next, who loses the lock ends, and nothing is left behind."""

import json
import os
import signal
import subprocess

from cluster import MUSTER, ClusterTest, main, wait_for

LOCK_FLAGS = 0x2ddccbc058a50c18
SEMAPHORE_FLAGS = 0xe0f69a2baa414de0


class Holder:
    """muster lock with a command that says in a file that it runs, and runs until it is told."""

    def __init__(self, test, agent, name, *words, command=None):
        self.file = os.path.join(test.dir, name)
        script = command or (f"trap 'echo ended >>{self.file}; exit 3' TERM; "
                             f"echo \"runs $CONSUL_LOCK_HELD\" >>{self.file}; "
                             "while :; do sleep 0.1; done")
        self.process = subprocess.Popen([MUSTER, "lock", *words, "app/lock", script],
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                        stdin=subprocess.PIPE,
                                        env={**os.environ,
                                             "CONSUL_HTTP_ADDR": f"{agent.address}:8500"})
        test.holders.append(self)

    def text(self):
        try:
            with open(self.file) as f:
                return f.read()
        except FileNotFoundError:
            return ""

    def runs(self):
        return self.text() == "runs true\n"

    def end(self, number=signal.SIGTERM, seconds=60):
        self.process.send_signal(number)
        out = self.process.communicate(timeout=seconds)[0]  # on stderr the shell names the signal
        return self.process.returncode, out


class Lock(ClusterTest):
    def setUp(self):
        super().setUp()
        self.holders = []
        self.leaders = []

    def tearDown(self):
        for leader in self.leaders:
            if self.group(leader):
                os.killpg(leader, signal.SIGKILL)
        for holder in self.holders:
            if holder.process.poll() is None:
                holder.process.terminate()  # so that it ends its command
            holder.process.communicate()
        super().tearDown()

    def formed(self, servers, clients=0):
        cluster = self.cluster(servers=servers, clients=clients)
        self.dir = cluster.dir
        cluster.start().wait_ready()
        return cluster

    def keys(self, agent):
        answer = agent.get("/v1/kv/app/lock?keys")
        return answer.json() if answer.status == 200 else []

    def test_one_after_the_other(self):
        agent = self.formed(1).agents["s1"]
        first = Holder(self, agent, "first", "-name", "mine")
        wait_for("the first to run", first.runs)
        row = agent.ok("GET", "/v1/kv/app/lock/.lock").json()[0]
        self.assertEqual(row["Flags"], LOCK_FLAGS)
        session = agent.ok("GET", f"/v1/session/info/{row['Session']}").json()[0]
        self.assertEqual((session["Name"], session["TTL"]), ("mine", "15s"))
        second = Holder(self, agent, "second", "-child-exit-code")
        late = Holder(self, agent, "late", "-try=500ms")
        out = late.process.communicate(timeout=60)
        self.assertEqual((late.process.returncode, late.text(), out[0]), (1, "", ""))
        self.assertIn("timeout during lock acquisition", out[1])
        self.assertEqual(second.text(), "")
        self.assertEqual(first.end(), (0, ""))
        self.assertEqual(first.text(), "runs true\nended\n")
        wait_for("the second to run", second.runs)
        self.assertEqual(second.end(signal.SIGINT)[0], 3)
        self.assertEqual(self.keys(agent), [])
        self.assertEqual(agent.ok("GET", "/v1/session/list").json(), [])

    def test_what_the_command_is_given(self):
        agent = self.formed(1).agents["s1"]
        run = Holder(self, agent, "stdin", "-pass-stdin", "-child-exit-code",
                     command="cat; echo beside >&2; exit 7")
        out = run.process.communicate("through", timeout=60)
        self.assertEqual((run.process.returncode, *out), (7, "through", "beside\n"))
        plain = agent.cli("lock", "-shell=false", "app/lock", "echo", "$HOME", "a  b")
        self.assertEqual((plain.returncode, plain.stdout), (0, "$HOME a  b\n"))
        self.assertEqual(agent.cli("lock", "app/lock", "exit", "5").returncode, 0)
        absent = agent.cli("lock", "-shell=false", "app/lock", "no-such-command")
        self.assertEqual(absent.stderr, "Error running handler: no-such-command: no such file or "
                                        "directory\n")
        moved = agent.cli("lock", "app//lock", "true", check=1)
        self.assertRegex(moved.stderr, "^Lock acquisition failed: Unexpected response code: 301 "
                                       r"\(a key with //, .*\"app//lock/.lock\" leads to "
                                       r"/v1/kv/app/lock/.lock\?[^ ]*\)\n$")
        for words, text in ((["app/lock"], "must be specified"), (["/app", "x"], "must not begin"),
                            (["-n", "0", "app", "x"], "limit"), (["-try", "x", "a", "b"], "duration")):
            run = agent.cli("lock", *words, check=1)
            self.assertIn(text, run.stderr)
        agent.ok("PUT", "/v1/kv/app/lock/.lock?flags=7", "of somebody else")
        run = agent.cli("lock", "app/lock", "true", check=1)
        self.assertIn("Existing key does not match lock use", run.stderr)
        run = agent.cli("lock", "-n=2", "app/lock", "true", check=1)
        self.assertIn("Existing key does not match semaphore use", run.stderr)
        self.assertEqual(agent.ok("GET", "/v1/kv/app/lock/.lock?raw").text, "of somebody else")

    def test_a_semaphore(self):
        agent = self.formed(1).agents["s1"]
        some = [Holder(self, agent, f"holder-{i}", "-n=2") for i in range(3)]
        wait_for("two to run", lambda: sum(h.runs() for h in some) == 2)
        row = agent.ok("GET", "/v1/kv/app/lock/.lock").json()[0]
        self.assertEqual(row["Flags"], SEMAPHORE_FLAGS)
        document = json.loads(agent.ok("GET", "/v1/kv/app/lock/.lock?raw").text)
        self.assertEqual((document["Limit"], len(document["Holders"])), (2, 2))
        wrong = agent.cli("lock", "-n=3", "app/lock", "true", check=1)
        self.assertIn("semaphore limit conflict (lock: 2, local: 3)", wrong.stderr)
        waits = next(h for h in some if h.text() == "")
        gone = next(h for h in some if h.runs())
        self.assertEqual(gone.end(), (0, ""))
        wait_for("the third to run", waits.runs)
        for holder in some:
            if holder is not gone:
                self.assertEqual(holder.end(), (0, ""))
        self.assertEqual(self.keys(agent), [])

    def test_who_dies_is_followed_and_who_loses_it_ends(self):
        cluster = self.formed(3, clients=1)
        agent = cluster.agents["k1"]
        first = Holder(self, agent, "first")
        wait_for("the first to run", first.runs)
        second = Holder(self, agent, "second")
        leader = cluster.leader()
        leader.kill()
        wait_for("another leader", lambda: cluster.leader() is not leader)
        leader.start()
        agent.ok("PUT", "/v1/kv/written", "behind the election")
        self.assertIsNone(first.process.poll())
        self.assertTrue(first.runs())  # it has not lost it by that
        held = agent.ok("GET", "/v1/kv/app/lock/.lock").json()[0]["Session"]
        os.kill(first.process.pid, signal.SIGSTOP)  # nobody renews its session any more
        wait_for("the session to end", lambda: not agent.ok(
            "GET", f"/v1/session/info/{held}").json(), 120)
        os.kill(first.process.pid, signal.SIGCONT)
        out = first.process.communicate(timeout=60)
        self.assertEqual((first.process.returncode, out[0]), (0, ""))
        self.assertIn("Lock lost, killing child", out[1])
        self.assertEqual(first.text(), "runs true\nended\n")
        wait_for("the second to run, behind the lock-delay", second.runs, 120)
        self.assertEqual(second.end(), (0, ""))
        self.assertEqual(self.keys(agent), [])

    def test_the_command_does_not_outlive_it(self):
        agent = self.formed(1).agents["s1"]
        # One that hears, and one that does not.
        for name, trap in (("hears", "echo ended >>{0}; exit 3"), ("deaf", "")):
            path = os.path.join(self.dir, name)
            Holder(self, agent, name, "-n=2", command=(
                f"trap '{trap.format(path)}' TERM; sleep 1000 & echo $$ >>{path}; "
                "while :; do wait; done"))
        for holder in self.holders:
            wait_for("it to run", lambda h=holder: h.text().endswith("\n"))
        for holder in self.holders:
            leader = int(holder.text())
            self.leaders.append(leader)
            self.assertEqual(len(self.group(leader)), 2)
            holder.process.kill()
            wait_for("its command to end, and what that has started",
                     lambda g=leader: not self.group(g))
        self.assertIn("\nended\n", self.holders[0].text())

    @staticmethod
    def group(leader):
        """Processes that live in it."""
        found = []
        for name in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{name}/stat") as f:
                    fields = f.read().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[2]) == leader and fields[0] != "Z":
                found.append(int(name))
        return found


if __name__ == "__main__":
    main()
