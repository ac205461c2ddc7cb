"""Consul's events: fired anywhere, listed by the agents that are meant, by curl, python3-consul and
muster event."""

import base64
import subprocess
import sys
import threading

sys.path.append("/usr/lib/python3/dist-packages")

import consul  # noqa: E402  python3-consul

from cluster import PATIENCE, ClusterTest, main, wait_for  # noqa: E402


def names(agent, more=""):
    return [e["Name"] for e in agent.get(f"/v1/event/list{more}").json()]


class Events(ClusterTest):
    def setUp(self):
        super().setUp()
        self.all = self.cluster(servers=1, clients=2)
        self.all.start().wait_ready()
        self.s1, self.k1, self.k2 = (self.all.agents[n] for n in ("s1", "k1", "k2"))
        for agent in self.all.agents.values():
            wait_for(f"{agent.name} to see three members", lambda a=agent: len(a.members()) == 3)

    def curl(self, agent, path, *options):
        run = subprocess.run(["curl", "-sS", *options, f"http://{agent.address}:8500{path}"],
                             capture_output=True, text=True, timeout=PATIENCE, check=True)
        return run.stdout

    def test_everybody_hears(self):
        fired = self.k1.put("/v1/event/fire/deploy", b"hello").json()
        self.assertEqual((fired["Name"], fired["Version"], fired["LTime"]), ("deploy", 1, 0))
        self.assertEqual(base64.b64decode(fired["Payload"]), b"hello")
        for agent in self.all.agents.values():
            wait_for(f"{agent.name} to hear it", lambda a=agent: names(a) == ["deploy"])
            event = agent.get("/v1/event/list").json()[0]
            self.assertEqual(event["ID"], fired["ID"])
            self.assertGreater(event["LTime"], 0)
        out = self.curl(self.k2, "/v1/event/list?name=deploy", "-i")
        bits = fired["ID"].replace("-", "")
        index = int(bits[:16], 16) ^ int(bits[16:], 16)
        self.assertIn(f"X-Consul-Index: {index}\n", out)
        self.assertNotIn("Knownleader", out)

    def test_filters(self):
        self.k1.ok("PUT", "/v1/agent/service/register",
                   {"Name": "web", "ID": "web-7", "Tags": ["blue"]})
        for query, meant in (("node=k[12]", {"k1", "k2"}), ("service=^web-7$", {"k1"}),
                             ("service=web&tag=bl.e", {"k1"}), ("service=web&tag=red", set()),
                             ("service=^web$", set())):
            name = "e" + str(abs(hash(query)))
            self.s1.ok("PUT", f"/v1/event/fire/{name}?{query}")
            self.s1.ok("PUT", f"/v1/event/fire/end-{name}")
            for agent in self.all.agents.values():
                wait_for("the event that follows", lambda a=agent: f"end-{name}" in names(a))
            heard = lambda: {a.name for a in self.all.agents.values() if name in names(a)}
            if meant:  # events come in no order
                wait_for(f"{query} to reach {meant}", lambda: heard() >= meant)
            self.assertEqual(heard(), meant, query)

    def test_blocking(self):
        client = consul.Consul(host=self.k2.address)
        index, events = client.event.list()
        self.assertEqual((index, events), ("1", []))
        answers = []
        waiter = threading.Thread(target=lambda: answers.append(
            client.event.list(name="wake", index=index, wait="30s")))
        waiter.start()
        self.assertTrue(self.s1.put("/v1/event/fire/other").json()["ID"])
        wait_for("the other event", lambda: names(self.k2) == ["other"])
        self.assertEqual(answers, [])  # it does not count for ?name=wake
        self.assertTrue(consul.Consul(host=self.s1.address).event.fire("wake", "up")["ID"])
        waiter.join(PATIENCE)
        self.assertEqual([e["Name"] for e in answers[0][1]], ["wake"])
        self.assertEqual(answers[0][1][0]["Payload"], b"up")

    def test_ring(self):
        for i in range(300):
            self.k1.ok("PUT", f"/v1/event/fire/n{i}")
        self.assertEqual(names(self.k1), [f"n{i}" for i in range(44, 300)])

    def test_command(self):
        out = self.k1.cli("event", "-name=cli", "-node", "k", "pay", check=0)
        self.assertRegex(out.stdout, r"^Event ID: [0-9a-f-]{36}\n$")
        wait_for("the event", lambda: names(self.k2) == ["cli"])
        refused = self.k1.cli("event")
        self.assertEqual((refused.returncode, refused.stderr), (1, "Event name must be specified\n"))
        refused = self.k1.cli("event", "-name=x", "-node=(")
        self.assertIn("Invalid node filter: error parsing regexp", refused.stderr)

    def test_serf_is_apart(self):
        """Events of the serf command are not listed among those of Consul."""
        serf = ["serf", "event", "-rpc-addr", f"{self.k1.address}:7373", "serfs"]
        subprocess.run(serf, check=True, capture_output=True, timeout=PATIENCE)
        self.k1.ok("PUT", "/v1/event/fire/consuls")
        wait_for("the event", lambda: names(self.k2) == ["consuls"])


if __name__ == "__main__":
    main()
