"""test_dns.py - the DNS transcripts (tests/data/web/dns), asked of a real agent over its sockets.

The unit test gives the same questions to the answering code with rows of its own; here they go
through HTTP registration, consensus, SQLite, the prepared rows and UDP or TCP. Blocks that need a
server without a catalog, or a seeded generator, stay with the unit test.
"""

import glob
import json
import os
import re
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "integration"))

from cluster import ClusterTest, main, wait_for  # noqa: E402

ASK = os.environ.get("DNS_ASK", "dns_ask")
DATA = os.path.join(HERE, "..", "data", "web", "dns")
ONLY_IN_UNIT = {"no_catalog", "seeded"}


def blocks(path):
    """Each block as (line, commands, expected text)."""
    commands, expected, at = [], None, 0
    with open(path) as f:
        for number, line in enumerate(f.read().split("\n"), 1):
            if expected is not None:
                if line:
                    expected.append(line)
                    continue
                yield at, commands, expected
                commands, expected = [], None
            elif line == "----":
                expected, at = [], number
            elif line and not line.startswith("#"):
                commands.append(line.split())
    if expected is not None:
        yield at, commands, expected


def configuration(words):
    """The words behind `config` as an agent's configuration."""
    said = dict(word.split("=", 1) for word in words)
    flags = {"only_passing", "enable_truncate", "disable_compression"}
    numbers = {"udp_answer_limit", "a_record_limit", "udp_payload_max"}
    dns = {}
    for key, value in said.items():
        if key in flags:
            dns[key] = value == "1"
        elif key in numbers:
            dns[key] = int(value)
        elif key == "node_meta_txt":
            dns["enable_additional_node_meta_txt"] = value == "1"
        elif key == "node_ttl":
            dns["node_ttl"] = value + "s"
        elif key == "service_ttl":
            dns["service_ttl"] = {k: v + "s" for k, v in
                                  (pair.split(":") for pair in value.split(","))}
        elif key.startswith("soa_"):
            dns.setdefault("soa", {})[key[4:]] = int(value)
        else:
            assert key == "alt_domain", key
    more = {"alt_domain": said["alt_domain"]} if "alt_domain" in said else {}
    return {"dns_config": dns, **more}


def own_id(number):
    """Ids by chance may begin like those that the transcripts ask for by their beginning."""
    return ["-node-id", f"f0000000-0000-4000-8000-{number:012}"]


class Dns(ClusterTest):
    def config_file(self, cluster, config):
        path = os.path.join(cluster.dir, "dns.json")
        with open(path, "w") as f:
            json.dump(config, f)
        return ["-config-file", path]

    def register(self, agent):
        lines = subprocess.run([ASK, "fixture"], capture_output=True, text=True,
                               check=True).stdout.splitlines()
        for line in lines:
            agent.ok("PUT", "/v1/catalog/register", line)

    def server(self, config):
        """A server of its own with the fixture registered, ready to be asked."""
        cluster = self.cluster()
        agent = cluster.add("srv1", True, ["-bootstrap-expect", "1", *own_id(1),
                                           *self.config_file(cluster, config)])
        cluster.start().wait_ready()
        self.register(agent)
        wait_for("the server's own service in DNS", lambda: agent.dig("consul.service.consul"))
        return agent

    def client(self):
        """A client agent of such a server."""
        server = self.server({})
        agent = server.cluster.add("c1", False, ["-retry-join", server.address, *own_id(2)])
        agent.start()
        wait_for("the client to resolve", lambda: agent.dig("consul.service.consul"))
        return agent

    def said(self, agent, commands):
        text = "".join(" ".join(words) + "\n" for words in commands)
        run = subprocess.run([ASK, agent.address + ":8600"], input=text, capture_output=True,
                             text=True)
        self.assertEqual(run.returncode, 0, run.stderr)
        # What differs from the fixture: the server's address, and when it is asked.
        out = run.stdout.replace(agent.cluster.agents["srv1"].address, "127.0.0.1")
        return re.sub(r"( SOA \S+ \S+) \d+ ", r"\1 1700000000 ", out).rstrip("\n").split("\n")

    def transcript(self, name, agent=None):
        agent, asked = agent or self.server({}), 0
        for line, commands, expected in blocks(os.path.join(DATA, name)):
            if any(ONLY_IN_UNIT & set(words) for words in commands):
                continue
            said = []
            while commands:
                if commands[0][0] == "config":
                    agent.kill()
                    agent = self.server(configuration(commands.pop(0)[1:]))
                    continue
                count = next((i for i, words in enumerate(commands) if words[0] == "config"),
                             len(commands))
                said += self.said(agent, commands[:count])
                asked += count
                commands = commands[count:]
            self.assertEqual("\n".join(said), "\n".join(expected), f"{name}:{line}")
        self.assertGreater(asked, 10)

    def test_every_transcript_is_asked(self):
        names = {os.path.basename(path) for path in glob.glob(os.path.join(DATA, "*.txt"))}
        tested = {"literal.txt", "nodes.txt", "services.txt", "settings.txt", "size.txt",
                  "zone.txt"}
        self.assertEqual(names, tested)

    def test_nodes(self):
        self.transcript("nodes.txt")

    def test_services(self):
        self.transcript("services.txt")

    def test_literal(self):
        self.transcript("literal.txt")

    def test_zone(self):
        self.transcript("zone.txt")

    def test_size(self):
        self.transcript("size.txt")

    def test_settings(self):
        self.transcript("settings.txt")

    def test_through_a_client_agent(self):
        agent = self.client()
        for name in ("nodes.txt", "services.txt", "literal.txt", "zone.txt"):
            self.transcript(name, agent)

    def asked(self, agent, *words):
        """The first line of an answer, and how long it took."""
        started = time.monotonic()
        line = self.said(agent, [["count", *words]])[0]
        return line, time.monotonic() - started

    def without_catalog(self, agent):
        """C22: names cannot be looked up, and that is said in time; the rest stands."""
        line, seconds = self.asked(agent, "web.service.consul", "A")
        self.assertEqual(line, "SERVFAIL aa rd")
        self.assertLess(seconds, 2.5)
        self.assertEqual(self.asked(agent, "consul", "SOA")[0],
                         "NOERROR aa rd; answer 1 SOA")
        self.assertEqual(self.asked(agent, "foo.consul", "A")[0],
                         "NXDOMAIN aa rd; authority 1 SOA")
        self.assertEqual(self.asked(agent, "0a010001.addr.consul", "A")[0],
                         "NOERROR aa rd; answer 1 A")
        self.assertEqual(self.asked(agent, "www.example.com", "A")[0], "REFUSED rd")

    def test_a_server_that_never_had_a_leader(self):
        cluster = self.cluster()
        agent = cluster.add("srv1", True, ["-bootstrap-expect", "3"])
        cluster.start()
        wait_for("DNS to answer", lambda: agent.rcode("consul", "SOA"))
        self.without_catalog(agent)

    def test_a_client_that_has_no_server(self):
        cluster = self.cluster()
        cluster.add("srv1", True)
        agent = cluster.add("c1", False)
        agent.start()
        wait_for("DNS to answer", lambda: agent.rcode("consul", "SOA"))
        self.without_catalog(agent)

    def test_a_copy_outlives_the_leader(self):
        """C23; and with allow_stale off a name fails in time."""
        cluster = self.cluster()
        first = cluster.count + 1
        joins = [word for i in range(3)
                 for word in ("-retry-join", f"{cluster.prefix}.{first + i}")]
        strict = self.config_file(cluster, {"dns_config": {"allow_stale": False}})
        for i in range(3):
            cluster.add(f"srv{i + 1}", True, ["-bootstrap-expect", "3", *joins,
                                              *(strict if i == 1 else [])])
        cluster.start().wait_ready()
        keeps, fails, gone = (cluster.agents[f"srv{i}"] for i in (1, 2, 3))
        self.register(keeps)
        two = "NOERROR aa rd; answer 2 A"
        for agent in (keeps, fails):
            wait_for("the fixture to be everywhere",
                     lambda a=agent: self.asked(a, "web.service.consul", "A")[0] == two)
        gone.kill()
        fails.kill()
        line, seconds = self.asked(keeps, "web.service.consul", "A")
        self.assertEqual(line, two)
        fails.start()
        gone.start()
        cluster.wait_ready()
        keeps.kill()
        gone.kill()
        wait_for("a name to fail without a leader",
                 lambda: self.asked(fails, "web.service.consul", "A")[0] == "SERVFAIL aa rd")
        line, seconds = self.asked(fails, "web.service.consul", "A")
        self.assertEqual(line, "SERVFAIL aa rd")
        self.assertLess(seconds, 2.5)


if __name__ == "__main__":
    main()
