"""muster recover on servers that run: one that is left goes on without the quorum that was lost."""

import os
import shutil
import subprocess
import threading
import time

from cluster import MUSTER, PATIENCE, ClusterTest, flip, main, wait_equal, wait_for

QUICK = ["-hcl", 'autopilot { server_stabilization_time = "1s" }']
ROUTE = "/v1/operator/recovery"


def seen(agent):
    return agent.ok("GET", ROUTE).json()


def seen_of(agent, name):
    """What it sees of one server; KeyError when it does not know it yet."""
    return {s["Node"]: s for s in seen(agent)["Servers"]}[name]


def voters(agent):
    servers = agent.ok("GET", "/v1/operator/raft/configuration").json()["Servers"]
    return sorted(s["Node"] for s in servers if s["Voter"])


def stale_keys(agent):
    return sorted(agent.ok("GET", "/v1/kv/a/?keys&stale").json())


class Recover(ClusterTest):
    def start(self, servers=3, clients=0):
        cluster = self.cluster(servers=servers, clients=clients, args=QUICK)
        cluster.start().wait_ready()
        self.acknowledged = set()
        for i in range(20):
            self.write(cluster.agents["s1"], str(i))
        self.wait_same(cluster.servers())
        return cluster

    def write(self, agent, name):
        if agent.put(f"/v1/kv/a/{name}", name).status == 200:
            self.acknowledged.add(f"a/{name}")

    def wait_same(self, servers):
        for server in servers:
            wait_equal(f"all acknowledged writes on {server.name}", sorted(self.acknowledged),
                       lambda s=server: stale_keys(s))

    def wait_no_leader(self, *servers):
        """Nor does gossip hold anybody alive who is not."""
        for server in servers:
            wait_for(f"{server.name} to see that nobody leads",
                     lambda s=server: seen_of(s, s.name)["Leader"] == ""
                     and not seen(s)["MayPass"])

    def writers(self, agents):
        """Some that write until they are told to end; what is acknowledged is remembered."""
        stop = threading.Event()

        def run(n):
            count = 0
            while not stop.is_set():
                count += 1
                try:
                    self.write(agents[n % len(agents)], f"w{n}-{count}")
                except OSError:
                    pass

        threads = [threading.Thread(target=run, args=(n,)) for n in range(4)]
        for thread in threads:
            thread.start()

        def end():
            stop.set()
            for thread in threads:
                thread.join()
        return end

    def test_one_of_three_goes_on_with_every_acknowledged_write(self):
        cluster = self.start(clients=1)
        s1, s2, s3, k1 = (cluster.agents[n] for n in ("s1", "s2", "s3", "k1"))
        end = self.writers([s1, k1])
        wait_for("some writes", lambda: len(self.acknowledged) > 60)
        end()
        self.wait_same([s1])
        s2.kill()
        s3.kill()
        shutil.rmtree(s2.data)
        pid = s1.process.pid
        began = time.monotonic()
        run = k1.cli("recover", "-yes", check=0)
        answers = wait_for("a write", lambda: s1.put("/v1/kv/b", "1").status == 200)
        self.assertTrue(answers)
        print(f"a leader that takes writes {time.monotonic() - began:.2f} s after the command")
        self.assertRegex(run.stdout, r"s2 +\S+:8300 +yes +- +- +- +no answer")
        self.assertIn("goes on from s1 alone", run.stdout)
        self.assertIn("Lost is what was written to s2, s3 only;", run.stdout)
        self.assertRegex(run.stdout, r"s1 leads after [0-9.]+ s")
        self.wait_same([s1, k1])
        self.assertTrue(s1.running() and s1.process.pid == pid)
        self.assertEqual(voters(s1), ["s1"])
        self.assertGreater(seen_of(s1, "s1")["Epoch"], 0)
        self.assertIn("Recovered: this server goes on alone", s1.log_text())

        # One comes back as it was: it is refused. With an empty disk, each joins as a new one.
        s3.start()
        self.assertEqual(s3.wait(PATIENCE * 2), 1)
        self.assertIn("The cluster was recovered without this server", s3.log_text())
        self.assertTrue(s1.leader())
        run = subprocess.run([MUSTER, "recover", "-rejoin", "-yes", "-data-dir", s3.data],
                             capture_output=True, text=True, timeout=PATIENCE)
        self.assertEqual(run.returncode, 0, run.stderr)
        s2.start()
        s3.start()
        wait_equal("voters", ["s1", "s2", "s3"], lambda: voters(s1), PATIENCE * 3)
        self.wait_same([s2, s3])
        self.assertEqual(cluster.leader().name, "s1")

    def test_a_log_without_its_meta_starts_over(self):
        cluster = self.start()
        s3 = cluster.agents["s3"]
        s3.kill()
        os.remove(os.path.join(s3.data, "consensus", "meta"))
        s3.start()
        self.assertEqual(s3.wait(), 1)
        self.assertRegex(s3.log_text(), 'holds a log, but its file ."meta." is missing or blank: restore '
                                        "it, or muster recover -rejoin lets the server start over")
        words = [MUSTER, "recover", "-rejoin", "-yes", "-data-dir", s3.data]
        run = subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE)
        self.assertEqual(run.returncode, 0, run.stderr)
        s3.start()
        s1 = cluster.agents["s1"]
        self.write(s1, "afterwards")
        wait_for("it to take part on its new disk", lambda: "s3" in voters(s3), PATIENCE * 3)
        self.wait_same([s1, s3])

    def test_other_survivors_join_what_goes_furthest(self):
        cluster = self.start(servers=5)
        s1, s2, *lost = cluster.servers()
        s2.kill()  # it misses what comes now
        self.write(s1, "late")
        self.wait_same([s1])
        for server in lost:
            server.kill()
        self.wait_no_leader(s1)
        s2.start()
        wait_for("both to see each other", lambda: seen_of(s2, "s1")["Answers"]
                 and seen_of(s1, "s2")["Answers"])
        run = s2.cli("recover", "-server", "s2", "-yes", check=1)
        self.assertRegex(run.stderr, r"the log of s1 goes further .* than that of s2")
        self.assertIn("-force goes on all the same", run.stderr)
        pids = [s.process.pid for s in (s1, s2)]
        run = s2.cli("recover", "-yes", check=0)
        self.assertIn("goes on from s1 alone", run.stdout)
        self.assertIn("what s2 holds; by itself it joins as new", run.stdout)
        wait_equal("voters", ["s1", "s2"], lambda: voters(s1), PATIENCE * 3)
        self.wait_same([s1, s2])
        self.assertEqual([s.process.pid for s in (s1, s2)], pids)
        self.assertIn("meta", os.listdir(os.path.join(s2.data, "aside-1", "consensus")))
        self.assertIn("it starts over and joins as a new one", s2.log_text())
        # The three that were given up are a quorum of the old epoch, and come to nothing.
        for server in lost:
            server.start()
        for server in lost:
            self.assertEqual(server.wait(PATIENCE * 2), 1)
            self.assertIn("The cluster was recovered without this server", server.log_text())
        self.assertEqual(voters(s1), ["s1", "s2"])
        self.wait_same([s1, s2])

    def test_a_cluster_that_can_elect_is_left_alone(self):
        cluster = self.start()
        s1, s2, s3 = cluster.servers()
        for force in ([], ["-force"]):
            run = s1.cli("recover", "-yes", *force, check=1)
            self.assertRegex(run.stderr, "s[123] (leads|follows)")
        s3.kill()
        cluster.leader()
        run = s1.cli("recover", "-yes", check=1)
        self.assertRegex(run.stderr, "s[12] (leads|follows)")
        run = s1.cli("recover", "-bundle", "x", check=1)
        self.assertIn("they need its -data-dir", run.stderr)
        run = s1.cli("recover", "-server", "s1", "-data-dir", s1.data, check=1)
        self.assertIn("-server is for servers that run", run.stderr)
        self.assertEqual(s1.put(ROUTE).status, 400)
        self.assertEqual(s1.put(ROUTE + "?index=x&term=1").status, 400)
        self.assertEqual(s1.put(ROUTE + "?index=1&term=1").status, 409)
        self.assertEqual(seen_of(s1, "s1")["Epoch"], 0)
        self.write(s1, "after")
        self.wait_same([s1, s2])

    def test_it_asks_and_no_changes_nothing(self):
        cluster = self.start()
        s1, s2, s3 = cluster.servers()
        s2.kill()
        s3.kill()
        self.wait_no_leader(s1)
        run = s1.cli("recover", check=1, input="no\n")
        self.assertIn("Type yes to go on", run.stdout)
        self.assertEqual(run.stderr, "Nothing was changed\n")
        own = seen_of(s1, "s1")
        other = s1.put(f"{ROUTE}?index={own['LastIndex'] + 1}&term={own['LastTerm']}")
        self.assertEqual(other.status, 409)
        self.assertIn("by now: look again", other.text)
        self.assertNotIn("stands back", s1.log_text())
        s2.start()
        cluster.leader()
        self.assertEqual(seen_of(s1, "s1")["Epoch"], 0)
        self.wait_same([s1, s2])

    def test_a_leader_that_comes_back_while_it_asks_is_left_alone(self):
        cluster = self.start()
        s1, s2, s3 = cluster.servers()
        s2.kill()
        s3.kill()
        self.wait_no_leader(s1)
        asking = subprocess.Popen([MUSTER, "recover", "-http-addr", s1.address + ":8500"],
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, text=True)
        self.addCleanup(asking.kill)
        shown = ""
        while not shown.endswith("Type yes to go on: "):
            shown += asking.stdout.read(1)
        s2.start()
        cluster.leader()
        out, err = asking.communicate("yes\n", timeout=PATIENCE)
        self.assertEqual(asking.returncode, 1, out)
        self.assertRegex(err, "s[12] (leads|follows)")
        self.assertEqual(seen_of(s1, "s1")["Epoch"], 0)
        self.write(s1, "after")
        self.wait_same([s1, s2])

    def test_two_that_recover_at_once_come_to_one_cluster(self):
        cluster = self.start(servers=5)
        s1, s2, *lost = cluster.servers()
        for server in lost:
            server.kill()
        self.wait_no_leader(s1, s2)
        runs = [subprocess.Popen([MUSTER, "recover", "-yes", "-force", "-server", s.name,
                                  "-http-addr", s.address + ":8500"], stdout=subprocess.PIPE,
                                 stderr=subprocess.STDOUT, text=True) for s in (s1, s2)]
        for run in runs:
            print(run.communicate(timeout=PATIENCE * 3)[0])
        if all(run.returncode != 0 for run in runs):  # each refused the other one
            s1.cli("recover", "-yes", check=0)
        leader = cluster.leader()
        wait_equal("voters", ["s1", "s2"], lambda: voters(leader), PATIENCE * 3)
        self.assertEqual(*[seen_of(s, s.name)["Epoch"] for s in (s1, s2)])
        self.wait_same([s1, s2])

    def test_one_that_was_recovered_and_lost_does_not_pull_back_what_went_on_after_it(self):
        cluster = self.start(servers=5)
        s1, s2, *lost = cluster.servers()
        for server in lost:
            server.kill()
        self.wait_no_leader(s1, s2)
        s2.kill()
        s1.cli("recover", "-yes", check=0)
        self.write(s1, "given-up")
        epoch = seen_of(s1, "s1")["Epoch"]
        s1.kill()
        s2.start()
        self.acknowledged.remove("a/given-up")
        self.wait_no_leader(s2)
        s2.cli("recover", "-yes", check=0)
        self.assertGreater(seen_of(s2, "s2")["Epoch"], epoch)
        self.write(s2, "kept")
        s1.start()
        self.assertEqual(s1.wait(PATIENCE * 2), 1)
        self.assertIn("The cluster was recovered without this server", s1.log_text())
        self.assertEqual(voters(s2), ["s2"])
        self.wait_same([s2])

    def test_who_stood_back_for_nothing_takes_part_again(self):
        cluster = self.start(servers=7)
        s1, s2, s3, s4, *lost = cluster.servers()
        for server in (s3, s4, *lost):
            server.kill()
        self.wait_no_leader(s1, s2)
        own = seen_of(s1, "s1")
        flip(s1.segments()[0], 4096 + 40)  # which it sees when it has stopped
        begun = s1.ok("PUT", f"{ROUTE}?server=s1&index={own['LastIndex']}&term={own['LastTerm']}")
        self.assertEqual(begun.json()["Node"], "s1")
        wait_for("it to give up", lambda: "The recovery was not carried out" in s1.log_text())
        s1.kill()
        own = seen_of(s2, "s2")
        refused = s2.put(f"{ROUTE}?server=s2&force&index={own['LastIndex']}&term={own['LastTerm']}")
        self.assertEqual(refused.status, 409)
        self.assertRegex(refused.text,
                         "s2: it stands back for a recovery by s1, for [0-9]+ s more")

        # Nor can another one go on meanwhile. Those that it asked are told so.
        s3.start()
        s4.start()
        wait_for("them to see each other", lambda: seen_of(s3, "s2")["Answers"]
                 and seen_of(s3, "s4")["Answers"] and seen_of(s4, "s3")["Answers"])
        own = seen_of(s3, "s3")
        refused = s3.put(f"{ROUTE}?server=s3&force&index={own['LastIndex']}&term={own['LastTerm']}")
        self.assertEqual(refused.status, 409)
        self.assertRegex(refused.text, "s3: s2 is taken .* try again")
        wait_for("s4 to hear of it", lambda: "The recovery was given up" in s4.log_text())
        lost[0].start()
        leader = cluster.leader()  # with the votes of s2 and s4, or there is none
        self.assertIn("The recovery did not come about", s2.log_text())
        self.assertEqual(seen_of(leader, leader.name)["Epoch"], 0)
        self.write(leader, "after")
        self.wait_same([s2, s3, s4, lost[0]])


if __name__ == "__main__":
    main()
