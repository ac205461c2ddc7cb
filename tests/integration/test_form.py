"""Clusters form in any order; services registered anywhere resolve everywhere."""

import os
import random
import re
import signal
import socket

from cluster import ClusterTest, main, wait_for


class Form(ClusterTest):
    def test_any_order_of_start(self):
        cluster = self.cluster(servers=3, clients=2)
        names = list(cluster.agents)
        random.shuffle(names)
        with self.subTest(order=names):
            cluster.start(names).wait_ready()
            for agent in cluster.agents.values():
                wait_for(f"{agent.name} to see five members alive",
                         lambda a=agent: sorted(a.members().values()) == [1] * 5)

    def test_who_expects_another_number_is_named(self):
        cluster = self.cluster(servers=3, clients=0)
        s1, s2, s3 = cluster.servers()
        s3.args[s3.args.index("-bootstrap-expect") + 1] = "2"
        cluster.start()
        wait_for("it to be named", lambda: re.search(
            r"\[ERROR\] agent.server: Member has a conflicting expect value. All nodes should expect "
            r"the same number.: member=s3 expects=2 here=3\n", s1.log_text()))
        wait_for("the doctor to say why", lambda: "there is no cluster yet: another server has a "
                 "different bootstrap_expect" in s2.cli("doctor").stdout)

    def test_register_on_each_and_resolve_on_every_agent(self):
        cluster = self.cluster(servers=3, clients=2)
        cluster.start().wait_ready()
        for i, agent in enumerate(cluster.agents.values()):
            agent.ok("PUT", "/v1/agent/service/register",
                     {"Name": "web", "ID": f"web-{agent.name}", "Port": 8000 + i,
                      "Tags": [agent.name], "Meta": {"where": agent.name},
                      "Check": {"TTL": "1h", "Status": "passing"}})
        addresses = sorted(a.address for a in cluster.agents.values())
        for agent in cluster.agents.values():
            wait_for(f"{agent.name} to resolve five instances",
                     lambda a=agent: a.dig("web.service.consul", "A", "+bufsize=1232") == addresses)
            self.assertEqual(agent.dig("k1.web.service.consul"),
                             [cluster.agents["k1"].address])
            srv = agent.dig("_web._s2.service.consul", "SRV")
            self.assertEqual(srv, ["1 1 8001 s2.node.dc1.consul."])
            self.assertEqual(agent.dig("s3.node.muster"), [cluster.agents["s3"].address])
            health = agent.ok("GET", "/v1/health/service/web?passing").json()
            self.assertEqual([e["Service"]["ID"] for e in health],
                             sorted(f"web-{n}" for n in cluster.agents))
        # A critical check leaves DNS everywhere.
        cluster.agents["k1"].ok("PUT", "/v1/agent/check/fail/service:web-k1")
        rest = sorted(a.address for a in cluster.agents.values() if a.name != "k1")
        for agent in cluster.agents.values():
            wait_for(f"{agent.name} to drop the failed instance",
                     lambda a=agent: a.dig("web.service.consul", "A", "+bufsize=1232") == rest)

    def test_a_single_dev_agent_needs_nothing(self):
        cluster = self.cluster()
        agent = cluster.add("solo", False, ["-dev"])
        named = agent.command()
        at = named.index("-data-dir")
        agent.command = lambda: named[:at] + named[at + 2:]

        def made():
            return {name for name in os.listdir(cluster.dir) if name.startswith("muster-dev-")}

        def started():
            agent.start()
            wait_for("a leader", agent.leader)
            return made()

        first = started()
        self.assertEqual(len(first), 1)
        agent.ok("PUT", "/v1/kv/a/b", "one")
        self.assertEqual(agent.ok("GET", "/v1/kv/a/b?raw").text, "one")
        self.assertEqual(agent.terminate(), 1)
        self.assertEqual(made(), set())
        killed = started()
        agent.kill()
        self.assertEqual(made(), killed)
        last = started()  # which removes what the one before it could not
        self.assertEqual((len(last), last & killed), (1, set()))
        self.assertEqual(agent.terminate(signal.SIGTERM), 1)
        with socket.create_server((agent.address, 8301)):
            agent.start()
            self.assertEqual(agent.wait(), 1)
        self.assertIn("address already in use", agent.log_text())
        self.assertEqual(made(), set())


if __name__ == "__main__":
    main()
