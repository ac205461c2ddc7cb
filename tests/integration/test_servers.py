"""Servers that come and go: new ones become voters, dead ones are cleaned up, the removed step aside."""

import os
import shutil

from cluster import PATIENCE, ClusterTest, main, wait_for

QUICK = ["-hcl", 'autopilot { server_stabilization_time = "1s" }']


def peers(agent):
    servers = agent.ok("GET", "/v1/operator/raft/configuration").json()["Servers"]
    return {s["Node"]: s for s in servers}


def voters(agent):
    return sorted(name for name, s in peers(agent).items() if s["Voter"])


class Members(ClusterTest):
    def start(self, servers=3, clients=0, args=()):
        cluster = self.cluster(servers=servers, clients=clients, args=[*QUICK, *args])
        return cluster.start().wait_ready()

    def add(self, cluster, name, *args):
        joins = []
        for server in cluster.servers()[:3]:
            joins += ["-retry-join", server.address]
        return cluster.add(name, True, [*joins, *QUICK, *args]).start()

    def healthy(self, agent):
        return agent.get("/v1/operator/autopilot/health").status == 200

    def test_two_more_servers_become_voters_and_a_dead_one_is_cleaned_up(self):
        cluster = self.start(clients=1)
        k1 = cluster.agents["k1"]
        for i in range(20):
            k1.ok("PUT", f"/v1/kv/a/{i}", str(i))
        s4, s5 = self.add(cluster, "s4"), self.add(cluster, "s5")
        wait_for("five voters", lambda: voters(k1) == ["s1", "s2", "s3", "s4", "s5"], PATIENCE * 2)
        wait_for("all to be healthy", lambda: self.healthy(k1))
        wait_for("two to spare", lambda: k1.ok(
            "GET", "/v1/operator/autopilot/state").json()["FailureTolerance"] == 2)
        wait_for("all on the fifth", lambda: len(s5.ok(
            "GET", "/v1/kv/a/?keys&stale").json()) == 20)

        killed = [s for s in cluster.servers() if s is not cluster.leader()][0]
        killed.kill()
        wait_for("the dead one to be cleaned up", lambda: killed.name not in peers(k1), PATIENCE * 2)
        wait_for("it to be left", lambda: k1.members()[killed.name] == 3)
        self.assertEqual(len(voters(k1)), 4)
        k1.ok("PUT", "/v1/kv/a/after", "1")

        # It was away while it was removed: it starts over as a new server, by itself.
        killed.start()
        wait_for("it to be a voter again", lambda: killed.name in voters(k1), PATIENCE * 2)
        self.assertTrue(killed.running())
        self.assertTrue(os.path.isdir(os.path.join(killed.data, "removed", "consensus")))
        wait_for("it to have everything", lambda: killed.get(
            "/v1/kv/a/after?stale&raw").text == "1")
        self.assertTrue(s4.running())

    def test_leadership_is_given_away_and_the_leader_can_be_removed(self):
        cluster = self.start()
        leader = cluster.leader()
        others = [s for s in cluster.servers() if s is not leader]
        target = peers(leader)[others[0].name]["ID"]
        done = others[1].cli("operator", "raft", "transfer-leader", "-id", target, check=0)
        self.assertEqual(done.stdout, "Success\n")
        wait_for("the wanted one to lead", lambda: cluster.leader() is others[0])
        answer = leader.http("POST", "/v1/operator/raft/transfer-leader")
        self.assertEqual((answer.status, answer.json()), (200, {"Success": True}))

        leader = cluster.leader()
        others = [s for s in cluster.servers() if s is not leader]
        removed = others[0].cli("operator", "raft", "remove-peer",
                                f"-address={leader.address}:8300", check=0)
        self.assertEqual(removed.stdout, f'Removed peer with address "{leader.address}:8300"\n')
        wait_for("another one to lead",
                 lambda: others[0].leader() not in ("", f"{leader.address}:8300"))
        # It runs, so it comes back, but as a new server on another disk.
        wait_for("it to start over", lambda: "was removed from the cluster" in leader.log_text())
        wait_for("it to vote again", lambda: leader.name in voters(others[0]), PATIENCE * 2)
        self.assertTrue(leader.running())

    def test_what_cannot_be_is_refused_in_words(self):
        cluster = self.start(servers=1, clients=1)
        s1, k1 = cluster.agents["s1"], cluster.agents["k1"]
        for path, status, text in (
                ("", 400, "Bad request: Must specify either ?id with the server's ID or ?address "
                          "with IP:port of peer to remove"),
                ("?id=a&address=b", 400, "Bad request: Must specify only one of ?id or ?address"),
                ("?address=nope", 500, 'address "nope" was not found in the Raft configuration'),
                ("?id=abc", 500, 'id "abc" was not found in the Raft configuration'),
                (f"?address={s1.address}:8300", 500,
                 "Need at least one voter in configuration: {[]}")):
            answer = k1.http("DELETE", "/v1/operator/raft/peer" + path)
            self.assertEqual((answer.status, answer.text), (status, text))
        gone = k1.cli("operator", "raft", "remove-peer", "-address=x")
        self.assertEqual((gone.returncode, gone.stderr),
                         (1, "Error removing peer: Unexpected response code: 500 (address \"x\" was "
                             "not found in the Raft configuration)\n"))
        self.assertEqual(k1.cli("operator", "raft", "remove-peer").returncode, 1)
        alone = k1.cli("operator", "raft", "transfer-leader")
        self.assertEqual(alone.returncode, 1)
        self.assertIn("no other voter is fit to lead", alone.stderr)
        (only,) = peers(s1).values()
        itself = k1.cli("operator", "raft", "transfer-leader", "-id", only["ID"])
        self.assertEqual((itself.returncode, itself.stderr), (
            1, "Error transfering leadership: Unexpected response code: 500 (id \"%s\" cannot take "
               "over: it leads already)\n" % only["ID"]))

    def test_servers_that_leave_are_out_at_once_down_to_the_last(self):
        cluster = self.start()
        for left in (2, 1):
            leader = cluster.leader()
            self.assertEqual(leader.ok("PUT", "/v1/agent/leave").body, b"")
            self.assertEqual(leader.wait(), 0)
            rest = [s for s in cluster.servers() if s.running()]
            wait_for(f"{left} voters", lambda r=rest[0], n=left: len(voters(r)) == n)
            rest[0].ok("PUT", f"/v1/kv/left/{left}", "1")
        # One that left and comes back is a new server.
        last = next(s for s in cluster.servers() if s.running())
        back = next(s for s in cluster.servers() if not s.running())
        back.start()
        wait_for("it to be a voter again", lambda: back.name in voters(last), PATIENCE * 2)

    def test_who_left_forms_no_other_cluster(self):
        """Enough of them for one come back while the one that stayed is away: they wait for it."""
        cluster = self.start()
        s1 = cluster.agents["s1"]
        self.add(cluster, "s4", "-bootstrap-expect", "3")
        wait_for("four voters", lambda: len(voters(s1)) == 4, PATIENCE * 2)
        s1.ok("PUT", "/v1/kv/precious", "1")
        left = [s for s in cluster.servers() if s is not s1]
        for one in left:
            one.ok("PUT", "/v1/agent/leave")
            self.assertEqual(one.wait(), 0)
            wait_for("it to be out", lambda n=one.name: n not in peers(s1))
        s1.kill()
        for one in left:
            one.start()
        for one in left:
            wait_for("it to say what it waits for", lambda o=one: "belonged to a cluster: waits to be "
                     "added to it again" in o.log_text())
            wait_for("them to see each other", lambda o=one: list(
                o.members().values()).count(1) == 3)
            self.assertEqual(one.get("/v1/status/leader").text, '""')
        s1.start()
        wait_for("four voters again", lambda: len(voters(s1)) == 4, PATIENCE * 3)
        for one in left:
            wait_for("what was kept", lambda o=one: o.get("/v1/kv/precious?stale&raw").text == "1")

    def test_one_that_shall_begin_a_cluster_joins_the_one_that_lives(self):
        cluster = self.start()
        s1 = cluster.agents["s1"]
        s1.ok("PUT", "/v1/kv/precious", "1")
        s4 = self.add(cluster, "s4", "-bootstrap")
        wait_for("it to be a voter", lambda: "s4" in voters(s1), PATIENCE * 2)
        wait_for("what the cluster has", lambda: s4.get("/v1/kv/precious?raw").text == "1")
        self.assertEqual(len(voters(s4)), 4)

    def test_one_that_was_away_while_all_changed_is_taken_in_again(self):
        cluster = self.start()
        leader = cluster.leader()
        away, replaced = [s for s in cluster.servers() if s is not leader]
        away.kill()
        wait_for("it to be cleaned up", lambda: away.name not in peers(leader), PATIENCE * 2)
        fourth = self.add(cluster, "s4")
        wait_for("the fourth to vote", lambda: "s4" in voters(leader), PATIENCE * 2)
        self.assertEqual(replaced.ok("PUT", "/v1/agent/leave").body, b"")
        self.assertEqual(replaced.wait(), 0)
        wait_for("the other to be out", lambda: replaced.name not in peers(leader))
        # Of all it knew only one is left: not enough for consensus to believe that it was removed.
        away.start()
        wait_for("it to be a voter", lambda: away.name in voters(fourth), PATIENCE * 3)

    def test_a_server_whose_disk_was_emptied_is_replaced(self):
        cluster = self.start()
        victim = [s for s in cluster.servers() if s is not cluster.leader()][0]
        s1 = next(s for s in cluster.servers() if s is not victim)
        s1.ok("PUT", "/v1/kv/a", "1")
        before = peers(s1)[victim.name]["ID"]
        victim.kill()
        for folder in ("consensus", "state"): # the id stays: the same server on another disk
            shutil.rmtree(os.path.join(victim.data, folder))
        victim.start()
        wait_for("it to be a voter with another disk",
                 lambda: victim.name in voters(s1) and self.healthy(s1), PATIENCE * 2)
        self.assertEqual(peers(s1)[victim.name]["ID"], before)
        victim.kill()
        shutil.rmtree(victim.data) # and now as another server of the same name
        victim.start()
        wait_for("the new one to be a voter, and the old one out",
                 lambda: len(peers(s1)) == 3 and victim.name in voters(s1)
                 and peers(s1)[victim.name]["ID"] != before, PATIENCE * 3)
        wait_for("everything on it", lambda: victim.get("/v1/kv/a?stale&raw").text == "1")


if __name__ == "__main__":
    main()
