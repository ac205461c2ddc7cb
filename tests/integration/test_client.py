"""A client of Consul's, python3-consul, at everyday work through a client agent: what its calls return
is what they return for Consul."""

import sys
import threading

from cluster import PATIENCE, ClusterTest, main, wait_for

# Where Debian keeps the packages of its own python3, whichever one runs this.
sys.path.append("/usr/lib/python3/dist-packages")
import consul  # noqa: E402  python3-consul


class Client(ClusterTest):
    def setUp(self):
        super().setUp()
        self.all = self.cluster(servers=1, clients=1)
        self.all.start().wait_ready()
        self.k1 = self.all.agents["k1"]
        self.here = consul.Consul(self.k1.address)
        self.there = consul.Consul(self.all.agents["s1"].address)

    def test_keys(self):
        kv = self.here.kv
        self.assertTrue(kv.put("a/b", "v", flags=3))
        index, row = kv.get("a/b")
        self.assertEqual((row["Value"], row["Flags"], str(row["ModifyIndex"])), (b"v", 3, index))
        self.assertEqual(kv.get("a/", keys=True)[1], ["a/b"])
        self.assertEqual([r["Key"] for r in kv.get("a", recurse=True)[1]], ["a/b"])
        self.assertIsNone(kv.get("none")[1])
        self.assertFalse(kv.put("a/b", "w", cas=1))
        self.assertTrue(kv.put("a/b", "w", cas=row["ModifyIndex"]))
        self.assertFalse(kv.delete("a/b", cas=row["ModifyIndex"]))
        self.assertTrue(kv.delete("a/", recurse=True))
        # A watch of a key that is not there yet.
        index, _ = kv.get("watched")
        seen = []
        thread = threading.Thread(
            target=lambda: seen.append(kv.get("watched", index=index, wait="60s")[1]), daemon=True)
        thread.start()
        self.there.kv.put("watched", "now")
        thread.join(PATIENCE)
        self.assertEqual([row["Value"] for row in seen], [b"now"])

    def test_sessions(self):
        who = self.here.session.create("me", ttl=10, behavior="delete", lock_delay=0)
        self.assertTrue(self.here.kv.put("lock", "x", acquire=who))
        other = self.there.session.create(ttl=10)
        self.assertFalse(self.there.kv.put("lock", "y", acquire=other))
        self.assertEqual(self.here.session.info(who)[1]["TTL"], "10s")
        self.assertEqual([s["ID"] for s in self.here.session.node("k1")[1]], [who])
        self.assertEqual({s["ID"] for s in self.here.session.list()[1]}, {who, other})
        self.assertEqual(self.here.session.renew(who)["ID"], who)
        self.assertTrue(self.here.session.destroy(who))
        self.assertIsNone(self.here.kv.get("lock")[1])
        with self.assertRaises(consul.NotFound):
            self.here.session.renew(who)

    def test_services(self):
        agent, health = self.here.agent, self.here.health
        self.assertTrue(agent.service.register("web", service_id="w1", address="10.0.0.1", port=80,
                                               tags=["a"], check=consul.Check.ttl("30s")))
        self.assertEqual(agent.services()["w1"]["Port"], 80)
        self.assertEqual(agent.checks()["service:w1"]["Status"], "critical")
        self.k1.ok("PUT", "/v1/agent/check/pass/service:w1")  # this client says GET, as before 1.0
        wait_for("it to be healthy", lambda: health.service("web", passing=True, tag="a")[1])
        (entry,) = health.service("web", passing=True, near="_agent")[1]
        self.assertEqual((entry["Node"]["Node"], entry["Service"]["ID"]), ("k1", "w1"))
        self.assertEqual([c["CheckID"] for c in health.checks("web")[1]], ["service:w1"])
        self.assertTrue(agent.service.maintenance("w1", True, "soon back"))
        wait_for("it to be gone", lambda: not health.service("web", passing=True)[1])
        self.assertEqual([c["Notes"] for c in health.state("critical")[1]], ["soon back"])
        self.assertTrue(agent.service.maintenance("w1", False))
        self.k1.ok("PUT", "/v1/agent/service/deregister/w1")  # the same
        wait_for("it to leave", lambda: "web" not in self.here.catalog.services()[1])

    def test_the_catalog(self):
        catalog = self.here.catalog
        self.assertTrue(catalog.register(
            "ext", "10.0.0.9", service={"service": "db", "id": "db1", "port": 5432},
            check={"Node": "ext", "Name": "alive", "Status": "passing"}))
        self.assertIn("ext", [n["Node"] for n in catalog.nodes()[1]])
        self.assertEqual(list(catalog.node("ext")[1]["Services"]), ["db1"])
        self.assertEqual([s["ServicePort"] for s in catalog.service("db")[1]], [5432])
        self.assertEqual(catalog.datacenters(), ["dc1"])
        self.assertTrue(catalog.deregister("ext"))
        self.assertIsNone(catalog.node("ext")[1])
        self.assertEqual(len(self.here.status.peers()), 1)
        self.assertEqual(self.here.status.leader(), self.here.status.peers()[0])
        self.assertEqual(sorted(m["Name"] for m in self.here.agent.members()), ["k1", "s1"])

    def test_events(self):
        fired = self.here.event.fire("deploy", "now")
        wait_for("it to be heard", lambda: self.here.event.list("deploy")[1])
        (heard,) = self.here.event.list("deploy")[1]
        self.assertEqual((heard["ID"], heard["Payload"]), (fired["ID"], b"now"))


if __name__ == "__main__":
    main()
