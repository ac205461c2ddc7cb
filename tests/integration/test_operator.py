"""What operators see of the servers and change about them."""

import re

from cluster import ClusterTest, main, wait_for


def peers(agent):
    return agent.ok("GET", "/v1/operator/raft/configuration").json()["Servers"]


class Seen(ClusterTest):
    def test_every_agent_shows_the_servers_and_their_health(self):
        cluster = self.cluster(servers=3, clients=1)
        for server in cluster.servers():
            server.args += ["-node-meta", f"rack:of {server.name}"]
        cluster.start().wait_ready()
        leader = cluster.leader()
        everybody = list(cluster.agents.values())
        for agent in everybody:
            servers = peers(agent)
            self.assertEqual(sorted(s["Node"] for s in servers), ["s1", "s2", "s3"])
            self.assertEqual([s["Node"] for s in servers if s["Leader"]], [leader.name])
            self.assertTrue(all(s["Voter"] for s in servers))
            self.assertEqual({s["Node"]: s["Address"] for s in servers},
                             {s.name: f"{s.address}:8300" for s in cluster.servers()})
            health = wait_for(f"{agent.name} to say that all are healthy",
                              lambda a=agent: self.healthy(a))
            self.assertEqual(health["FailureTolerance"], 1)
            self.assertEqual([s["Name"] for s in health["Servers"] if s["Leader"]], [leader.name])
            state = agent.ok("GET", "/v1/operator/autopilot/state").json()
            self.assertEqual(sorted(state["Voters"]), sorted(state["Servers"]))
            self.assertEqual(state["Servers"][state["Leader"]]["Name"], leader.name)
            for server in state["Servers"].values():
                self.assertEqual(server["Meta"], {"consul-network-segment": "",
                                                  "rack": f"of {server['Name']}"})

    @staticmethod
    def healthy(agent):
        answer = agent.get("/v1/operator/autopilot/health")
        return answer.json() if answer.status == 200 else None

    def test_a_killed_follower_is_unhealthy_and_without_quorum_stale_answers_remain(self):
        cluster = self.cluster(servers=3, clients=1)
        cluster.start().wait_ready()
        leader = cluster.leader()
        followers = [s for s in cluster.servers() if s is not leader]
        k1 = cluster.agents["k1"]
        wait_for("all to be healthy", lambda: self.healthy(k1))
        followers[0].kill()
        answer = wait_for("429 through a client agent, because of it alone",
                          lambda: self.unhealthy(k1, followers[0].name))
        self.assertEqual(answer.headers["Content-Type"].split(";")[0], "text/plain")
        self.assertEqual(answer.json()["FailureTolerance"], 0)

        followers[1].kill()
        wait_for("the leader to notice", lambda: leader.leader() == "")
        self.assertEqual(leader.get("/v1/operator/raft/configuration").text, "No cluster leader")
        stale = leader.ok("GET", "/v1/operator/raft/configuration?stale").json()
        self.assertEqual(len(stale["Servers"]), 3)
        shown = leader.cli("operator", "raft", "list-peers", "-stale", check=0).stdout
        self.assertEqual(len(shown.splitlines()), 4)

    @staticmethod
    def unhealthy(agent, name):
        answer = agent.get("/v1/operator/autopilot/health")
        ill = [s["Name"] for s in answer.json()["Servers"] if not s["Healthy"]]
        return answer if answer.status == 429 and ill == [name] else None


class Words(ClusterTest):
    def test_the_command_line(self):
        cluster = self.cluster(servers=1, clients=1)
        cluster.start().wait_ready()
        s1, k1 = cluster.agents["s1"], cluster.agents["k1"]
        (server,) = peers(s1)
        lines = k1.cli("operator", "raft", "list-peers", check=0).stdout.splitlines()
        self.assertEqual(lines[0].split(),
                         ["Node", "ID", "Address", "State", "Voter", "RaftProtocol"])
        self.assertEqual(lines[1].split(),
                         ["s1", server["ID"], f"{s1.address}:8300", "leader", "true", "3"])

        self.assertEqual(k1.cli("operator", "autopilot", "get-config", check=0).stdout,
                         "CleanupDeadServers = true\n"
                         "LastContactThreshold = 200ms\n"
                         "MaxTrailingLogs = 250\n"
                         "MinQuorum = 0\n"
                         "ServerStabilizationTime = 10s\n"
                         'RedundancyZoneTag = ""\n'
                         "DisableUpgradeMigration = false\n"
                         'UpgradeVersionTag = ""\n')
        self.assertEqual(k1.cli("operator", "autopilot", "set-config",
                                "-cleanup-dead-servers=false", "-min-quorum=3",
                                "-last-contact-threshold=1m30s", check=0).stdout,
                         "Configuration updated!\n")
        shown = s1.cli("operator", "autopilot", "get-config", check=0).stdout
        self.assertIn("CleanupDeadServers = false\nLastContactThreshold = 1m30s\n"
                      "MaxTrailingLogs = 250\nMinQuorum = 3\n", shown)
        wrong = k1.cli("operator", "autopilot", "set-config", "-min-quorum=few")
        self.assertEqual((wrong.returncode, wrong.stderr),
                         (1, 'invalid value "few" for flag -min-quorum: parse error, expected a whole number\n'))

        state = k1.cli("operator", "autopilot", "state", check=0).stdout
        self.assertRegex(state, re.compile(
            "Healthy:                      true\n"
            "Failure Tolerance:            0\n"
            "Optimistic Failure Tolerance: 0\n"
            f"Leader:                       {server['ID']}\n"
            f"Voters:\n   {server['ID']}\n"
            f"Servers:\n   {server['ID']}\n"
            "      Name:            s1\n"
            f"      Address:         {s1.address}:8300\n"
            "      Version:         1.9.8\n"
            "      Status:          leader\n"
            "      Node Type:       voter\n"
            "      Node Status:     alive\n"
            "      Healthy:         true\n"
            "      Last Contact:    0s\n"))

        group = k1.cli("operator", "raft", "-h", check=0).stdout
        self.assertIn("list-peers", group)
        self.assertEqual(k1.cli("operator").returncode, 1)
        self.assertNotIn("list-peers", k1.cli("operator").stderr)


if __name__ == "__main__":
    main()
