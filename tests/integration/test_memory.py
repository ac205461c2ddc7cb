"""What grows under load is bounded, counted in bytes: after a mixture of loads, under overload, and
with clients that do not read."""

import base64
import http.client
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

from cluster import PATIENCE, ClusterTest, main, wait_for

LARGE = b"l" * (256 * 1024)
LIST_KEYS = 10  # of LARGE: one answer of 3.5 MB
WATCHERS = 30


class Memory(ClusterTest):
    def setUp(self):
        super().setUp()
        self.all = self.cluster(servers=3, clients=0, args=[
            "-hcl", "limits { http_max_conns_per_client = 10000 }"])
        self.all.start().wait_ready()

    def parts(self, server):
        answer = server.ok("GET", "/v1/agent/metrics").json()
        found = {}
        for m in answer["Gauges"]:
            if m["Name"].startswith("consul.memory."):
                found.setdefault(m["Labels"]["part"], {})[m["Name"].split(".")[-1]] = m["Value"]
        return found

    def evicted(self, server):
        answer = server.ok("GET", "/v1/agent/metrics").json()
        return sum(c["Count"] for c in answer["Counters"] if c["Name"] == "consul.http.evicted")

    def check_bounds(self):
        for server in self.all.servers():
            parts = self.parts(server)
            self.assertEqual(set(parts), {"http_bodies", "http_answers", "rpc_answers",
                                          "rpc_calls", "log_entries", "apply"})
            for name, p in parts.items():
                self.assertLessEqual(p["most_bytes"], p["max_bytes"], f"{server.name} {name}")
                self.assertLessEqual(p["bytes"], p["most_bytes"], f"{server.name} {name}")

    def put_many(self, server, threads, puts, value):
        """Some are refused when there are too many: nothing else may happen to them."""
        def run(n):
            said = set()
            c = http.client.HTTPConnection(server.address, 8500, timeout=60)
            for i in range(puts):
                c.request("PUT", f"/v1/kv/many/{n % 8}/{i % 4}", value)
                r = c.getresponse()
                r.read()
                said.add(r.status)
            c.close()
            return said

        with ThreadPoolExecutor(threads) as pool:  # whose failures are ours
            said = set().union(*pool.map(run, range(threads)))
        self.assertLessEqual(said, {200, 429, 500})
        self.assertIn(200, said)

    def test_overload_after_other_loads(self):
        leader = self.all.leader()
        self.put_many(leader, 8, 40, b"s")
        self.put_many(leader, 8, 8, LARGE)
        self.put_many(leader, 200, 3, b"m" * 16 * 1024)
        parts = self.parts(leader)
        self.assertGreater(parts["http_bodies"]["most_bytes"], len(LARGE))  # it was counted
        self.assertGreater(parts["log_entries"]["most_bytes"], len(LARGE))
        self.assertGreater(parts["apply"]["most_bytes"], len(LARGE))
        self.check_bounds()
        wait_for("nothing to be under way", lambda: all(
            self.parts(s)["http_bodies"]["bytes"] == 0 and self.parts(s)["apply"]["bytes"] < 1e5 and
            self.parts(s)["rpc_calls"]["bytes"] < 1e5 for s in self.all.servers()))

    def listing(self, server):
        return server.http("GET", "/v1/kv/list/?recurse", timeout=60)

    def deaf(self, server):
        """Asks for a large answer and does not read it."""
        s = socket.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        s.connect((server.address, 8500))
        s.sendall(b"GET /v1/kv/list/?recurse HTTP/1.1\r\nHost: m\r\n\r\n")
        return s

    def test_clients_that_do_not_read(self):
        leader = self.all.leader()
        for i in range(LIST_KEYS):
            self.assertEqual(leader.put(f"/v1/kv/list/{i}", LARGE).status, 200)
        self.assertEqual(len(self.listing(leader).json()), LIST_KEYS)
        deaf = []

        def one_more():  # how much of an answer the kernel takes is its own business
            deaf.append(self.deaf(leader))
            return self.evicted(leader) > 0
        wait_for("the first of those who do not read to go", one_more)
        self.assertGreater(self.parts(leader)["http_answers"]["most_bytes"], 16e6)
        answer = wait_for("a client that reads to get its answer", lambda: [
            a for a in [self.listing(leader)] if a.status == 200])[0]
        self.assertEqual([base64.b64decode(k["Value"]) for k in answer.json()], [LARGE] * LIST_KEYS)
        self.assertEqual(leader.get("/v1/kv/list/1?raw").body, LARGE)
        self.check_bounds()
        for s in deaf:
            s.close()
        wait_for("the room to be free again",
                 lambda: self.parts(leader)["http_answers"]["bytes"] < 1e5)

    def test_watchers_of_something_large(self):
        """All woken at once: they are answered one after the other."""
        leader = self.all.leader()
        for i in range(LIST_KEYS):
            leader.put(f"/v1/kv/list/{i}", LARGE)
        index = self.listing(leader).index
        asked = threading.Barrier(WATCHERS + 1)

        def watch(_):
            c = http.client.HTTPConnection(leader.address, 8500, timeout=60)
            c.request("GET", f"/v1/kv/list/?recurse&index={index}&wait=60s")
            asked.wait(PATIENCE)
            r = c.getresponse()
            answer = r.status, len(r.read())
            c.close()
            return answer

        with ThreadPoolExecutor(WATCHERS) as pool:
            coming = pool.map(watch, range(WATCHERS))
            asked.wait(PATIENCE)
            self.assertEqual(leader.get("/v1/agent/self").status, 200)  # they have been read
            self.assertEqual(leader.put("/v1/kv/list/0", b"x").status, 200)
            answers = list(coming)
        self.assertEqual({status for status, _ in answers}, {200})
        self.assertEqual(len({size for _, size in answers}), 1)
        self.check_bounds()


class Rest(ClusterTest):
    def resident_text(self, agent):
        """Of the executable, in kB."""
        total, is_text = 0, False
        with open(f"/proc/{agent.process.pid}/smaps", encoding="utf-8") as f:
            for line in f:
                words = line.split()
                if "-" in words[0] and len(words) > 4:
                    is_text = words[1] == "r-xp" and line.rstrip().endswith("/muster")
                elif words[0] == "Rss:" and is_text:
                    total += int(words[1])
        return total

    def test_client_at_rest_gives_back_what_work_has_touched(self):
        """Not once after its start only: after each storm."""
        cluster = self.cluster(servers=1, clients=1)
        cluster.start().wait_ready()
        client = cluster.agents["k1"]
        for _ in range(2):
            for path in ("/v1/agent/self", "/v1/agent/metrics", "/v1/catalog/nodes", "/v1/kv/?keys",
                         "/v1/agent/members", "/v1/coordinate/nodes", "/v1/event/list") * 20:
                client.get(path)
            busy = self.resident_text(client)
            self.assertGreater(busy, 0)
            wait_for("it to let go of what it does not need",
                     lambda most=busy: self.resident_text(client) < most * 3 / 4, pause=0.2)


if __name__ == "__main__":
    main()
