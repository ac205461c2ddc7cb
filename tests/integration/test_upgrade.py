"""Servers of two versions in one cluster: what only the newer one knows waits until all of them run it.

The newer version is muster with one kind of command, a transaction on nodes, that came with level 2,
and with it schema 7 of the state, a table that notes them (tests/next).
"""

import json
import os

from cluster import NEXT, PATIENCE, ClusterTest, main, wait_equal, wait_for

QUICK = ["-hcl", 'autopilot { server_stabilization_time = "1s" }']
NEWER = json.dumps([{"Node": {"Verb": "set", "Node": {"Node": "web", "Address": "10.0.0.1"}}}])
HELD = ["-hcl", "command_level_max = 1"]


def level(agent):
    raft = agent.ok("GET", "/v1/agent/self").json()["Stats"]["raft"]
    return int(raft["command_level"]), int(raft["command_level_max"])


def schema(agent):
    return int(agent.ok("GET", "/v1/agent/self").json()["Stats"]["raft"]["state_schema"])


def newer(agent):
    """Its answer to what needs level 2."""
    return agent.put("/v1/txn", NEWER)


def works(agent):
    agent.ok("PUT", "/v1/kv/a", "1")


class Upgrade(ClusterTest):
    def start(self, program=None, args=()):
        cluster = self.cluster(servers=3, clients=0, args=[*QUICK, *args])
        for agent in cluster.agents.values():
            agent.program = program or agent.program
        return cluster.start().wait_ready()

    def start_over(self, cluster, agent, program=None, args=None):
        """One server is stopped and started again; the cluster has it back when this returns."""
        agent.terminate()
        agent.program = program or agent.program
        agent.args = agent.args if args is None else args
        agent.start()
        wait_for(f"{agent.name} to answer", agent.leader)
        leader = cluster.leader()
        wait_for(f"{agent.name} to be healthy", lambda: all(
            s["Healthy"] for s in cluster.leader().get(
                "/v1/operator/autopilot/health").json()["Servers"]), PATIENCE * 2)
        works(leader)

    def levels(self, cluster):
        """What each server said, as the leader shows it."""
        health = cluster.leader().get("/v1/operator/autopilot/health").json()
        return sorted((s["Name"], s["CommandLevel"]) for s in health["Servers"])

    def test_a_rolling_upgrade(self):
        cluster = self.start()
        s1, s2, s3 = cluster.servers()
        self.assertEqual(level(s1), (1, 1))
        self.start_over(cluster, s1, NEXT)
        self.assertEqual(level(s1), (1, 2))
        self.start_over(cluster, s2, NEXT)
        self.assertEqual([schema(s) for s in (s1, s2, s3)], [6, 6, 6])
        wait_equal("what they said", [("s1", 2), ("s2", 2), ("s3", 1)],
                   lambda: self.levels(cluster))
        if cluster.leader() is s3:
            s3.cli("operator", "raft", "transfer-leader", check=0)
            wait_for("a leader of the newer version", lambda: cluster.leader() is not s3)
        # Whoever is asked says why not; everything else goes on.
        for agent in (s1, s2):
            refused = newer(agent)
            self.assertEqual((refused.status, refused.text), (
                500, "command 'txn-catalog' needs level 2 of the cluster, which is at 1: server "
                     "'s3' understands up to 1"))
            works(agent)
        doctor = s1.cli("doctor")
        self.assertIn("level: commands of level 2 are not in use yet: server s3 understands up to "
                      "level 1", doctor.stdout)
        # The way back is open.
        back = s1 if cluster.leader() is not s1 else s2
        program = s3.program
        self.start_over(cluster, back, program)
        self.assertEqual(level(back), (1, 1))
        self.start_over(cluster, back, NEXT)
        # The last one: nobody has to say so.
        self.start_over(cluster, s3, NEXT)
        for agent in cluster.servers():
            wait_equal(f"the level of {agent.name}", (2, 2), lambda: level(agent))
            self.assertEqual(newer(agent).status, 200, newer(agent).text)
            wait_equal(f"the schema of {agent.name}", 7, lambda: schema(agent))
        self.must_be_alike(cluster)
        self.assertNotIn("level:", s1.cli("doctor").stdout)
        # And shut: an older one says so and stops, and what it has is as it was.
        s2.terminate()
        s2.program = program
        self.assertNotEqual(s2.start().wait(), 0)
        self.assertIn("/state/state-1.db: schema version 7 is newer than 6, which this binary knows: a "
                      "newer version of muster wrote it; nothing was changed, start that version, or "
                      "a newer one", s2.log_text())
        refused = s2.cli("consensus", "recover", "-data-dir", s2.data, "-force", "-yes")
        self.assertEqual(refused.returncode, 1)
        self.assertIn("schema version 7 is newer than 6", refused.stderr)
        self.assertNotIn("damaged", refused.stderr)
        s2.program = NEXT
        s2.start()
        wait_for("the newer version to go on", s2.leader)
        wait_for("it to have everything", lambda: s2.get("/v1/catalog/node/web?stale").json())
        self.assertEqual(schema(s2), 7)
        self.must_be_alike(cluster)

    def must_be_alike(self, cluster):
        """All rows of all tables, those of the newer version included."""
        def states():
            raft = [s.ok("GET", "/v1/agent/self").json()["Stats"]["raft"]
                    for s in cluster.servers()]
            return {(r["applied_index"], r["state_hash"]) for r in raft}
        wait_equal("the number of different states", 1, lambda: len(states()))

    def test_killed_while_the_level_rises(self):
        """Each server at a moment of its own: it has the old schema or the new one, and goes on."""
        cluster = self.start(NEXT, HELD)
        servers = cluster.servers()
        for agent in servers[:2]:
            self.start_over(cluster, agent, args=without(agent.args, HELD))
        last = servers[2]
        last.terminate()
        last.args = without(last.args, HELD)
        last.start()
        wait_for("a leader that knows the level", lambda: any(
            "every server understands commands of level 2" in s.log_text() for s in servers))
        for agent in servers:
            agent.kill()
        for agent in servers:
            agent.start()
        for agent in servers:
            wait_equal(f"the schema of {agent.name}", 7, lambda: schema(agent))
            wait_equal(f"the level of {agent.name}", (2, 2), lambda: level(agent))
        wait_equal("what is new", 200, lambda: newer(servers[0]).status)
        self.must_be_alike(cluster)

    def test_an_older_server_is_not_taken_in(self):
        cluster = self.start(NEXT)
        for agent in cluster.servers():
            wait_equal(f"the level of {agent.name}", (2, 2), lambda: level(agent))
        leader = cluster.leader()
        joins = [word for s in cluster.servers() for word in ("-retry-join", s.address)]
        s4 = cluster.add("s4", True, [*joins, *QUICK]).start()
        wait_for("the leader to say why", lambda: "A new server is not taken in" in leader.log_text()
                 and "s4 understands commands up to level 1, the cluster uses level 2"
                 in leader.log_text())
        peers = leader.ok("GET", "/v1/operator/raft/configuration").json()["Servers"]
        self.assertEqual(sorted(s["Node"] for s in peers), ["s1", "s2", "s3"])
        s4.terminate()
        s4.program = NEXT
        s4.start()
        wait_for("it to be a voter", lambda: "s4" in [s["Node"] for s in leader.ok(
            "GET", "/v1/operator/raft/configuration").json()["Servers"] if s["Voter"]], PATIENCE * 2)

    def test_a_snapshot_brings_the_schema(self):
        """A new server begins with the first one, and what it is sent has rows of a later one."""
        short = ["-hcl", "raft_trailing_logs = 5"]
        cluster = self.start(NEXT, short)
        servers = cluster.servers()
        for agent in servers:
            wait_equal(f"the schema of {agent.name}", 7, lambda: schema(agent))
        leader = cluster.leader()
        self.assertEqual(newer(leader).status, 200)
        value = os.urandom(200 * 1024)
        for i in range(180):  # more than a segment of the log
            leader.ok("PUT", f"/v1/kv/big/{i}", value[i:])
        wait_for("the leader's log to be compacted",
                 lambda: int(leader.ok("GET", "/v1/agent/self").json()
                             ["Stats"]["raft"]["last_snapshot_index"]) > 180)
        joins = [word for s in servers for word in ("-retry-join", s.address)]
        s4 = cluster.add("s4", True, [*joins, *QUICK, *short])
        s4.program = NEXT
        s4.start()
        wait_for("an install", lambda: "Installed a snapshot" in s4.log_text())
        self.assertEqual(schema(s4), 7)
        self.must_be_alike(cluster)

    def test_a_level_that_is_held_down(self):
        cluster = self.start(NEXT, HELD)
        servers = cluster.servers()
        self.assertEqual([level(s) for s in servers], [(1, 1)] * 3)
        self.assertEqual([schema(s) for s in servers], [6] * 3)
        self.assertIn("needs level 2", newer(servers[0]).text)
        for agent in servers:
            wait_equal("what is refused", 500, lambda: newer(agent).status)
            self.start_over(cluster, agent, args=without(agent.args, HELD))
        for agent in servers:
            wait_equal(f"the level of {agent.name}", (2, 2), lambda: level(agent))
            self.assertEqual(newer(agent).status, 200)
        # It does not go back, whatever one server is told.
        agent = servers[0]
        agent.terminate()
        agent.args = agent.args + HELD
        self.assertNotEqual(agent.start().wait(), 0)
        self.assertIn("command_level_max is 1", agent.log_text())


def without(words, some):
    """The words without those, which follow one another."""
    for i in range(len(words) - len(some) + 1):
        if words[i:i + len(some)] == some:
            return words[:i] + words[i + len(some):]
    raise AssertionError(f"{some} is not in {words}")


if __name__ == "__main__":
    main()
