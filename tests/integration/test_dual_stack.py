"""Nodes and services that have an address of each family: A and AAAA come from the right one."""

import subprocess

from cluster import PATIENCE, ClusterTest, main, wait_for


class DualStack(ClusterTest):
    def test_both_families(self):
        cluster = self.cluster(servers=3, clients=1)
        for i, agent in enumerate(cluster.agents.values()):
            agent.v6 = f"fd77::{i + 1}"
            agent.args += ["-hcl", f'advertise_addr_ipv4 = "{agent.address}"\n'
                                   f'advertise_addr_ipv6 = "{agent.v6}"']
        cluster.start().wait_ready()
        s1, k1 = cluster.agents["s1"], cluster.agents["k1"]
        k1.ok("PUT", "/v1/agent/service/register", {"Name": "web", "Port": 80})
        k1.ok("PUT", "/v1/agent/service/register", {
            "Name": "own", "Port": 81, "Address": "10.9.8.7", "TaggedAddresses": {
                "lan_ipv4": {"Address": "10.9.8.7", "Port": 81},
                "lan_ipv6": {"Address": "fd99::7", "Port": 81}}})
        wait_for("the services", lambda: s1.dig("own.service.consul", "AAAA"))
        for asked in (s1, k1):
            for agent in cluster.agents.values():
                self.assertEqual(asked.dig(f"{agent.name}.node.consul", "A"), [agent.address])
                self.assertEqual(asked.dig(f"{agent.name}.node.consul", "AAAA"), [agent.v6])
            self.assertEqual(asked.dig("web.service.consul", "A"), [k1.address])
            self.assertEqual(asked.dig("web.service.consul", "AAAA"), [k1.v6])
            self.assertEqual(asked.dig("own.service.consul", "A"), ["10.9.8.7"])
            self.assertEqual(asked.dig("own.service.consul", "AAAA"), ["fd99::7"])
            self.assertEqual(asked.dig("own.service.consul", "SRV")[0].split()[2], "81")
            self.assertEqual(asked.rcode("web.service.consul", "AAAA"), "NOERROR")
            for address, name in ((k1.address, "k1.node"), (k1.v6, "k1.node"),
                                  ("10.9.8.7", "own.service"), ("fd99::7", "own.service")):
                reverse = subprocess.run(
                    ["dig", "+short", "+time=2", "-p", "8600", "@" + asked.address, "-x", address],
                    capture_output=True, text=True, timeout=PATIENCE)
                self.assertEqual(reverse.stdout, name + ".dc1.consul.\n")
        tagged = s1.get("/v1/catalog/node/k1").json()["Node"]["TaggedAddresses"]
        self.assertEqual((tagged["lan_ipv4"], tagged["lan_ipv6"]), (k1.address, k1.v6))


if __name__ == "__main__":
    main()
