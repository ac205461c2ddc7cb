"""Clusters that know no IPv4 but of their own loopback, in a network of the test's own."""

import http.client
import os
import re
import subprocess

from cluster import MUSTER, PATIENCE, ClusterTest, main, wait_for
from own_network import drop_link, in_own_namespace, make_link


class Ipv6(ClusterTest):
    def setUp(self):
        super().setUp()
        make_link(*(f"fd77::{i}/64" for i in range(1, 6)))

    def tearDown(self):
        super().tearDown()
        drop_link()

    def test_three_servers_and_a_client(self):
        cluster = self.cluster()
        joins = []
        for i in (1, 2, 3):
            joins += ["-retry-join", ["fd77::1", "[fd77::2]:8301", "fd77::3"][i - 1]]
        for i in (1, 2, 3):
            cluster.add(f"s{i}", True, ["-bootstrap-expect", "3", *joins], address=f"fd77::{i}")
        cluster.add("k1", False, joins, address="fd77::4")
        cluster.start().wait_ready()
        s1, k1 = cluster.agents["s1"], cluster.agents["k1"]
        self.assertRegex(s1.leader(), r"^\[fd77::[123]\]:8300$")
        self.assertEqual(sorted(s1.get("/v1/status/peers").json()),
                         [f"[fd77::{i}]:8300" for i in (1, 2, 3)])

        # Writes from anywhere, services and DNS.
        self.assertEqual(k1.ok("PUT", "/v1/kv/a", b"six").text, "true")
        self.assertEqual(cluster.agents["s2"].ok("GET", "/v1/kv/a?raw").text, "six")
        k1.ok("PUT", "/v1/agent/service/register", {
            "Name": "web", "Port": 80, "Check": {"TCP": "[fd77::4]:8500", "Interval": "1s",
                                                 "Status": "critical"}})
        wait_for("web in DNS", lambda: s1.dig("web.service.consul", "AAAA") == ["fd77::4"])
        self.assertEqual(s1.dig("web.service.consul", "A"), [])
        self.assertEqual(s1.dig("s2.node.consul", "AAAA"), ["fd77::2"])
        reverse = subprocess.run(["dig", "+short", "+time=2", "-p", "8600", "@fd77::1", "-x",
                                  "fd77::4"], capture_output=True, text=True, timeout=PATIENCE)
        self.assertEqual(reverse.stdout, "k1.node.dc1.consul.\n")

        # What the command line and the log print can be used as it is.
        env = {"CONSUL_HTTP_ADDR": "[fd77::4]:8500"}
        out = k1.cli("members", check=0, env=env).stdout
        where = dict(line.split()[:2] for line in out.splitlines()[1:])
        self.assertEqual(where["s3"], "[fd77::3]:8301")
        printed = re.search(r"Starting server: address=(\S+)", k1.log_text()).group(1)
        self.assertEqual(printed, "[fd77::4]:8500")
        host, port = printed.rsplit(":", 1)
        connection = http.client.HTTPConnection(host.strip("[]"), int(port), timeout=PATIENCE)
        connection.request("GET", "/v1/status/leader")
        self.assertEqual(connection.getresponse().status, 200)
        connection.close()
        self.assertEqual(k1.cli("kv", "get", "-http-addr", "http://[fd77::1]:8500", "a",
                                check=0).stdout, "six\n")
        self.assertIn("[fd77::2]:8300", k1.cli("operator", "raft", "list-peers", check=0,
                                               env=env).stdout)

        # The leader dies, another one rules; the dead one is gone from DNS.
        leader = cluster.leader()
        leader.kill()
        rest = [a for a in cluster.servers() if a is not leader]
        wait_for("another leader", lambda: rest[0].leader() not in ("", f"[{leader.address}]:8300"))
        wait_for("a write", lambda: k1.put("/v1/kv/b", b"x").status == 200)
        wait_for("the dead one to be out of DNS",
                 lambda: f"{leader.name}" not in [n["Node"] for n in rest[0].ok(
                     "GET", "/v1/health/state/passing").json()])

    def test_loopback_and_every_address(self):
        cluster = self.cluster()
        first = cluster.add("one", True, ["-bootstrap-expect", "1", "-advertise", "fd77::5"],
                            address="::").start()
        first.address = "::1"
        wait_for("a leader", first.leader)
        self.assertEqual(first.leader(), "[fd77::5]:8300")
        self.assertEqual(first.dig("one.node.consul", "AAAA"), ["fd77::5"])
        first.kill()

        chosen = cluster.add("two", True, ["-bootstrap-expect", "1"], address="::").start()
        chosen.address = "::1"
        wait_for("a leader", chosen.leader)
        self.assertRegex(chosen.leader(), r"^\[fd77::[1-5]\]:8300$")
        chosen.kill()

        alone = subprocess.Popen([MUSTER, "agent", "-dev", "-bind", "::1", "-client", "::1"],
                                 stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                 env={**os.environ, "TMPDIR": cluster.dir})
        try:
            def leader():
                connection = http.client.HTTPConnection("::1", 8500, timeout=2)
                try:
                    connection.request("GET", "/v1/status/leader")
                    return connection.getresponse().read().strip() == b'"[::1]:8300"'
                finally:
                    connection.close()
            wait_for("an agent on ::1 alone", leader)
        finally:
            alone.kill()
            alone.communicate()


if __name__ == "__main__":
    in_own_namespace()
    main()
