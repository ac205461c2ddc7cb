"""Clusters that lost their quorum, their addresses, or both: what it takes to go on."""

import hashlib
import json
import os
import shutil
import subprocess
import time

from cluster import MUSTER, PATIENCE, ClusterTest, main, wait_for

QUICK = ["-hcl", 'autopilot { server_stabilization_time = "1s" }']


def muster(*words, input=None):
    return subprocess.run([MUSTER, *words], capture_output=True, text=True, input=input,
                          timeout=PATIENCE)


def inspect(agent):
    run = muster("consensus", "inspect", "-data-dir", agent.data)
    assert run.returncode == 0, run.stderr
    return dict(line.split(" ", 1) for line in run.stdout.splitlines())


def bundle(cluster, agent):
    path = os.path.join(cluster.dir, agent.name + ".bundle")
    run = muster("consensus", "inspect", "-data-dir", agent.data, "-bundle", path)
    assert run.returncode == 0, run.stderr
    return path


def digest(directory):
    found = {}
    for folder, _, names in os.walk(directory):
        for name in names:
            path = os.path.join(folder, name)
            with open(path, "rb") as f:
                found[os.path.relpath(path, directory)] = hashlib.sha256(f.read()).hexdigest()
    return found


def voters(agent):
    servers = agent.ok("GET", "/v1/operator/raft/configuration").json()["Servers"]
    return sorted(s["Node"] for s in servers if s["Voter"])


def keys(agent):
    return len(agent.ok("GET", "/v1/kv/a/?keys").json())


class Recovery(ClusterTest):
    def start(self, count=3):
        cluster = self.cluster(servers=count, clients=0, args=QUICK)
        cluster.start().wait_ready()
        for i in range(20):
            cluster.agents["s1"].ok("PUT", f"/v1/kv/a/{i}", str(i))
        return cluster

    def test_a_survivor_goes_on_and_the_others_rejoin(self):
        cluster = self.start()
        s1, s2, s3 = (cluster.agents[n] for n in ("s1", "s2", "s3"))
        for server in cluster.servers():
            server.kill()
        old = os.path.join(cluster.dir, "old-s3")
        shutil.copytree(s3.data, old)
        shutil.rmtree(s2.data) # lost for good
        # The one whose log goes furthest goes on; nothing that was acknowledged is lost by that.
        first, second = sorted((s1, s3), reverse=True, key=lambda s: (
            int(inspect(s)["last_term"]), int(inspect(s)["last_index"])))
        before = inspect(first)
        proof = bundle(cluster, second)
        began = time.monotonic()
        run = muster("recover", "-data-dir", first.data, "-bundle", proof, "-yes")
        self.assertEqual(run.returncode, 0, run.stderr)
        self.assertIn("unknown; entries that only it has are lost", run.stdout)
        after = inspect(first)
        self.assertGreater(int(after["epoch"]), 0)
        self.assertEqual(int(after["last_index"]), int(before["last_index"]) + 1)
        first.start()
        wait_for("it to lead", first.leader)
        self.assertEqual(keys(first), 20)
        print(f"recovered and answering after {time.monotonic() - began:.2f} s")
        self.assertEqual(voters(first), [first.name])

        run = muster("consensus", "recover", "-rejoin", "-data-dir", second.data, "-yes")
        self.assertEqual(run.returncode, 0, run.stderr)
        kept = os.listdir(os.path.join(second.data, "aside-1", "consensus"))
        self.assertEqual([n for n in kept if n.startswith(("spare", "ballast"))], [])
        self.assertIn("meta", kept)
        second.start()
        s2.start() # with an empty directory
        wait_for("three voters again", lambda: voters(first) == ["s1", "s2", "s3"], PATIENCE * 3)
        for server in (second, s2):
            wait_for("everything on each", lambda s=server: len(
                s.get("/v1/kv/a/?keys&stale").json()) == 20)
        first.ok("PUT", "/v1/kv/a/after", "1")

        # A server of the time before comes back: it sees that it is no member, and ends.
        s3.kill()
        shutil.rmtree(s3.data)
        shutil.copytree(old, s3.data)
        if first is not s3:
            s3.start()
            self.assertEqual(s3.wait(PATIENCE * 2), 1)
            self.assertIn("The cluster was recovered without this server", s3.log_text())
            self.assertEqual(keys(first), 21)

    def test_what_would_lose_or_split_data_is_refused(self):
        cluster = self.start()
        s1, s2, s3 = (cluster.agents[n] for n in ("s1", "s2", "s3"))
        run = muster("consensus", "recover", "-data-dir", s1.data, "-yes")
        self.assertEqual(run.returncode, 1)
        self.assertIn("in use by a running agent: stop it first", run.stderr)
        s3.kill()
        s1.ok("PUT", "/v1/kv/a/late", "1") # s3 does not have this
        s1.kill()
        s2.kill()

        empty = os.path.join(cluster.dir, "empty")
        os.mkdir(empty)
        run = muster("consensus", "inspect", "-data-dir", empty)
        self.assertEqual((run.returncode, run.stderr),
                         (1, f"Error: {empty} is no data directory of muster\n"))

        was = digest(os.path.join(s3.data, "consensus"))
        further = bundle(cluster, s1)
        run = muster("consensus", "recover", "-data-dir", s3.data, "-bundle", further, "-yes")
        self.assertEqual(run.returncode, 1)
        self.assertRegex(run.stderr, "goes further .*: recover there")
        run = muster("consensus", "recover", "-data-dir", s3.data, input="no\n")
        self.assertEqual((run.returncode, run.stderr), (1, "Nothing was changed\n"))
        inspect(s3)
        self.assertEqual(digest(os.path.join(s3.data, "consensus")), was)

        with open(further) as f:
            text = f.read()
        with open(further, "w") as f:
            f.write(text.replace("last_index ", "last_index 1"))
        run = muster("consensus", "recover", "-data-dir", s3.data, "-bundle", further, "-yes")
        self.assertIn("was changed since it was written", run.stderr)

        peers = os.path.join(cluster.dir, "peers.json")
        with open(peers, "w") as f:
            json.dump([{"id": inspect(s)["server"], "address": s.address + ":8300"}
                       for s in (s1, s3)], f)
        run = muster("consensus", "recover", "-data-dir", s1.data, "-peers", peers, "-yes")
        self.assertIn("needs the bundle of each", run.stderr)
        run = muster("consensus", "recover", "-data-dir", s1.data, "-peers", peers, "-yes",
                     "-bundle", bundle(cluster, s3))
        self.assertIn("does not end as this one does", run.stderr)
        run = muster("consensus", "recover", "-data-dir", s2.data, "-peers", peers, "-yes")
        self.assertIn("is not among the voters to be", run.stderr)
        for server in cluster.servers():
            server.start()
        cluster.wait_ready() # nothing was changed: all is as before
        self.assertEqual(keys(s3), 21)

    def test_a_damaged_server_is_set_aside_and_replaced(self):
        cluster = self.start()
        victim = [s for s in cluster.servers() if s is not cluster.leader()][0]
        other = next(s for s in cluster.servers() if s is not victim)
        victim.kill()
        name = sorted(n for n in os.listdir(os.path.join(victim.data, "consensus"))
                      if n.startswith("log-"))[0]
        with open(os.path.join(victim.data, "consensus", name), "r+b") as f:
            f.seek(4096 + 40)
            f.write(b"\xff\xff\xff\xff")
        run = muster("consensus", "inspect", "-data-dir", victim.data)
        self.assertEqual(run.returncode, 1)
        self.assertRegex(run.stderr, f"Error: damaged: .*{name}")
        run = muster("recover", "-data-dir", victim.data, "-yes")
        self.assertIn("what this server holds is damaged", run.stderr)
        run = muster("operator", "raft", "recover", "-rejoin", "-data-dir", victim.data,
                     input="yes\n")
        self.assertEqual(run.returncode, 0, run.stderr)
        self.assertIn("Type yes to go on", run.stdout)
        victim.start()
        wait_for("it to be a voter on its new disk",
                 lambda: "Added to a cluster as a learner" in victim.log_text()
                 and voters(other) == ["s1", "s2", "s3"], PATIENCE * 2)
        wait_for("everything on it", lambda: len(
            victim.get("/v1/kv/a/?keys&stale").json()) == 20)

    def test_peers_json_is_consumed_once_at_the_start(self):
        cluster = self.start()
        s1, s2, s3 = (cluster.agents[n] for n in ("s1", "s2", "s3"))
        for server in cluster.servers():
            server.kill()
        # Two that end alike go on together, as their bundles prove; the third one is lost.
        alike = [s for s in cluster.servers()
                 if inspect(s)["last_index"] == max(inspect(t)["last_index"]
                                                    for t in cluster.servers())]
        self.assertGreaterEqual(len(alike), 2)
        pair = alike[:2]
        bundles = [bundle(cluster, s) for s in pair]
        for server in pair:
            folder = os.path.join(server.data, "raft")
            os.mkdir(folder)
            with open(os.path.join(folder, "peers.json"), "w") as f:
                json.dump([{"id": inspect(s)["server"], "address": s.address + ":8300",
                            "non_voter": False} for s in pair], f)
            for path in bundles:
                shutil.copy(path, folder)
        for server in pair:
            server.start()
        wait_for("the two to have a leader", pair[0].leader)
        self.assertEqual(voters(pair[0]), sorted(s.name for s in pair))
        self.assertEqual(keys(pair[1]), 20)
        for server in pair:
            names = os.listdir(os.path.join(server.data, "raft"))
            self.assertIn("peers.json.used", names)
            self.assertNotIn("peers.json", names)
            self.assertIn("Recovered from raft/peers.json", server.log_text())
        pair[0].kill()
        pair[0].start()
        wait_for("it to lead or follow again", pair[0].leader)
        self.assertEqual(pair[0].log_text().count("Recovered from raft/peers.json"), 1)

    def test_two_that_go_on_are_told_apart_from_those_that_rejoin(self):
        cluster = self.start()
        for server in cluster.servers():
            server.kill()
        last = max(int(inspect(s)["last_index"]) for s in cluster.servers())
        pair = [s for s in cluster.servers() if int(inspect(s)["last_index"]) == last][:2]
        bundles = [bundle(cluster, s) for s in pair]
        peers = os.path.join(cluster.dir, "peers.json")
        with open(peers, "w") as f:
            json.dump([{"id": inspect(s)["server"], "address": s.address + ":8300"} for s in pair], f)
        for server in pair:
            run = muster("recover", "-data-dir", server.data, "-peers", peers, "-bundle",
                         bundles[0], "-bundle", bundles[1], "-yes")
            self.assertEqual(run.returncode, 0, run.stderr)
            # One that were told to rejoin would have no quorum, and could have no other.
            self.assertIn("recover the other servers of the file in the same way, with these "
                          "bundles", run.stdout.replace("\n", " "))
            self.assertIn("-rejoin", run.stdout)
        for server in pair:
            server.start()
        wait_for("the two to have a leader", pair[0].leader)
        self.assertEqual(voters(pair[0]), sorted(s.name for s in pair))
        self.assertEqual(keys(pair[1]), 20)

    def test_of_two_recoveries_that_did_not_know_of_each_other_the_later_one_goes_on(self):
        cluster = self.start()
        s1, s2, s3 = (cluster.agents[n] for n in ("s1", "s2", "s3"))
        for server in cluster.servers():
            server.kill()
        for server in (s1, s2):
            run = muster("recover", "-data-dir", server.data, "-yes")
            self.assertEqual(run.returncode, 0, run.stderr)
        self.assertLess(int(inspect(s1)["epoch"]), int(inspect(s2)["epoch"]))
        s2.start()
        wait_for("the later one to lead", s2.leader)
        s1.start()
        self.assertEqual(s1.wait(PATIENCE * 2), 1)
        self.assertIn("The cluster was recovered without this server", s1.log_text())
        self.assertEqual(voters(s2), ["s2"])
        self.assertEqual(keys(s2), 20)

    def test_a_peers_json_that_cannot_be_stops_the_start(self):
        cluster = self.start(1)
        (s1,) = cluster.servers()
        s1.kill()
        folder = os.path.join(s1.data, "raft")
        os.mkdir(folder)
        with open(os.path.join(folder, "peers.json"), "w") as f:
            f.write('["10.0.0.1:8300"]')
        s1.start()
        self.assertEqual(s1.wait(), 1)
        self.assertIn("does not say whose log counts", s1.log_text())
        os.remove(os.path.join(folder, "peers.json"))
        s1.start()
        wait_for("it to lead", s1.leader)
        self.assertEqual(keys(s1), 20)

    def test_all_servers_on_new_addresses_just_elect(self):
        cluster = self.start()
        cluster.add("k1", False, ["-retry-join", cluster.agents["s1"].address]).start()
        cluster.wait_ready()
        for agent in cluster.agents.values():
            agent.kill()
        joins = []
        for server in cluster.servers():
            server.address = cluster.address()
            joins += ["-retry-join", server.address]
        for agent in cluster.agents.values():
            agent.args = [*joins, *QUICK] # not even how many were expected once
            if not agent.server:
                agent.address = cluster.address()
        cluster.start()
        for agent in cluster.agents.values():
            wait_for(f"{agent.name} to see a leader", agent.leader, PATIENCE * 2)
        self.assertEqual(keys(cluster.agents["k1"]), 20)
        self.assertEqual(voters(cluster.agents["s2"]), ["s1", "s2", "s3"])
        shown = cluster.agents["s1"].ok("GET", "/v1/operator/raft/configuration").json()
        self.assertEqual({s["Node"]: s["Address"] for s in shown["Servers"]},
                         {s.name: s.address + ":8300" for s in cluster.servers()})

    def test_a_server_without_a_cluster_says_what_it_waits_for(self):
        cluster = self.cluster()
        alone = cluster.add("s1", True, ["-bootstrap-expect", "3"]).start()

        def shown():
            stats = alone.ok("GET", "/v1/agent/self").json()["Stats"]["raft"]
            return stats.get("waits")
        self.assertEqual(wait_for("it to say so", shown),
                         "fewer servers than expected are in sight")
        alone.kill()
        run = muster("operator", "bootstrap-reset", "-data-dir", alone.data)
        self.assertEqual((run.returncode, run.stdout), (0, "There was no promise.\n"))

    def test_a_promise_is_only_forgotten_where_there_is_no_cluster(self):
        cluster = self.start(1)
        (s1,) = cluster.servers()
        s1.kill()
        run = muster("operator", "bootstrap-reset", "-data-dir", s1.data)
        self.assertEqual(run.returncode, 1)
        self.assertIn("this server belongs to a cluster", run.stderr)


if __name__ == "__main__":
    main()
