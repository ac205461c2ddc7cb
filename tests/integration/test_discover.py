"""Agents that find each other on the link by multicast DNS, in a network of the test's own."""

import socket
import struct

from cluster import ClusterTest, main, wait_for
from own_network import drop_link, in_own_namespace, make_link
from test_serf_agent import SerfAgent

SERVICE = b"\x09_serf_web\x04_tcp\x05local\x00"
QUESTION = b"\x12\x34\0\0\0\1\0\0\0\0\0\0" + SERVICE + b"\0\x0c\0\1"


def ask(address):
    """A program that is no responder: it asks from any port and is answered alone."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind((address, 0))
        s.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(address))
        s.settimeout(1)

        def answer():
            s.sendto(QUESTION, ("224.0.0.251", 5353))
            return s.recvfrom(9000)[0]

        return wait_for("an answer", answer)  # a datagram may be lost


class Discover(ClusterTest):
    def setUp(self):
        super().setUp()
        make_link(*(f"10.77.0.{i}/24" for i in range(1, 5)),
                  *(f"fd77::{i}/64" for i in range(1, 5)))

    def tearDown(self):
        super().tearDown()
        drop_link()

    def found(self, agent, names):
        wait_for(f"{agent.name} to find {names}", lambda: agent.members() ==
                 dict.fromkeys(names, 1))

    def test_two_find_each_other_and_a_third_does_not_belong(self):
        cluster = self.cluster()
        agents = [cluster.add(f"n{i}", i == 1, ["-discover", "web" if i < 3 else "db",
                                                *(["-bootstrap-expect", "1"] if i == 1 else [])],
                              address=f"10.77.0.{i}") for i in (1, 2, 3)]
        cluster.start()
        for agent in agents[:2]:
            self.found(agent, {"n1", "n2"})
        self.found(agents[2], {"n3"})
        wait_for("one to say so", lambda: "agent.mdns: Joined 1 hosts"
                 in agents[0].log_text() + agents[1].log_text())
        wait_for("the client to use what it found", lambda: agents[1].leader())

        answer = ask("10.77.0.4")
        self.assertEqual(answer[:8], b"\x12\x34\x84\0\0\1\0\4")
        self.assertIn(struct.pack(">HHH", 10, 1, 8301), answer)
        self.assertIn(b"Serf 'web' cluster", answer)

        # One that comes later finds them, although they do not ask any more.
        late = cluster.add("n4", False, ["-discover", "web"], address="10.77.0.4").start()
        self.found(late, {"n1", "n2", "n4"})
        late.terminate()

    def test_agents_of_serf(self):
        """By an interface that must have the address, and the port of gossip that is told."""
        cluster = self.cluster()
        cluster.port = 7946  # the network is the test's own
        for i in (1, 2):
            agent = SerfAgent(cluster, f"n{i}", f"10.77.0.{i}", False, [
                "-discover", "web", "-iface", "lan0", "-profile", "local"])
            cluster.agents[agent.name] = agent
            agent.start()
        for agent in cluster.agents.values():
            wait_for("the other", lambda a=agent: a.rows() == {"n1": "alive", "n2": "alive"})
            self.assertIn("                   mDNS cluster: web\n", agent.log_text())
        self.assertIn(struct.pack(">HHH", 10, 1, 7946), ask("10.77.0.4"))

    def test_on_loopback(self):
        """All ask and answer from one address and one port there, some at the same time."""
        cluster = self.cluster()
        cluster.port = 7946
        names = [f"n{i}" for i in range(1, 6)]
        for i, name in enumerate(names):
            agent = SerfAgent(cluster, name, f"127.77.2.{6 + i}", False, ["-discover", "web", "-profile", "local"])
            cluster.agents[name] = agent
            agent.start()
        for agent in cluster.agents.values():
            wait_for("the others", lambda a=agent: a.rows() == dict.fromkeys(names, "alive"))
        wait_for("one to say so", lambda: any("agent.mdns: Joined " in a.log_text() for a in cluster.agents.values()))
        for agent in cluster.agents.values():
            self.assertNotIn("[WARN] agent.mdns", agent.log_text())

    def test_on_loopback_of_ipv6(self):
        """Where no group of IPv6 has a route on lo; those on 127.0.0.1 are no company."""
        cluster = self.cluster()
        agents = []
        for i, at in enumerate(("[::1]:7946", "[::1]:7947", "127.77.3.1:7946"), 1):
            agent = SerfAgent(cluster, f"n{i}", f"127.77.3.{i}", False, [
                "-bind", at, "-discover", "web", "-profile", "local"])
            cluster.agents[agent.name] = agent
            cluster.port = 7946
            agents.append(agent.start())
        for agent in agents[:2]:
            wait_for("the other", lambda a=agent: a.rows() == {"n1": "alive", "n2": "alive"})
        self.assertEqual(agents[2].rows(), {"n3": "alive"})
        for agent in agents:
            self.assertNotIn("Failed to join", agent.log_text())

    def test_over_ipv6(self):
        cluster = self.cluster()
        agents = [cluster.add(f"n{i}", False, ["-discover", "web"], address=f"fd77::{i}")
                  for i in (1, 2)]
        cluster.start()
        for agent in agents:
            self.found(agent, {"n1", "n2"})

    def test_bad_messages_change_nothing(self):
        cluster = self.cluster()
        agent = cluster.add("n1", False, ["-discover", "web"], address="10.77.0.1").start()
        self.found(agent, {"n1"})
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.bind(("10.77.0.2", 0))
            s.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("10.77.0.2"))
            for message in (b"", b"\0" * 11, b"\xff" * 9000, QUESTION[:-3],
                            b"\0\0\x84\0\xff\xff\xff\xff\xff\xff\xff\xff" + b"\xc0\x0c" * 500):
                for _ in range(50):
                    s.sendto(message, ("224.0.0.251", 5353))
        self.assertIn(b"Serf 'web' cluster", ask("10.77.0.3"))
        self.found(agent, {"n1"})

    def test_a_name_that_does_not_fit(self):
        cluster = self.cluster()
        agent = cluster.add("n1", False, ["-discover", "w" * 58], address="10.77.0.1").start()
        self.assertEqual(agent.wait(), 1)
        self.assertIn("is longer than 57 bytes", agent.log_text())


if __name__ == "__main__":
    in_own_namespace()
    main()
