"""A write is carried out once and answered, whatever becomes of the leader that had it."""

import http.client
import json
import signal
import threading
import uuid

from cluster import PATIENCE, ClusterTest, main, wait_for


class Counter(threading.Thread):
    """The only writer of its key: each step is a check-and-set on what the one before gave. A step
    that was carried out and sent again would be told `false`."""

    def __init__(self, number, agent):
        super().__init__()
        self.key, self.agent = f"counter/{number}", agent
        self.stopping = threading.Event()
        self.steps, self.wrong = 0, []

    def step(self, index):
        answer = self.agent.put(f"/v1/kv/{self.key}?cas={index}", str(self.steps), timeout=30)
        if answer.status != 200 or answer.text != "true":
            self.wrong.append((self.steps, answer.status, answer.text))
            return None
        self.steps += 1
        return self.agent.ok("GET", f"/v1/kv/{self.key}").json()[0]["ModifyIndex"]

    def run(self):
        index = 0
        while index is not None and not self.stopping.is_set():
            index = self.step(index)


class Once(ClusterTest):
    def test_a_write_survives_the_leader_that_had_it(self):
        cluster = self.cluster(servers=3, clients=0)
        cluster.start().wait_ready()
        for turn, how in enumerate(("kill", "stop", "kill")):
            leader = cluster.leader()
            others = [s for s in cluster.servers() if s is not leader]
            counters = [Counter(f"{turn}-{i}", others[i % 2]) for i in range(16)]
            for counter in counters:
                counter.start()
            try:
                wait_for("all to count", lambda c=counters: any(x.wrong for x in c)
                         or min(x.steps for x in c) > 5)
                if how == "kill":
                    leader.kill()
                else:
                    leader.send(signal.SIGSTOP)  # it still has the connections, and says nothing
                before = [c.steps for c in counters]
                wait_for("all to go on", lambda c=counters, b=before: any(
                    x.wrong for x in c) or all(x.steps > n + 5 for x, n in zip(c, b)), PATIENCE * 2)
            finally:
                if how == "stop":
                    leader.send(signal.SIGCONT)
                for counter in counters:
                    counter.stopping.set()
                for counter in counters:
                    counter.join()
            self.assertEqual([c.wrong for c in counters if c.wrong], [])
            for counter in counters:
                self.assertEqual(int(others[0].get(f"/v1/kv/{counter.key}?raw").text),
                                 counter.steps - 1)
            if how == "kill":
                leader.start()
            wait_for("it to follow", leader.leader)
            cluster.wait_ready()

    def test_a_client_may_ask_again_with_its_id(self):
        cluster = self.cluster(servers=3, clients=1)
        cluster.start().wait_ready()
        k1 = cluster.agents["k1"]
        once = {"X-Muster-Request-Id": str(uuid.uuid4())}
        self.assertEqual(k1.put("/v1/kv/a?cas=0", "1", headers=once).text, "true")
        leader = cluster.leader()
        leader.kill()
        other = next(s for s in cluster.servers() if s.running())
        for agent in (k1, other):
            answer = wait_for("an answer", lambda a=agent: (
                lambda r: r.status == 200 and r)(a.put("/v1/kv/a?cas=0", "1", headers=once)))
            self.assertEqual(answer.text, "true")
        self.assertEqual(k1.put("/v1/kv/a?cas=0", "2", headers=once).status, 409)
        self.assertEqual(k1.put("/v1/kv/a?cas=0", "1").text, "false")

    def test_what_was_answered_is_seen_and_stays(self):
        cluster = self.cluster(servers=3, clients=0)
        cluster.start().wait_ready()
        leader = cluster.leader()
        connection = http.client.HTTPConnection(leader.address, 8500, timeout=PATIENCE)

        def ask(method, path, body=None):
            connection.request(method, path, body=body)
            return connection.getresponse().read().decode()

        # Answers come when a write is committed: whoever reads next, also from the local state,
        # finds it. Alone on its connection, so that nothing else makes the leader apply it.
        for i in range(200):
            self.assertEqual(ask("PUT", f"/v1/kv/seen/{i % 7}", f"value {i}"), "true")
            how = ("stale", "consistent", "stale")[i % 3]
            self.assertEqual(ask("GET", f"/v1/kv/seen/{i % 7}?raw&{how}"), f"value {i}")
        # A key that is set unconditionally is the base of one that is set on a condition.
        index = json.loads(ask("GET", "/v1/kv/seen/0"))[0]["ModifyIndex"]
        self.assertEqual(ask("PUT", "/v1/kv/seen/0", "meanwhile"), "true")
        self.assertEqual(ask("PUT", f"/v1/kv/seen/0?cas={index}", "late"), "false")
        # Nobody has to have applied it for it to stay.
        for i in range(50):
            self.assertEqual(ask("PUT", f"/v1/kv/stays/{i}", f"value {i}"), "true")
        for server in cluster.servers():
            server.kill()
        connection.close()
        for server in cluster.servers():
            server.start()
        cluster.wait_ready()
        leader = cluster.leader()
        for i in range(50):
            self.assertEqual(leader.get(f"/v1/kv/stays/{i}?raw").text, f"value {i}")


if __name__ == "__main__":
    main()
