"""Wrong flags, taken ports, foreign directories, hostile bytes: a clear word, and life goes on."""

import os
import random
import re
import signal
import socket
import subprocess
from datetime import datetime

from cluster import MUSTER, PATIENCE, ClusterTest, main, wait_for


def run(*words):
    return subprocess.run([MUSTER, *words], capture_output=True, text=True, timeout=PATIENCE)


class Start(ClusterTest):
    def refused(self, words, *texts):
        result = run("agent", *words)
        self.assertEqual(result.returncode, 1, result.stdout + result.stderr)
        for text in texts:
            self.assertIn(text, result.stderr + result.stdout)

    def test_flags_and_files(self):
        cluster = self.cluster()
        bad = os.path.join(cluster.dir, "bad.json")
        with open(bad, "w") as f:
            f.write('{\n "server": true,\n "bootsrap": true\n}\n')
        broken = os.path.join(cluster.dir, "broken.json")
        with open(broken, "w") as f:
            f.write('{"server": ')
        self.refused([], "==> data_dir cannot be empty")
        self.refused(["-nope"], "-nope")
        self.refused(["-data-dir", "/x", "extra"], "Unexpected extra arguments")
        self.refused(["-config-file", bad], "invalid config key bootsrap", "line 3",
                     "did you mean 'bootstrap'?")
        self.refused(["-config-file", broken], "unexpected end of JSON input")
        self.refused(["-config-file", "/nonexistent.json"], "no such file or directory")
        self.refused(["-data-dir", "/x", "-bootstrap"], "'bootstrap = true' requires")
        self.refused(["-data-dir", "/x", "-encrypt", "pUqJrVyVRj5"], "encrypt has invalid key")
        self.refused(["-data-dir", "/x", "-bind", "nonsense"], "bind_addr")
        self.assertEqual(run("nope").returncode, 127)
        self.assertEqual(run("agent", "-h").returncode, 0)

    def test_the_banner_is_the_first_output(self):
        cluster = self.cluster()
        with socket.create_server(("127.0.0.1", 0)) as taken:
            # Bound to every address it would choose one and say so; the taken port ends it early.
            result = run("agent", "-server", "-bootstrap-expect", "1", "-bind", "0.0.0.0",
                         "-server-port", str(taken.getsockname()[1]),
                         "-data-dir", os.path.join(cluster.dir, "any"))
        self.assertEqual(result.returncode, 1, result.stdout + result.stderr)
        if "No private IPv4 address found" not in result.stderr:
            self.assertIn("chose the one to advertise", result.stdout)
            self.assertTrue(result.stdout.startswith("==> Starting Consul agent...\n"),
                            result.stdout)

    def test_a_foreign_or_unwritable_data_directory(self):
        cluster = self.cluster()
        foreign = os.path.join(cluster.dir, "foreign")
        os.mkdir(foreign)
        with open(os.path.join(foreign, "raft.db"), "w") as f:
            f.write("somebody else's")
        agent = cluster.add("a", True, ["-bootstrap-expect", "1"])
        agent.data = foreign
        agent.start()
        self.assertEqual(agent.wait(), 1)
        self.assertIn("raft.db", agent.log_text())
        self.assertIn(foreign, agent.log_text())
        plain = os.path.join(cluster.dir, "plain")
        with open(plain, "w") as f:
            f.write("a file")
        self.refused(["-data-dir", plain, "-bind", "127.0.0.1"], f'data_dir "{plain}"')
        newer = os.path.join(cluster.dir, "newer")
        os.mkdir(newer)
        with open(os.path.join(newer, "format"), "w") as f:
            f.write("muster 2\n")
        self.refused(["-data-dir", newer, "-bind", "127.0.0.1"], "muster 2")

    def test_a_taken_port_and_a_directory_in_use(self):
        cluster = self.cluster()
        first = cluster.add("first", True, ["-bootstrap-expect", "1"]).start()
        wait_for("it to lead", first.leader)
        second = cluster.add("second", False, [], address=first.address).start()
        self.assertEqual(second.wait(), 1)
        self.assertIn("address already in use", second.log_text())
        third = cluster.add("third", False, [])
        third.data = first.data
        third.start()
        self.assertEqual(third.wait(), 1)
        self.assertIn("in use", third.log_text())
        self.assertTrue(first.leader())

    def test_a_second_node_of_one_name_gives_way(self):
        cluster = self.cluster(servers=1, clients=1)
        cluster.start().wait_ready()
        s1, k1 = cluster.agents["s1"], cluster.agents["k1"]
        twin = cluster.add("twin", False, list(k1.args))
        twin.command = lambda base=twin.command: [
            "k1" if word == "twin" else word for word in base()]
        twin.data = os.path.join(cluster.dir, "twin-data")
        twin.start()
        wait_for("the twin to say who holds the name",
                 lambda: k1.address in twin.log_text() and "k1" in twin.log_text())
        self.assertEqual(twin.wait(90), 1)
        lines = twin.log_text().splitlines()
        word = [line for line in lines if "Another living node" in line][0]
        end = [line for line in lines if "Giving up" in line][0]
        held = [datetime.fromisoformat(line.split()[0].rstrip("Z")) for line in (word, end)]
        self.assertLess((held[1] - held[0]).total_seconds(), 45)  # 30, and not its next try at 51
        for told in (k1.address, k1.get("/v1/agent/self").json()["Config"]["NodeID"], twin.address,
                     "own_id="):
            self.assertIn(told, word)
        self.assertIn("Stop the other node, or start this one with another -node", twin.log_text())
        self.assertEqual(s1.members()["k1"], 1)
        self.assertTrue(k1.running())

    def test_who_lives_in_another_network_stays_out(self):
        cluster = self.cluster(servers=1, clients=1)
        for agent in cluster.agents.values():
            agent.args += ["-serf-lan-allowed-cidrs", f"{cluster.prefix}.0/28",
                           "-serf-lan-allowed-cidrs", "fd00::/8"]
        cluster.start().wait_ready()
        s1, k1 = cluster.agents["s1"], cluster.agents["k1"]
        stranger = cluster.add("k9", args=["-retry-join", s1.address],
                               address=f"{cluster.prefix}.17").start()
        why = f"its address {stranger.address} is in none of the networks that may take part"
        wait_for("the stranger to hear why", lambda: why in stranger.log_text())
        wait_for("both to see both", lambda: len(s1.members()) == len(k1.members()) == 2)

    def test_a_living_members_record_is_put_right_at_once(self):
        cluster = self.cluster(servers=1, clients=1)
        cluster.start().wait_ready()
        s1, k1 = cluster.agents["s1"], cluster.agents["k1"]
        before = wait_for("its whole record", lambda: s1.get("/v1/catalog/node/k1").json()["Node"]
                          if s1.get("/v1/catalog/node/k1").json()["Node"]["Meta"] else None)
        s1.ok("PUT", "/v1/catalog/register", {"Node": "K1", "Address": "10.9.9.9"})

        def record():
            found = s1.get("/v1/catalog/node/k1").json()  # null: not there
            node = found["Node"] if found else {}
            return (node.get("ID"), node.get("Address")) == (before["ID"], k1.address)

        # The leader looks at everything each minute: this is sooner.
        wait_for("the address and id that gossip knows", record, 20)
        s1.ok("PUT", "/v1/catalog/deregister", {"Node": "k1"})
        wait_for("it to be registered again", record, 20)

    def test_wrong_bytes_on_every_port(self):
        cluster = self.cluster(servers=1, clients=1)
        cluster.start().wait_ready()
        s1 = cluster.agents["s1"]
        seed = random.randrange(1 << 30)
        rand = random.Random(seed)
        print("seed", seed)
        for port in (8300, 8301, 8500, 8600):
            for _ in range(40):
                data = rand.randbytes(rand.randrange(1, 3000))
                with socket.socket() as s:
                    s.settimeout(2)
                    s.connect((s1.address, port))
                    try:
                        s.sendall(data)
                    except OSError:
                        pass
        for port in (8301, 8600):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
                for _ in range(300):
                    s.sendto(rand.randbytes(rand.randrange(1, 1400)), (s1.address, port))
                for _ in range(100):  # the right beginning, then nonsense
                    s.sendto(b"mu\x01\x04" + rand.randbytes(rand.randrange(1, 1000)),
                             (s1.address, port))
        self.assertEqual(s1.get("/v1/agent/self").status, 200)
        s1.ok("PUT", "/v1/kv/still", "alive")
        self.assertEqual(s1.dig("s1.node.consul"), [s1.address])

    def test_a_crowd_that_has_gone_is_none(self):
        cluster = self.cluster(servers=1, clients=0)
        cluster.start().wait_ready()
        s1 = cluster.agents["s1"]
        answer = s1.meets_a_crowd(8500, 400, b"GET /v1/status/leader HTTP/1.0\r\n\r\n")
        self.assertRegex(answer, rb"^HTTP/1\.. 200 ")  # 200 of one address are a crowd

    def test_strangers_at_the_rpc_port_are_counted_and_said_once(self):
        cluster = self.cluster(servers=1, clients=0)
        cluster.start().wait_ready()
        s1 = cluster.agents["s1"]
        for i in range(200):
            with socket.create_connection((s1.address, 8300)) as client:
                client.settimeout(PATIENCE)
                client.sendall((b"GET / HTTP/1.0\r\n\r\n", b"\x16\x03\x01" + bytes(300))[i % 2])
                try:
                    while client.recv(65536):
                        pass
                except ConnectionError:
                    pass
        log = s1.log_text()
        said = re.findall(r"Closing a connection that broke the protocol: from=\S+ error=.* times=1\n", log)
        self.assertEqual((len(said), log.count("Closing a connection")), (2, 2))  # two kinds
        metrics = s1.get("/v1/agent/metrics").json()
        hung_up = [c["Sum"] for c in metrics["Counters"] if c["Name"].endswith("rpc.hung_up")]
        self.assertEqual(hung_up, [200])
        s1.ok("PUT", "/v1/kv/still", "alive")

    def test_malformed_dns_is_counted_and_said_once(self):
        cluster = self.cluster(servers=1, clients=0)
        cluster.start().wait_ready()
        s1 = cluster.agents["s1"]

        def counted(name, label=None):
            return sum(c["Sum"] for c in s1.get("/v1/agent/metrics").json()["Counters"]
                       if c["Name"] == "consul.dns." + name and label in (None, c["Labels"].get("rcode")))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.settimeout(PATIENCE)
            s.connect((s1.address, 8600))
            for _ in range(100):
                s.send(b"\0\7\0\0\0\1\0\0\0\0\0\0\77half a name")
                self.assertEqual(s.recv(512)[3] & 15, 1)  # FORMERR
                s.send(b"no header")
        with socket.create_connection((s1.address, 8600)) as s:
            s.settimeout(PATIENCE)
            s.sendall(b"\0\1x")
            self.assertEqual(s.recv(1), b"")
        self.assertEqual(s1.dig("s1.node.consul"), [s1.address])
        self.assertEqual((counted("malformed"), counted("answers", "FORMERR")), (201, 100))
        self.assertEqual(counted("dropped"), 100)
        self.assertGreaterEqual(counted("answers", "NOERROR"), 1)
        said = re.findall(r"agent.dns: A DNS message is malformed: client=127\S+ reason=.* times=1\n",
                          s1.log_text())
        self.assertEqual((len(said), s1.log_text().count("is malformed")), (1, 1))

    def test_requests_that_are_wrong(self):
        cluster = self.cluster(servers=1, clients=1)
        cluster.start().wait_ready()
        s1 = cluster.agents["s1"]
        for agent in cluster.agents.values():
            for method, path, body, status, text in (
                ("PUT", "/v1/agent/service/register", "{", 400, "unexpected EOF"),
                ("PUT", "/v1/agent/service/register", "{}", 400, "Missing service name"),
                ("PUT", "/v1/agent/service/register", '{"Name":"a","Foo":1}', 400,
                 'unknown field "Foo"'),
                ("PUT", "/v1/agent/service/register", '{"Name":"a","Port":"x"}', 400,
                 "Request decode failed"),
                ("PUT", "/v1/agent/check/pass/nope", None, 500, "nope"),
                ("GET", "/v1/kv/a?index=x", None, 400, "Invalid index"),
                ("GET", "/v1/kv/a?wait=10&index=1", None, 400, "Invalid wait time"),
                ("GET", "/v1/catalog/nodes?stale&consistent", None, 400, "conflicting semantics"),
                ("PUT", "/v1/kv/big", "x" * (512 * 1024 + 1), 413, "too large, max size: 524288"),
                ("PUT", "/v1/catalog/register", "{}", 500, "Must provide node"),
                ("POST", "/v1/catalog/nodes", None, 405, "method POST not allowed"),
                ("GET", "/v1/nope", None, 404, ""),
                ("GET", "/v1/catalog/nodes?dc=dc9", None, 500, "No path to datacenter"),
            ):
                answer = agent.http(method, path, body)
                self.assertEqual((agent.name, path, answer.status), (agent.name, path, status),
                                 answer.text)
                self.assertIn(text, answer.text)
        self.assertEqual(s1.get("/v1/agent/self").status, 200)

    def test_second_signal_and_sighup(self):
        cluster = self.cluster(servers=1, clients=0)
        cluster.start().wait_ready()
        s1 = cluster.agents["s1"]
        s1.send(signal.SIGHUP)
        wait_for("a word about reload", lambda: "reload" in s1.log_text().lower())
        self.assertTrue(s1.running())
        self.assertEqual(s1.terminate(signal.SIGTERM), 1)


if __name__ == "__main__":
    main(at_once=4)
