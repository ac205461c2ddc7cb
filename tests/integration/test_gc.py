"""What is going to be forgotten, when and by which rule, shown before; and forgotten when said."""

from cluster import PATIENCE, ClusterTest, main, wait_equal, wait_for

ALIVE, LEFT, FAILED = 1, 3, 4  # Serf's numbers
HOUR_MS = 3600 * 1000


def listed(agent):
    answer = agent.ok("GET", "/v1/operator/gc").json()
    return {(e["Node"], e["From"]): e for e in answer["Entries"]}, answer


def rules(agent):
    return {key: e["Rule"] for key, e in listed(agent)[0].items()}


def ghost(agent, name):
    """A node that says it has a member, and none is there: left over from another life."""
    agent.ok("PUT", "/v1/catalog/register",
             {"Node": name, "Address": "192.0.2.7", "Service": {"Service": "web"},
              "Check": {"CheckID": "serfHealth", "Name": "Serf Health Status",
                        "Status": "passing"}})


class Gc(ClusterTest):
    def start(self, *settings, clients):
        cluster = self.cluster(servers=1, clients=clients)
        for agent in cluster.agents.values():
            agent.args += ["-hcl", " ".join(settings)]
        return cluster

    def test_shown_and_forgotten(self):
        cluster = self.start('reconcile { remove_failed_after = "1h" }', clients=4)
        s1, k1, k2, k3, k4 = (cluster.agents[n] for n in ("s1", "k1", "k2", "k3", "k4"))
        k2.args += ["-hcl", 'advertise_reconnect_timeout = "10m"']  # it is ephemeral
        k3.args += ["-hcl", "leave_on_terminate = true"]
        cluster.start().wait_ready()
        k1.ok("PUT", "/v1/agent/service/register",
              {"Name": "web", "Check": {"TTL": "1h", "Status": "passing"}})
        wait_for("its service", lambda: s1.get("/v1/catalog/service/web").json())
        k1.ok("PUT", "/v1/session/create", {"Name": "lock"})
        s1.ok("PUT", "/v1/catalog/register", {"Node": "printer", "Address": "192.0.2.9"})
        self.assertEqual(rules(k4), {})
        self.assertEqual(k4.cli("gc", "-dry-run", check=0).stdout,
                         "Nothing is going to be forgotten.\n")

        for agent in (k1, k2):
            agent.kill()
        k3.terminate()
        wait_equal("what goes, by which rule",
                   {("k1", "members"): "reconnect_timeout",
                    ("k1", "catalog"): "reconcile.remove_failed_after",
                    ("k2", "members"): "advertise_reconnect_timeout",
                    # The node goes with its member, and that goes sooner.
                    ("k2", "catalog"): "advertise_reconnect_timeout",
                    ("k3", "members"): "tombstone_timeout"}, lambda: rules(k4))
        entries, answer = listed(k4)
        self.assertEqual((answer["Leader"], answer["Paused"], answer["Total"]), ("s1", False, 5))
        times = [e["InMs"] for e in answer["Entries"]]
        self.assertEqual(times, sorted(times))
        for key, most in ((("k1", "members"), 72 * HOUR_MS), (("k1", "catalog"), HOUR_MS),
                          (("k2", "members"), HOUR_MS / 6), (("k2", "catalog"), HOUR_MS / 6),
                          (("k3", "members"), 24 * HOUR_MS)):
            self.assertTrue(most - 2 * PATIENCE * 1000 < entries[key]["InMs"] <= most, key)
        k1_node = entries["k1", "catalog"]
        self.assertEqual((k1_node["Status"], k1_node["Services"], k1_node["Checks"]),
                         ("failed", 1, 2))
        text = k4.cli("gc", "--dry-run", check=0).stdout
        self.assertRegex(text, r"(?m)^k1 +failed +catalog +(1h0m0s|59m\S+) +"
                         r"reconcile.remove_failed_after  services: 1, checks: 2, sessions: 0$")
        self.assertRegex(text, r"(?m)^k3 +left +members +(24h0m0s|23h59m\S+) +tombstone_timeout +-$")

        # Nothing has happened yet, and does not by a slip of the finger.
        for words in (["gc"], ["gc", "-dry-run", "-yes"], ["gc", "k1"]):
            self.assertEqual(k4.cli(*words).returncode, 1)
        self.assertEqual(k4.members(), {"s1": ALIVE, "k1": FAILED, "k2": FAILED, "k3": LEFT,
                                        "k4": ALIVE})
        self.assertEqual(k4.cli("gc", "-yes", check=0).stdout,
                         "Forgotten: 3 members with their nodes, 0 nodes that only the catalog "
                         "knew.\n")
        for agent in (s1, k4):
            wait_equal("members", {"s1": ALIVE, "k4": ALIVE}, agent.members)
        wait_equal("nodes", {"s1", "k4", "printer"}, lambda: set(s1.catalog_nodes()))
        self.assertEqual(rules(k4), {})
        k1.start()
        wait_for("one that lives to be taken again", lambda: "k1" in s1.catalog_nodes())
        # First it is leaving: the word that sent it away is younger than its own, until it hears it.
        wait_equal("its state", ALIVE, lambda: s1.members().get("k1"))

    def test_self_preservation_and_ghosts(self):
        cluster = self.start('reconcile { remove_failed_after = "1h" absent_after = "1h" }',
                             clients=4)
        cluster.start().wait_ready()
        s1 = cluster.agents["s1"]
        ghost(s1, "ghost")
        s1.terminate()  # its next office knows the ghost from the catalog alone
        s1.start()
        wait_for("the leader in office",
                 lambda: s1.leader() and s1.get("/v1/operator/gc").status == 200)
        wait_equal("all to be met again", {n: ALIVE for n in ("s1", "k1", "k2", "k3", "k4")},
                   s1.members)
        for name in ("k1", "k2", "k3"):
            cluster.agents[name].kill()
        wait_for("removal to pause", lambda: listed(s1)[1]["Paused"])
        entries = listed(s1)[0]
        self.assertEqual(entries["k1", "catalog"]["Rule"], "self-preservation")
        self.assertEqual((entries["ghost", "catalog"]["Rule"],
                          entries["ghost", "catalog"]["Status"]),
                         ("reconcile.absent_after", "absent"))
        self.assertGreater(entries["ghost", "catalog"]["InMs"], HOUR_MS)  # absent, then failed
        out = s1.cli("gc", "-dry-run", check=0).stdout
        self.assertIn("Removal is paused by self-preservation: 3 of 6 members are failed.\n", out)
        out = s1.cli("gc", "-yes", check=1).stderr
        self.assertIn("Self-preservation pauses removal: 3 of 6 members are failed", out)
        self.assertIn("-force does it all the same", out)
        self.assertEqual(set(s1.catalog_nodes()), {"s1", "k1", "k2", "k3", "k4", "ghost"})
        s1.cli("gc", "-yes", "-force", check=0)
        # The ghost stays: gossip may still meet it.
        wait_equal("nodes", {"s1", "k4", "ghost"}, lambda: set(s1.catalog_nodes()))
        self.assertEqual(set(rules(s1)), {("ghost", "catalog")})

    def test_ghosts_go(self):
        cluster = self.start('reconcile { remove_failed_after = "1h" absent_after = "1s" }',
                             clients=1)
        cluster.start().wait_ready()
        s1 = cluster.agents["s1"]
        ghost(s1, "ghost")
        s1.terminate()
        s1.start()
        wait_for("the leader in office",
                 lambda: s1.leader() and s1.get("/v1/operator/gc").status == 200)
        wait_equal("the ghost to count as failed", "reconcile.remove_failed_after",
                   lambda: rules(s1).get(("ghost", "catalog")))
        self.assertEqual(s1.cli("gc", "-yes", check=0).stdout,
                         "Forgotten: 0 members with their nodes, 1 nodes that only the catalog "
                         "knew.\n")
        wait_equal("nodes", {"s1", "k1"}, lambda: set(s1.catalog_nodes()))
        self.assertEqual(s1.get("/v1/catalog/service/web").json(), [])


if __name__ == "__main__":
    main()
