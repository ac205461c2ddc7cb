"""Killed, stopped and restarted processes: what is promised stays true."""

import signal
import threading
import time

from cluster import PATIENCE, ClusterTest, main, wait_equal, wait_for


def register(agent, name="web", port=80):
    agent.ok("PUT", "/v1/agent/service/register",
             {"Name": name, "ID": f"{name}-{agent.name}", "Port": port,
              "Check": {"TTL": "1h"}})
    agent.ok("PUT", f"/v1/agent/check/pass/service:{name}-{agent.name}?note=fine")


class Clients(ClusterTest):
    def test_a_killed_client_leaves_dns_then_the_catalog_and_returns(self):
        cluster = self.cluster(servers=3, clients=2)
        cluster.start().wait_ready()
        k1, k2, s1 = (cluster.agents[n] for n in ("k1", "k2", "s1"))
        register(k1)
        register(k2)
        both = sorted([k1.address, k2.address])
        wait_for("both instances", lambda: s1.dig("web.service.consul") == both)

        killed = time.monotonic()
        k2.kill()
        wait_for("the dead one to leave DNS", lambda: s1.dig("web.service.consul") == [k1.address])
        print(f"out of DNS after {time.monotonic() - killed:.2f} s")
        self.assertEqual(s1.dig("k2.node.consul"), [k2.address])
        checks = {c["CheckID"]: c["Status"] for c in s1.get("/v1/health/node/k2").json()}
        self.assertEqual(checks["serfHealth"], "critical")
        wait_for("the dead one to leave the catalog", lambda: "k2" not in s1.catalog_nodes())
        print(f"out of the catalog after {time.monotonic() - killed:.2f} s")
        self.assertEqual(s1.members()["k2"], 4)
        self.assertEqual(s1.rcode("k2.node.consul"), "NXDOMAIN")

        k2.start()
        wait_for("it to be back with its service", lambda: s1.dig("web.service.consul") == both)
        wait_for("k1 to see it", lambda: k1.members()["k2"] == 1)

    def test_a_rebuilt_machine_takes_its_name_back(self):
        """Killed, its disk empty, its address another: as soon as the old one is known to be dead,
        and not after the half minute that a name is kept for whom nobody asks."""
        cluster = self.cluster(servers=1, clients=3).start().wait_ready()
        others = [cluster.agents[n] for n in ("s1", "k2", "k3")]
        old = cluster.agents["k1"]
        service = {"Name": "web", "Port": 80}
        old.ok("PUT", "/v1/agent/service/register", service)
        wait_for("the service", lambda: others[0].dig("web.service.consul") == [old.address])
        old.kill()
        new = cluster.add("rebuilt", False, [*old.args, "-node", "k1"])
        new.start()
        began = time.monotonic()

        def is_taken(agent):
            rows = [(m["Addr"], m["Status"]) for m in agent.get("/v1/agent/members").json()
                    if m["Name"] == "k1"]
            return rows == [(new.address, 1)]

        for agent in others:
            wait_for(f"{agent.name} to see the new one only", lambda a=agent: is_taken(a))
        self.assertLess(time.monotonic() - began, 20)
        wait_for("the catalog", lambda: [n["Address"] for n in others[0].ok(
            "GET", "/v1/catalog/nodes").json() if n["Node"] == "k1"] == [new.address])
        wait_for("nothing of the old one", lambda: others[0].dig("web.service.consul") == [])
        self.assertTrue(new.running())

    def test_a_node_is_forgotten_when_it_said(self):
        """`advertise_reconnect_timeout`: out of members, catalog, DNS and sessions, in one step."""
        cluster = self.cluster(servers=1, clients=2, args=[
            "-hcl", 'reconcile { remove_failed_after = "72h" }'])
        brief, usual = cluster.agents["k1"], cluster.agents["k2"]
        brief.args += ["-hcl", 'advertise_reconnect_timeout = "4s"']
        cluster.start().wait_ready()
        s1 = cluster.agents["s1"]
        register(brief)
        session = brief.ok("PUT", "/v1/session/create", {"TTL": "1h"}).json()["ID"]
        wait_for("the service", lambda: s1.dig("web.service.consul") == [brief.address])
        brief.kill()
        usual.kill()
        wait_for("both to be failed", lambda: s1.members().get("k1") == 4
                 and s1.members()["k2"] == 4)
        self.assertIn("k1", s1.catalog_nodes())
        wait_for("it to be no member", lambda: "k1" not in s1.members())
        wait_for("it to be out of the catalog", lambda: "k1" not in s1.catalog_nodes())
        self.assertEqual(s1.rcode("k1.node.consul"), "NXDOMAIN")
        self.assertEqual(s1.get(f"/v1/session/info/{session}").json(), [])
        self.assertEqual(s1.get("/v1/health/service/web").json(), [])
        self.assertEqual(s1.members()["k2"], 4)
        self.assertIn("k2", s1.catalog_nodes())

    def test_a_paused_client_returns_with_everything(self):
        cluster = self.cluster(servers=3, clients=1, args=[
            "-hcl", 'reconcile { remove_failed_after = "1s" }'])
        cluster.start().wait_ready()
        k1, s1 = cluster.agents["k1"], cluster.agents["s1"]
        register(k1)
        wait_for("the service", lambda: s1.dig("web.service.consul") == [k1.address])
        k1.send(signal.SIGSTOP)
        wait_for("its removal", lambda: "k1" not in s1.catalog_nodes(), PATIENCE * 2)
        k1.send(signal.SIGCONT)
        wait_for("it to be back", lambda: s1.dig("web.service.consul") == [k1.address])

    def test_leaving_is_seen_at_once(self):
        cluster = self.cluster(servers=3, clients=2)
        cluster.start().wait_ready()
        k1, k2, s1 = (cluster.agents[n] for n in ("k1", "k2", "s1"))
        register(k1)
        wait_for("the service", lambda: s1.dig("web.service.consul") == [k1.address])
        self.assertEqual(k1.ok("PUT", "/v1/agent/leave").body, b"")
        wait_for("s1 to see it left", lambda: s1.members()["k1"] == 3)
        self.assertEqual(k1.wait(), 0)
        wait_for("the node to go", lambda: "k1" not in s1.catalog_nodes())
        # SIGTERM on a client is a graceful leave too.
        self.assertEqual(k2.terminate(signal.SIGTERM), 0)
        wait_for("the other to go", lambda: "k2" not in s1.catalog_nodes())
        wait_for("s1 to see it left", lambda: s1.members()["k2"] == 3)
        # Its last words may come behind its removal: as a client writes them, without a check.
        s1.ok("PUT", "/v1/catalog/register", {"Node": "k2", "Address": k2.address})
        wait_for("it to go once more", lambda: "k2" not in s1.catalog_nodes())

    def test_force_leave_removes_at_once(self):
        cluster = self.cluster(servers=3, clients=1, args=[
            "-hcl", 'reconcile { remove_failed_after = "1h" }'])
        cluster.start().wait_ready()
        k1, s1 = cluster.agents["k1"], cluster.agents["s1"]
        k1.kill()
        wait_for("it to be failed", lambda: s1.members()["k1"] == 4)
        self.assertIn("k1", s1.catalog_nodes())
        s1.cli("force-leave", "k1", check=0)
        wait_for("it to be left", lambda: s1.members()["k1"] == 3)
        wait_for("its node to go", lambda: "k1" not in s1.catalog_nodes())
        gone = s1.cli("force-leave", "nope")
        self.assertEqual(gone.returncode, 1)
        self.assertIn("agent: No node found with name 'nope'", gone.stderr)


class Writer(threading.Thread):
    """Writes numbered keys through some agents and remembers which were acknowledged."""

    def __init__(self, agents):
        super().__init__()
        self.agents = agents
        self.stopping = threading.Event()
        self.acknowledged = []
        self.times = []

    def run(self):
        number = 0
        while not self.stopping.is_set():
            agent = self.agents[number % len(self.agents)]
            number += 1
            try:
                answer = agent.put(f"/v1/kv/log/{number:08d}", str(number), timeout=10)
                if answer.status == 200 and answer.text.strip() == "true":
                    self.acknowledged.append(number)
                    self.times.append(time.monotonic())
            except OSError:
                pass

    def stop(self):
        self.stopping.set()
        self.join()


def keys(agent):
    answer = agent.get("/v1/kv/log/?keys")
    return {int(k.split("/")[1]) for k in answer.json()} if answer.status == 200 else set()


class Servers(ClusterTest):
    def test_a_killed_leader_loses_no_acknowledged_write(self):
        cluster = self.cluster(servers=3, clients=1)
        cluster.start().wait_ready()
        leader = cluster.leader()
        others = [s for s in cluster.servers() if s is not leader]
        writer = Writer(others)
        writer.start()
        wait_for("some writes", lambda: len(writer.acknowledged) > 20)
        killed = time.monotonic()
        leader.kill()
        wait_for("writes again", lambda: writer.times[-1] > killed + 0.2
                 and len([t for t in writer.times if t > killed]) > 20)
        gap = max(b - a for a, b in zip(writer.times, writer.times[1:]))
        print(f"longest time without a write: {gap:.2f} s")
        leader.start()
        wait_for("the killed one to follow", leader.leader)
        writer.stop()
        for server in cluster.servers():
            wait_for(f"{server.name} to have all {len(writer.acknowledged)} writes",
                     lambda s=server: set(writer.acknowledged) <= keys(s))

    def test_all_servers_restart_at_once_and_everything_is_there(self):
        cluster = self.cluster(servers=3, clients=2)
        cluster.start().wait_ready()
        k1, s1 = cluster.agents["k1"], cluster.agents["s1"]
        register(k1)
        for i in range(50):
            s1.ok("PUT", f"/v1/kv/log/{i:08d}", str(i))
        wait_for("the service", lambda: s1.dig("web.service.consul") == [k1.address])
        for server in cluster.servers():
            server.kill()
        for server in cluster.servers():
            server.start()
        cluster.wait_ready()
        wait_equal("all keys", set(range(50)), lambda: keys(s1))
        for agent in cluster.agents.values():
            wait_for(f"{agent.name} to resolve the service",
                     lambda a=agent: a.dig("web.service.consul") == [k1.address])
        # Also with everybody down, clients included.
        for agent in cluster.agents.values():
            agent.kill()
        cluster.start().wait_ready()
        wait_equal("all keys", set(range(50)), lambda: keys(s1))
        wait_for("the client's registration", lambda: s1.dig("web.service.consul") == [k1.address])

    def test_a_client_without_servers_tries_on_in_a_measured_way(self):
        cluster = self.cluster(servers=3, clients=1, args=["-log-level", "debug"])
        cluster.start().wait_ready()
        client = cluster.agents["k1"]
        for server in cluster.servers():
            server.kill()
        wait_for("the servers to be failed",
                 lambda: list(client.members().values()).count(4) == 3)
        # Until gossip knew, each was tried at once, and then one now and then: not in a loop.
        tries = client.log_text().count("agent.client: ")
        self.assertGreater(tries, 1)
        self.assertLess(tries, 200)
        cluster.start(["s1", "s2", "s3"])
        wait_for("the client to write again", lambda: client.put("/v1/kv/a", "1").status == 200)

    def test_without_quorum_reads_go_stale_and_writes_wait(self):
        cluster = self.cluster(servers=3, clients=0)
        cluster.start().wait_ready()
        s1 = cluster.leader()
        others = [s for s in cluster.servers() if s is not s1]
        s1.ok("PUT", "/v1/kv/log/1", "1")
        for server in others:
            server.kill()
        wait_for("it to notice", lambda: s1.leader() == "")
        answer = s1.put("/v1/kv/log/2", "2")
        self.assertEqual(answer.status, 500)
        self.assertEqual(answer.text, "No cluster leader")
        stale = s1.get("/v1/kv/log/1?stale&raw")
        self.assertEqual((stale.status, stale.text), (200, "1"))
        self.assertEqual(stale.headers["X-Consul-Knownleader"], "false")
        for server in others:
            server.start()
        wait_for("a write", lambda: s1.put("/v1/kv/log/2", "2").status == 200)

    def test_sigint_on_a_server_is_no_leave(self):
        cluster = self.cluster(servers=3, clients=0)
        cluster.start().wait_ready()
        leader = cluster.leader()
        other = next(s for s in cluster.servers() if s is not leader)
        self.assertEqual(leader.terminate(signal.SIGINT), 1)
        wait_for("another leader", lambda: other.leader() not in ("", f"{leader.address}:8300"))
        wait_for("it to be failed", lambda: other.members()[leader.name] == 4)


if __name__ == "__main__":
    main()
