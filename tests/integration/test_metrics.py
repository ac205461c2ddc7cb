"""Figures of an agent: as JSON, and scraped by Prometheus itself."""

import json
import os
import shutil
import signal
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
                         {"alive": 4, "suspect": 0, "dead": 0, "left": 0})
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


# What operators of Serf and Consul know (spec/gossip.md 19), and what is ours. Where it says so, it
# has counted something by the end of the test below.
COUNTED = """memberlist.msg.alive memberlist.msg.suspect memberlist.msg.dead
memberlist.size.local memberlist.size.remote
memberlist.udp.sent memberlist.udp.received memberlist.tcp.sent memberlist.tcp.received
memberlist.node.instances serf.member.join serf.member.failed serf.member.left serf.member.update
serf.member.flap serf.events serf.events.deploy serf.queries serf.queries.load serf.query_acks
serf.query_responses serf.snapshot.appendLine agent.ipc.accept agent.ipc.command agent.invoke.cat
memberlist.accuser.started loop.turn""".split()
THERE = """memberlist.degraded.probe memberlist.degraded.timeout memberlist.health.score serf.member.leave
serf.query_duplicate_acks serf.query_duplicate_responses serf.coordinate.zero-rtt serf.coordinate.rejected
memberlist.udp.kernel_drops memberlist.dropped.label_mismatch memberlist.dropped.auth_failure
memberlist.dropped.unknown_key memberlist.dropped.replay memberlist.pause_detected
memberlist.stale_alive_answered memberlist.suspicion.refuted memberlist.suspicion.confirmed
memberlist.accuser.confirmed memberlist.accuser.refuted memberlist.mixed dns.domain_query""".split()
# Of these Serf has samples: how large each may be at most, in ms, bytes or words.
SAMPLES = {"memberlist.probeNode": 60000, "memberlist.gossip": 60000, "memberlist.pushPullNode": 60000,
           "serf.msgs.received": 1400, "serf.msgs.sent": 1400, "serf.coordinate.adjustment-ms": 10000,
           "serf.snapshot.compact": 60000, "memberlist.queue.broadcasts": 4096,
           "serf.queue.Intent": 4096, "serf.queue.Event": 4096, "serf.queue.Query": 4096}
FAMILIES = {"serf.events.deploy": 'serf_events_by_name{name="deploy"}',
            "serf.queries.load": 'serf_queries_by_name{name="load"}',
            "agent.invoke.cat": 'agent_invoke_count{name="cat"}',
            "memberlist.node.instances": 'memberlist_node_instances{node_state="alive"}'}
LINES = ["serf: EventMemberJoin: k1 {k1}", "serf: EventMemberLeave: k2 {k2}",
         "serf: EventMemberFailed: k1 {k1}", "serf: EventMemberLeave (forced): k1 {k1}",
         "serf: EventMemberReap (forced): k1 {k1}", "serf: EventMemberUpdate: s1",
         "memberlist: Suspect k1 has failed, no acks received",
         "memberlist: Marking k1 as failed, suspect timeout reached (0 peer confirmations)"]


class Names(ClusterTest):
    """Every name and every line of the specification, on a server that has seen something."""

    def totals(self, agent):
        answer = agent.ok("GET", "/v1/agent/metrics?format=prometheus").text
        return dict(line.rsplit(" ", 1) for line in answer.splitlines() if line[0] != "#")

    def test_all_are_there(self):
        cluster = self.cluster(servers=1, clients=2, args=[
            "-hcl", 'telemetry { prometheus_retention_time = "1m" } '
            'reconcile { remove_failed_after = "1h" }'])
        s1, k1, k2 = (cluster.agents[n] for n in ("s1", "k1", "k2"))
        s1.args += ["-event-handler", "user:deploy,query:load=cat"]
        cluster.start().wait_ready()

        def serf(*words):
            subprocess.run(["serf", words[0], "-rpc-addr", f"{s1.address}:7373", *words[1:]],
                           check=True, capture_output=True, timeout=PATIENCE)

        def status(agent):
            return s1.members().get(agent.name)

        serf("event", "-coalesce=false", "deploy", "payload")
        for i in range(40):  # names of which most are too many to be told one by one
            serf("event", "-coalesce=false", f'odd "{i}"')
        serf("query", "-timeout=1s", "load", "payload")
        serf("tags", "-set", "colour=red")
        self.assertEqual(k2.terminate(), 0)
        wait_for("k2 to have left", lambda: status(k2) == 3)
        for _ in range(2):  # it flaps
            wait_for("k1 to live", lambda: status(k1) == 1)
            k1.kill()
            wait_for("k1 to have failed", lambda: status(k1) == 4)
            k1.start()
        wait_for("k1 to live", lambda: status(k1) == 1)
        k1.kill()
        wait_for("k1 to have failed", lambda: status(k1) == 4)
        serf("force-leave", "k1")
        serf("force-leave", "-prune", "k1")
        wait_for("both sizes of an exchange", lambda: float(
            self.totals(s1)["consul_memberlist_size_remote"]) > 0)
        wait_for("the end of its handlers", lambda: float(
            self.totals(s1)['consul_agent_invoke_count{name="cat"}']) == 2)

        totals = self.totals(s1)
        named = [m["Name"] for kind in ("Gauges", "Counters", "Samples")
                 for m in s1.ok("GET", "/v1/agent/metrics").json()[kind]]
        for name in COUNTED + THERE:
            exposed = "consul_" + FAMILIES.get(name, name.replace(".", "_").replace("-", "_"))
            values = [float(v) for k, v in totals.items()
                      if k == exposed or k.startswith(exposed + "{")]
            if not name.startswith("memberlist.accuser"):
                self.assertIn("consul." + name, named)
                self.assertTrue(values, exposed)
            if name in COUNTED:
                self.assertGreater(sum(values), 0, exposed)
        self.check_samples(s1)
        totals = self.totals(s1)
        self.assertEqual(float(totals["consul_serf_events"]), 41)
        self.assertEqual(len([k for k in totals if k.startswith("consul_serf_events_by_name")]), 32)
        self.assertIn(r'consul_serf_events_by_name{name="odd \"0\""}', totals)
        text = s1.ok("GET", "/v1/agent/metrics?format=prometheus").text
        check = subprocess.run(["promtool", "check", "metrics"], input=text, text=True,
                               capture_output=True, timeout=PATIENCE)
        self.assertIn(check.returncode, (0, 3), check.stderr)
        for line in LINES:
            self.assertIn(line.format(k1=k1.address, k2=k2.address), s1.log_text())
        s1.terminate(signal.SIGTERM)
        self.assertIn("serf: Shutdown without a Leave", s1.log_text())


    def check_samples(self, agent):
        answer = agent.ok("GET", "/v1/agent/metrics").json()  # of an interval
        samples = {m["Name"]: m for m in answer["Samples"]}
        others = {m["Name"] for kind in ("Gauges", "Counters") for m in answer[kind]}
        totals = self.totals(agent)
        for name, most in SAMPLES.items():
            self.assertNotIn("consul." + name, others)
            s = samples["consul." + name]
            exposed = "consul_" + name.replace(".", "_").replace("-", "_")
            if name != "memberlist.pushPullNode":  # others began them all
                self.assertGreater(float(totals[exposed + "_count"]), 0, name)
            low, middle, high = (float(totals[f'{exposed}{{quantile="{q}"}}'])
                                 for q in ("0.5", "0.9", "0.99"))
            self.assertTrue(low != low or 0 <= low <= middle <= high <= most, name)  # NaN: none
            if s["Count"] > 0:
                self.assertTrue(0 <= s["Min"] <= s["Mean"] * 1.001 <= s["Max"] * 1.002, (name, s))
                self.assertTrue(s["Min"] <= low * 1.001 and high <= s["Max"] * 1.001, (name, s))
        self.assertGreater(float(totals['consul_serf_msgs_sent{quantile="0.5"}']), 10)
        self.assertGreater(float(totals["consul_memberlist_probeNode_sum"]), 0)


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
