"""How fast and how patient gossip is: Serf's settings for that have their effect, and all of it
changes while agents run."""

import json
import os
import signal
import time

from cluster import PATIENCE, Cluster, ClusterTest, main, wait_equal, wait_for
from test_serf_agent import SerfAgent, gossip_port

ALIVE, FAILED = 1, 4  # Serf's numbers
# Nothing is noticed within a test's patience.
SLOW = {"probe_interval": "1m", "probe_timeout": "50s", "suspicion_mult": 64}


class Timing(ClusterTest):
    """muster serf agent: reconnect_interval and its like."""

    def setUp(self):
        super().setUp()
        self.all = Cluster()
        self.all.port = gossip_port()
        self.clusters.append(self.all)

    def write(self, name, settings):
        path = os.path.join(self.all.dir, name + ".json")
        with open(path + ".new", "w") as f:
            json.dump(settings, f)
        os.rename(path + ".new", path)
        return path

    def agent(self, name, settings, *args):
        agent = SerfAgent(self.all, name, self.all.address(), False,
                          ["-config-file", self.write(name, settings), *args])
        self.all.agents[name] = agent
        self.start(agent)
        return agent

    def start(self, agent):
        agent.start()
        wait_for(f"{agent.name} to answer", lambda: agent.name in agent.rows())

    def see(self, status, who, *agents):
        for agent in agents:
            wait_equal(f"what {agent.name} says of {who}", status, lambda: agent.rows().get(who))

    def test_the_gone_are_forgotten_in_their_time(self):
        n1 = self.agent("n1", {"profile": "local", "reconnect_timeout": "2s",
                               "tombstone_timeout": "1s"})
        n2 = self.agent("n2", {"profile": "local", "start_join": [n1.address]})
        n3 = self.agent("n3", {"profile": "local", "start_join": [n1.address]})
        n4 = self.agent("n4", {"profile": "local", "start_join": [n1.address]})
        for agent in (n1, n2):
            wait_for("all to see all", lambda: set(agent.rows().values()) == {"alive"} and
                     len(agent.rows()) == 4)
        n3.kill()
        self.see("failed", "n3", n2)
        self.assertEqual(n4.terminate(signal.SIGINT), 0)
        self.see("left", "n4", n2)
        wait_equal("n1's members", {"n1": "alive", "n2": "alive"}, n1.rows)
        for sentence in (f"serf: EventMemberFailed: n3 {n3.address}",
                         "serf: EventMemberReap: n3",
                         f"serf: EventMemberLeave: n4 {n4.address}",
                         "serf: EventMemberReap: n4"):
            self.assertIn(sentence, n1.log_text())
        self.assertEqual(n2.rows(), {"n1": "alive", "n2": "alive", "n3": "failed", "n4": "left"})
        self.assertNotIn("EventMemberReap", n2.log_text())

    def test_the_failed_are_tried_again_in_their_interval(self):
        n1 = self.agent("n1", {"profile": "local", "reconnect_interval": "300ms"})
        n2 = self.agent("n2", {"profile": "local"}, "-join", n1.address)
        self.see("alive", "n2", n1)
        n2.kill()
        self.see("failed", "n2", n1)
        n2.args = n2.args[:2]  # it asks nobody by itself
        self.start(n2)
        self.see("alive", "n2", n1)
        self.see("alive", "n1", n2)
        self.assertIn(f"serf: attempting reconnect to n2 {n2.address}:{self.all.port}",
                      n1.log_text())

    def test_who_leaves_waits_for_its_words_only_so_long(self):
        took = {}
        for name, patience in (("brief", "1s"), ("patient", "4s")):
            peer = self.agent(name + "-peer", {"profile": "wan"})
            agent = self.agent(name, {"profile": "wan", "broadcast_timeout": patience},
                               "-join", peer.address)
            self.see("alive", name, peer)
            peer.send(signal.SIGSTOP)  # its kernel takes connections, nobody confirms anything
            began = time.monotonic()
            self.assertEqual(agent.serf("leave")[0], 0)
            took[name] = time.monotonic() - began
            agent.wait()
            peer.send(signal.SIGCONT)
            peer.kill()
        self.assertGreaterEqual(took["patient"], 4)
        self.assertLess(took["brief"], took["patient"])

    def test_another_profile_while_it_runs(self):
        fast = {"profile": "local", "reconnect_timeout": "1s"}
        n1 = self.agent("n1", {"profile": "wan"})
        n2 = self.agent("n2", {"profile": "wan"}, "-join", n1.address)
        self.see("alive", "n2", n1)
        n2.send(signal.SIGSTOP)  # 4 times the patience: two minutes of wan
        try:
            wait_for("a suspicion", lambda: "Suspect n2 has failed" in n1.log_text())
            self.write("n1", {"profile": "nonsense"})
            n1.send(signal.SIGHUP)
            wait_for("a refusal", lambda: "Failed to reload configs" in n1.log_text())
            self.assertIn("Unknown profile: nonsense", n1.log_text())
            self.assertEqual(n1.rows()["n2"], "alive")
            self.write("n1", fast)
            n1.send(signal.SIGHUP)
            wait_for("the new times", lambda: "Gossip has other times" in n1.log_text())
            wait_equal("its members", {"n1": "alive"}, n1.rows, seconds=2 * PATIENCE)
            self.assertIn("serf: EventMemberReap: n2", n1.log_text())
        finally:
            n2.send(signal.SIGCONT)
        self.assertEqual(n1.log_text().count("Gossip has other times"), 1)


class Pool(ClusterTest):
    """Agents with a catalog: gossip_lan."""

    def test_reloaded(self):
        cluster = self.cluster(servers=1, clients=2)
        s1, k1, k2 = (cluster.agents[n] for n in ("s1", "k1", "k2"))
        path = os.path.join(cluster.dir, "gossip.json")

        def write(lan):
            with open(path + ".new", "w") as f:
                json.dump({"gossip_lan": lan}, f)
            os.rename(path + ".new", path)

        write(SLOW)
        for agent in (s1, k1, k2):
            agent.args += ["-config-file", path]
        cluster.start().wait_ready()
        wait_equal("members", {"s1": ALIVE, "k1": ALIVE, "k2": ALIVE}, s1.members)
        write({**SLOW, "probe_timeout": "1m"})
        out = s1.cli("reload", check=1).stderr
        self.assertIn("gossip_lan.probe_timeout must be shorter than gossip_lan.probe_interval",
                      out)
        k2.kill()
        self.assertEqual(s1.members()["k2"], ALIVE)
        write({"push_pull_interval": "5s", "indirect_checks": 2, "awareness_max": 4})
        out = s1.cli("reload", check=0)
        self.assertEqual(out.stderr, "")  # nothing needs a restart
        wait_equal("the failure", FAILED, lambda: s1.members()["k2"])
        self.assertIn("Gossip has other times: probe_interval_ms=500 probe_timeout_ms=250",
                      s1.log_text())


if __name__ == "__main__":
    main()
