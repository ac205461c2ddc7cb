"""Figures of an agent: as JSON, and scraped by Prometheus itself."""

import json
import os
import shutil
import socket
import subprocess
import urllib.request

from cluster import PATIENCE, ClusterTest, main, wait_for

CONFIG = """
global: { scrape_interval: 1s }
scrape_configs:
- job_name: muster
  metrics_path: /v1/agent/metrics
  params: { format: [prometheus] }
  static_configs: [{ targets: [%s] }]
"""


def free_port(address):
    with socket.socket() as s:
        s.bind((address, 0))
        return s.getsockname()[1]


class Metrics(ClusterTest):
    def setUp(self):
        super().setUp()
        self.all = self.cluster(servers=3, clients=1, args=[
            "-hcl", 'telemetry { prometheus_retention_time = "1m" }'])
        self.all.start().wait_ready()
        self.k1 = self.all.agents["k1"]

    def figures(self, agent):
        answer = agent.ok("GET", "/v1/agent/metrics").json()
        self.assertEqual(list(answer), ["Timestamp", "Gauges", "Points", "Counters", "Samples"])
        self.assertRegex(answer["Timestamp"], r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \+0000 UTC$")
        return answer, {m["Name"]: m for kind in ("Gauges", "Counters", "Samples")
                        for m in answer[kind]}

    def test_json(self):
        leader = self.all.leader()
        for i in range(20):
            leader.put(f"/v1/kv/a{i}", "x")
        answer, named = self.figures(leader)
        self.assertGreater(named["consul.runtime.alloc_bytes"]["Value"], 1e5)
        self.assertGreater(named["consul.runtime.sys_bytes"]["Value"], 1e6)
        self.assertEqual(named["consul.server.isLeader"]["Value"], 1)
        self.assertEqual(named["consul.raft.peers"]["Value"], 3)
        self.assertLess(named["consul.raft.leader.lastContact"]["Value"], 5000)
        self.assertEqual({m["Labels"]["node_state"]: m["Value"] for m in answer["Gauges"]
                          if m["Name"] == "consul.memberlist.node.instances"},
                         {"alive": 4, "dead": 0, "left": 0})
        commit = named["consul.raft.commitTime"]
        self.assertGreaterEqual(commit["Count"], 20)
        self.assertAlmostEqual(commit["Mean"], commit["Sum"] / commit["Count"])
        self.assertLessEqual(commit["Min"], commit["Mean"])
        self.assertGreaterEqual(commit["Max"], commit["Mean"])
        self.assertGreater(named["consul.memberlist.udp.packets.sent"]["Count"], 0)
        self.assertGreater(named["consul.rpc.request"]["Count"], 0)
        before = named["consul.raft.apply"]["Count"]
        leader.put("/v1/kv/b", "x")
        wait_for("the write, answered before, to be applied",
                 lambda: self.figures(leader)[1]["consul.raft.apply"]["Count"] > before)
        named = self.figures(self.k1)[1]
        self.assertNotIn("consul.raft.apply", named)
        wait_for("a probe",
                 lambda: self.figures(self.k1)[1]["consul.memberlist.probeNode"]["Count"] > 0)

    def test_prometheus(self):
        leader = self.all.leader()
        answer = leader.ok("GET", "/v1/agent/metrics?format=prometheus")
        self.assertEqual(answer.headers["Content-Type"], "text/plain; version=0.0.4; charset=utf-8")
        self.assertIn('\nconsul_memberlist_node_instances{node_state="alive"} 4\n', answer.text)
        same = leader.http("GET", "/v1/agent/metrics",
                           headers={"Accept": "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"})
        self.assertEqual(same.text.count("# TYPE"), answer.text.count("# TYPE"))
        check = subprocess.run(["promtool", "check", "metrics"], input=answer.text, text=True,
                               capture_output=True, timeout=PATIENCE)
        hints = [line for line in check.stderr.splitlines()
                 if "should" not in line and "should not" not in line]  # on names, which are Consul's
        self.assertEqual(hints, [])
        self.assertIn(check.returncode, (0, 3))

        conf = os.path.join(self.all.dir, "prometheus.yml")
        with open(conf, "w") as f:
            f.write(CONFIG % ", ".join(f'"{a.address}:8500"' for a in self.all.agents.values()))
        port = free_port("127.0.0.1")
        out = open(os.path.join(self.all.dir, "prometheus.log"), "wb")
        prometheus = subprocess.Popen(
            [shutil.which("prometheus"), f"--config.file={conf}",
             f"--storage.tsdb.path={self.all.dir}/tsdb", f"--web.listen-address=127.0.0.1:{port}"],
            stdout=out, stderr=subprocess.STDOUT)
        out.close()
        self.addCleanup(prometheus.wait)
        self.addCleanup(prometheus.kill)

        def value(expression):
            url = f"http://127.0.0.1:{port}/api/v1/query?query={expression}"
            with urllib.request.urlopen(url, timeout=5) as reply:
                result = json.load(reply)["data"]["result"]
            return float(result[0]["value"][1]) if result else None
        wait_for("all to be scraped", lambda: value("sum(up)") == 4)
        wait_for("one leader", lambda: value("sum(consul_server_isLeader)") == 1)
        leader.put("/v1/kv/a", "x")
        index = leader.get("/v1/kv/a").json()[0]["ModifyIndex"]
        wait_for("the write", lambda: value("min(consul_raft_applied_index)") >= index)
        wait_for("its time", lambda: value("sum(consul_raft_commitTime_count)") >= 1)


class Off(ClusterTest):
    def test_not_without_being_asked(self):
        cluster = self.cluster(servers=1, clients=0, args=["-hcl", 'telemetry { metrics_prefix = "m" }'])
        cluster.start().wait_ready()
        agent = cluster.agents["s1"]
        answer = agent.get("/v1/agent/metrics?format=prometheus")
        self.assertEqual((answer.status, answer.text),
                         (415, "Prometheus is not enabled since its retention time is not positive"))
        self.assertIn("m.runtime.alloc_bytes",
                      [m["Name"] for m in agent.get("/v1/agent/metrics").json()["Gauges"]])


if __name__ == "__main__":
    main()
