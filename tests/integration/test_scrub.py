"""What rots on a disk where nobody reads is found by the server itself, and goes: of the log by
dropping what the state has, of the state by making it anew. Nobody who writes notices."""

import os
import re
import unittest

from cluster import flip, main, wait_for
from test_rebuild import ANEW, PAGE, VALUE, Rebuilds

# Passes only when they are asked for.
OPTIONS = ["-hcl", "scrub { interval = \"0s\" bytes_per_second = 1073741824 }",
           "-hcl", "telemetry { prometheus_retention_time = \"1h\" }",
           "-hcl", "autopilot { cleanup_dead_servers = false }"]


class Scrubs(Rebuilds):
    def formed(self, servers=3, args=()):
        return super().formed(servers, [*OPTIONS, *args])

    def scrub(self, server):
        return server.ok("GET", "/v1/operator/scrub").json()

    def passed(self, server):
        """One more pass, to its end."""
        before = self.scrub(server)["Passes"]
        server.ok("PUT", "/v1/operator/scrub")
        wait_for("the pass", lambda: self.scrub(server)["Passes"] > before)
        return self.scrub(server)

    def filled(self, server):
        for i in range(150):
            server.ok("PUT", f"/v1/kv/big/{i}", VALUE[i:])
            server.ok("PUT", f"/v1/kv/k{i}", f"value {i}")

    def metrics(self, server):
        return server.ok("GET", "/v1/agent/metrics?format=prometheus").text

    def test_nothing_is_found_where_nothing_is_wrong(self):
        cluster = self.formed()
        leader = cluster.leader()
        self.filled(leader)
        for server in cluster.servers():
            seen = self.passed(server)
            self.assertEqual((seen["Damages"], seen["Found"], seen["Error"]), (0, "", ""))
            self.assertGreater(seen["Bytes"], 150 * len(VALUE))
            self.assertEqual(seen["NextPass"], "")
            self.assertFalse(seen["Running"] or seen["Shedding"])
            self.assertRegex(self.metrics(server), r"(?m)^consul_scrub_passes 1$")
            self.assertRegex(self.metrics(server), r"(?m)^consul_scrub_damages 0$")
            stats = server.ok("GET", "/v1/agent/self").json()["Stats"]["scrub"]
            self.assertEqual((stats["passes"], stats["damages"], stats["running"]),
                             ("1", "0", "false"))
        out = leader.cli("operator", "scrub", check=0).stdout
        self.assertRegex(out, r"(?m)^Passes: +1$")
        self.assertRegex(out, r"(?m)^Next Pass: +when asked for$")
        leader.cli("operator", "scrub", "-now", check=0)
        wait_for("the pass", lambda: self.scrub(leader)["Passes"] == 2)

    def test_by_itself_and_over_restarts(self):
        cluster = self.formed(1, ["-hcl", "scrub { interval = \"2s\" }"])
        server = cluster.agents["s1"]
        wait_for("a second pass", lambda: self.scrub(server)["Passes"] >= 2)
        self.assertNotEqual(self.scrub(server)["LastPass"], "")
        server.terminate()
        server.args += ["-hcl", "scrub { interval = \"100h\" }"]
        server.start()
        seen = wait_for("it to be back", lambda: self.scrub(server))
        self.assertEqual(seen["Passes"], 0)
        self.assertNotEqual(seen["LastPass"], "")  # it is remembered
        self.assertGreater(seen["NextPass"], seen["LastPass"])

    def damage_in_the_log(self, server, segment, offset):
        """Found, told, and gone; the server goes on as if nothing had been."""
        paths = server.segments()
        path = paths[segment]
        flip(path, offset)
        seen = self.passed(server)
        self.assertEqual(seen["Damages"], 1)
        self.assertRegex(seen["Found"], re.escape(path) + r" at byte \d+: ")
        wait_for("the segment to go", lambda: path not in server.segments())
        wait_for("it to be told", lambda: not self.scrub(server)["Shedding"])
        self.assertIn("The damaged segment has left the log", server.log_text())
        self.assertTrue(self.has_all(server))
        self.assertEqual(self.passed(server)["Damages"], 1)
        self.assertRegex(self.metrics(server), r"(?m)^consul_scrub_damages 1$")

    def written_into(self, server):
        """Where a value stands in the newest segment; None, and one more is on its way: nowhere."""
        end = VALUE[-64:]
        with open(server.segments()[-1], "rb") as f:
            at = f.read().find(end)
        if at < 0:
            server.ok("PUT", "/v1/kv/big/0", VALUE)
        return at if at >= 0 else None

    def test_damage_in_a_segment_that_is_full(self):
        cluster = self.formed()
        leader = cluster.leader()
        self.filled(leader)
        victim = next(s for s in cluster.servers() if s is not leader)
        wait_for("its state", lambda: self.has_all(victim))
        self.damage_in_the_log(victim, 0, 5 * PAGE + 100)
        text = victim.log_text()
        self.assertNotIn("This server must stop", text)
        self.assertNotIn(ANEW, text)
        victim.kill()  # what is left of its log opens
        victim.start()
        wait_for("it to be back", lambda: self.has_all(victim))
        self.assertNotIn("The log was damaged", victim.log_text())

    def test_damage_in_the_segment_of_a_leader_that_is_written_to(self):
        cluster = self.formed()
        leader = cluster.leader()
        self.filled(leader)
        # A log that stood still when the segment began has little more than zeros in its first pages.
        at = wait_for("a value in the newest segment", lambda: self.written_into(leader))
        self.damage_in_the_log(leader, -1, at)
        self.assertIs(cluster.leader(), leader)
        for server in cluster.servers():
            wait_for("all of it", lambda s=server: self.has_all(s))

    def test_damage_in_the_head_of_the_only_log(self):
        # Such a server would not start again (test_damage).
        cluster = self.formed(1)
        server = cluster.agents["s1"]
        self.filled(server)
        self.damage_in_the_log(server, 0, 20)
        server.kill()
        server.start()
        wait_for("it to be back", lambda: self.has_all(server))

    def test_damage_in_the_state(self):
        cluster = self.formed(3, ["-hcl", "raft_trailing_logs = 5"])
        victim = self.spoilt(cluster)
        victim.ok("PUT", "/v1/operator/scrub")
        wait_for("its state", lambda: ANEW in victim.log_text() and self.has_all(victim))
        self.assertNotIn("a read met a damaged page", victim.log_text())
        self.assertTrue(victim.running())
        seen = self.passed(victim)
        self.assertEqual(seen["Damages"], 0)  # since then
        self.assertNotEqual(seen["LastDamage"], "")  # and that is remembered
        self.assertIn("state-1.db", seen["Found"])

    def test_rows_that_do_not_add_up(self):
        cluster = self.formed(3, ["-hcl", "raft_trailing_logs = 5"])
        leader = self.compacted(cluster)
        victim = next(s for s in cluster.servers() if s is not leader)
        path = self.settled(victim)
        self.forge(path, os.path.getsize(path) // PAGE // 2 * PAGE + 2000)  # in the middle of values
        self.starts_unaware(victim)
        victim.ok("PUT", "/v1/operator/scrub")
        wait_for("its state", lambda: ANEW in victim.log_text() and self.has_all(victim))
        self.assertIn("do not add up", victim.log_text())
        self.assertIn("adds_up=no", victim.log_text())

    def test_alone_it_is_told_and_the_server_goes_on(self):
        cluster = self.formed(1)
        server = cluster.agents["s1"]
        self.filled(server)
        self.spoil(self.settled(server), lambda count: [count // 2])
        server.start()
        wait_for("it to be back", lambda: server.get("/v1/kv/k149?raw").text == "value 149")
        seen = self.passed(server)
        self.assertEqual(seen["Damages"], 1)
        self.assertIn("there is no other server to have it from", server.log_text())
        self.assertEqual(server.ok("GET", "/v1/kv/k149?raw").text, "value 149")

    def test_through_a_client_agent_its_server_is_asked(self):
        cluster = self.cluster(1, 1, args=OPTIONS).start().wait_ready()
        self.passed(cluster.agents["k1"])
        self.assertEqual(self.scrub(cluster.agents["s1"])["Passes"], 1)


def load_tests(loader, tests, pattern):
    """Those of this file, and not again those it builds upon."""
    own = [name for name in vars(Scrubs) if name.startswith("test_")]
    return unittest.TestSuite(Scrubs(name) for name in own)


if __name__ == "__main__":
    main(at_once=4)
