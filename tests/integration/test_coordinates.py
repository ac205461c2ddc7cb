"""Where nodes are: from probes to the catalog, rtt, and the nearest first."""

import os
import re
import subprocess

from cluster import PATIENCE, ClusterTest, main, wait_for

# Told every fifth of a second instead of every 15 s; the leader still gathers for five.
OFTEN = ["-hcl", 'sync_coordinate_interval_min = "200ms"']
SERF = {k: v for k, v in os.environ.items() if not k.startswith("SERF_")}


def serf_rtt(agent, *names):
    run = subprocess.run(["serf", "rtt", "-rpc-addr", f"{agent.address}:7373", *names],
                         capture_output=True, text=True, timeout=PATIENCE, env=SERF)
    return run.returncode, run.stdout


def located(agent):
    return {c["Node"]: c["Coord"] for c in agent.ok("GET", "/v1/coordinate/nodes").json()}


class Coordinates(ClusterTest):
    def test_from_probes_to_rtt(self):
        cluster = self.cluster(servers=3, clients=1, args=OFTEN)
        cluster.start().wait_ready()
        s1, k1 = cluster.agents["s1"], cluster.agents["k1"]
        names = {"s1", "s2", "s3", "k1"}
        for agent in (s1, k1):
            wait_for(f"{agent.name} to see where all are",
                     lambda a=agent: set(located(a)) == names)
        index = k1.ok("GET", "/v1/coordinate/nodes").index
        s1.ok("PUT", "/v1/catalog/register", {"Node": "far", "Address": "10.1.1.1"})
        s1.ok("PUT", "/v1/coordinate/update",
              {"Node": "far", "Coord": {"Vec": [0.1, 0, 0, 0, 0, 0, 0, 0], "Error": 0.1,
                                        "Adjustment": 0, "Height": 0.00001}})
        woken = k1.ok("GET", f"/v1/coordinate/nodes?index={index}&wait={int(PATIENCE)}s")
        self.assertGreater(woken.index, index)
        for coord in located(k1).values():
            self.assertEqual(len(coord["Vec"]), 8)
            self.assertTrue(0 < coord["Error"] <= 1.5 and coord["Height"] >= 0.00001, coord)
        wait_for("k1 to be surer than at first",
                 lambda: k1.ok("GET", "/v1/agent/self").json()["Coord"]["Error"] < 1.5)

        out = k1.cli("rtt", "s1", "s2", check=0).stdout
        self.assertRegex(out, r"^Estimated s1 <-> s2 rtt: \d+\.\d{3} ms \(using LAN coordinates\)\n$")
        out = k1.cli("rtt", "s1", check=0).stdout
        self.assertRegex(out, r"^Estimated s1 <-> k1 rtt: ")
        self.assertLess(float(re.search(r"rtt: ([0-9.]+) ms", out).group(1)), 10000)
        run = k1.cli("rtt", "s1", "nope", check=1)
        self.assertEqual(run.stderr, 'Could not find a coordinate for node "nope"\n')
        run = k1.cli("rtt", check=1)
        self.assertTrue(run.stderr.startswith("One or two node names must be specified\n\n"))
        run = k1.cli("rtt", "-wan", "s1", check=1)
        self.assertEqual(run.stderr, "Node names must be specified as <node name>.<datacenter> "
                                     "with -wan\n")
        out = k1.cli("rtt", "-wan", "s1.dc1", "s3.dc1", check=0).stdout
        self.assertRegex(out, r"^Estimated s1\.dc1 <-> s3\.dc1 rtt: .* \(using WAN coordinates\)\n$")

        wait_for("serf to know of both", lambda: serf_rtt(k1, "s1", "s2")[0] == 0)
        self.assertRegex(serf_rtt(k1, "s2")[1], r"^Estimated s2 <-> k1 rtt: \d+\.\d{3} ms\n$")
        self.assertEqual(serf_rtt(k1, "s1", "nope"),
                         (1, 'Could not find a coordinate for node "nope"\n'))

        # A node that the leader removes takes its coordinate with it.
        cluster.agents["k1"].kill()
        wait_for("it to be forgotten", lambda: "k1" not in s1.catalog_nodes(), PATIENCE * 2)
        self.assertNotIn("k1", located(s1))

    def test_nearest_to_the_agent_that_is_asked(self):
        cluster = self.cluster(servers=1, clients=1, args=[
            "-hcl", 'sync_coordinate_interval_min = "10m"'])  # their agents keep silent
        cluster.start().wait_ready()
        s1, k1 = cluster.agents["s1"], cluster.agents["k1"]
        here = {"k1": 0.300, "s1": 0.0, "west": 0.310, "east": 0.020, "lost": None}
        for node, x in here.items():
            if node not in cluster.agents:
                s1.ok("PUT", "/v1/catalog/register",
                      {"Node": node, "Address": "10.1.1.1", "Service": {"Service": "web"}})
        for node, x in here.items():
            if x is not None:
                k1.ok("PUT", "/v1/coordinate/update",
                      {"Node": node, "Coord": {"Vec": [x, 0, 0, 0, 0, 0, 0, 0], "Error": 0.1,
                                               "Adjustment": 0, "Height": 0.00001}})
        wait_for("all to be located",
                 lambda: {n for n, x in here.items() if x is not None} <= set(located(s1)))

        def order(agent, near):
            found = agent.ok("GET", f"/v1/health/service/web?near={near}").json()
            return [e["Node"]["Node"] for e in found]

        self.assertEqual(order(s1, "_agent"), ["east", "west", "lost"])
        self.assertEqual(order(k1, "_agent"), ["west", "east", "lost"])
        self.assertEqual(order(s1, "k1"), ["west", "east", "lost"])
        self.assertEqual(order(s1, "lost"), ["east", "lost", "west"])
        out = k1.cli("catalog", "nodes", "-near=_agent", check=0).stdout
        self.assertEqual([line.split()[0] for line in out.splitlines()[1:]],
                         ["k1", "west", "east", "s1", "lost"])

    def test_what_says_nothing_new_is_not_written(self):
        cluster = self.cluster(servers=1, clients=0, args=[
            "-log-level", "debug", "-hcl", 'sync_coordinate_interval_min = "10m"'])
        cluster.start().wait_ready()
        s1 = cluster.agents["s1"]
        for node in ("here", "there"):
            s1.ok("PUT", "/v1/catalog/register", {"Node": node, "Address": "10.1.1.1"})

        def put(node, x, error):
            s1.ok("PUT", "/v1/coordinate/update", {
                "Node": node, "Coord": {"Vec": [x, 0, 0, 0, 0, 0, 0, 0], "Error": error,
                                        "Adjustment": 0, "Height": 0.00001}})

        def entries():
            return int(s1.ok("GET", "/v1/agent/self").json()["Stats"]["raft"]["last_log_index"])

        # New ones are written; one of them has measured next to nothing yet.
        put("here", 0, 0.1)
        put("there", 0.001, 1.5)
        wait_for("them to be located", lambda: set(located(s1)) == {"here", "there"})
        before = entries()
        put("there", 0.0011, 1.5)
        wait_for("that to be looked at", lambda: "No node has moved" in s1.log_text())
        self.assertEqual(entries(), before)
        # By now it knows where it is.
        put("there", 0.2, 0.1)
        put("here", 0, 0.1)
        wait_for("it to be elsewhere", lambda: located(s1)["there"]["Vec"][0] == 0.2)

    def test_it_outlives_the_process(self):
        cluster = self.cluster(servers=1, clients=1, args=OFTEN)
        cluster.start().wait_ready()
        k1 = cluster.agents["k1"]

        def error():
            return k1.ok("GET", "/v1/agent/self").json()["Coord"]["Error"]

        wait_for("the first measure", lambda: error() < 1.4)
        k1.terminate()
        with open(os.path.join(k1.data, "gossip", "members")) as f:
            self.assertIn("\ncoordinate ", f.read())
        cluster.agents["s1"].kill()  # so that nobody answers probes
        k1.start()
        self.assertLess(wait_for("k1 to answer", error), 1.5)

    def test_they_can_be_turned_off(self):
        cluster = self.cluster(servers=1, clients=0, args=["-hcl", "disable_coordinates = true"])
        cluster.start().wait_ready()
        s1 = cluster.agents["s1"]
        self.assertIsNone(s1.ok("GET", "/v1/agent/self").json()["Coord"])
        for path in ("nodes", "datacenters", "node/s1"):
            answer = s1.get(f"/v1/coordinate/{path}")
            self.assertEqual((answer.status, answer.text), (401, "Coordinate support disabled"))
        self.assertEqual(serf_rtt(s1, "s1")[0], 1)


if __name__ == "__main__":
    main()
