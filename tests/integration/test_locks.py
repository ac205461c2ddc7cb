"""Sessions and locks between real processes: who holds what, and when it comes free."""

import signal
import subprocess
import sys
import threading
import time

from cluster import PATIENCE, ClusterTest, main, wait_for

# Where Debian keeps the packages of its own python3, whichever one runs this.
sys.path.append("/usr/lib/python3/dist-packages")
import consul  # noqa: E402  python3-consul


def session(agent, **more):
    return agent.ok("PUT", "/v1/session/create", more).json()["ID"]


def holder(agent, key):
    answer = agent.get(f"/v1/kv/{key}")
    return answer.json()[0].get("Session") if answer.status == 200 else None


def acquire(agent, key, who, value="x"):
    return agent.ok("PUT", f"/v1/kv/{key}?acquire={who}", value).text == "true"


class Sessions(ClusterTest):
    def test_a_dead_nodes_lock_goes_to_the_next_after_its_delay(self):
        cluster = self.cluster(servers=3, clients=2)
        cluster.start().wait_ready()
        k1, k2 = cluster.agents["k1"], cluster.agents["k2"]
        first = session(k1, LockDelay="3s")
        second = session(k2)
        self.assertEqual(k1.get(f"/v1/session/info/{first}").json()[0]["Node"], "k1")
        self.assertTrue(acquire(k1, "service/leader", first))
        self.assertFalse(acquire(k2, "service/leader", second))
        # The next one waits as clients do: a blocking query on the key.
        index = k2.get("/v1/kv/service/leader").index
        k1.kill()
        released = k2.get(f"/v1/kv/service/leader?index={index}&wait=60s", timeout=90)
        freed = time.monotonic()
        self.assertFalse(acquire(k2, "service/leader", second), "it is in its lock-delay")
        self.assertNotIn("Session", released.json()[0])
        # In the very entry in which its node's health is critical.
        checks = {c["CheckID"]: c for c in k2.get("/v1/health/node/k1").json()}
        self.assertEqual(checks["serfHealth"]["ModifyIndex"], released.json()[0]["ModifyIndex"])
        self.assertEqual(k2.get(f"/v1/session/info/{first}").json(), [])
        wait_for("the lock to come free", lambda: acquire(k2, "service/leader", second))
        self.assertGreater(time.monotonic() - freed, 2.5, "before the delay was over")
        self.assertEqual(holder(k2, "service/leader"), second)

    def test_a_holder_that_slept_is_kept_out_by_its_fence(self):
        cluster = self.cluster(servers=3, clients=1, args=[
            "-hcl", 'reconcile { remove_failed_after = "1h" }'])
        cluster.start().wait_ready()
        s1, k1 = cluster.agents["s1"], cluster.agents["k1"]
        sleeper, next_one = session(k1, LockDelay="0s"), session(s1)
        self.assertTrue(acquire(k1, "job", sleeper))
        fence = k1.get("/v1/kv/job").json()[0]
        k1.send(signal.SIGSTOP)
        wait_for("the lock to come free", lambda: acquire(s1, "job", next_one))
        k1.send(signal.SIGCONT)
        # It believes that it still holds the lock. What it was given with it is refused.
        wait_for("it to be back", lambda: k1.get("/v1/kv/job", timeout=2).status == 200)
        self.assertEqual(k1.put(f"/v1/kv/job?cas={fence['ModifyIndex']}", "late").text, "false")
        self.assertEqual(k1.put(f"/v1/kv/job?release={sleeper}", "late").text, "false")
        guarded = k1.put("/v1/txn", [
            {"KV": {"Verb": "check-session", "Key": "job", "Session": sleeper}},
            {"KV": {"Verb": "set", "Key": "result", "Value": "bGF0ZQ=="}}])
        self.assertEqual(guarded.status, 409, guarded.text)
        self.assertEqual(k1.get("/v1/kv/result").status, 404)
        row = k1.get("/v1/kv/job").json()[0]
        self.assertEqual((row["Session"], row["LockIndex"]), (next_one, fence["LockIndex"] + 1))
        self.assertEqual(k1.put(f"/v1/session/renew/{sleeper}").status, 404)

    def test_a_removed_node_takes_its_sessions_with_it(self):
        cluster = self.cluster(servers=1, clients=1, args=[
            "-hcl", 'reconcile { remove_failed_after = "1s" }'])
        cluster.start().wait_ready()
        s1, k1 = cluster.agents["s1"], cluster.agents["k1"]
        unchecked = session(k1, NodeChecks=[], Behavior="delete", LockDelay="0s")
        self.assertTrue(acquire(k1, "alive/k1", unchecked))
        k1.kill()
        wait_for("its node to go", lambda: "k1" not in s1.catalog_nodes())
        self.assertEqual(s1.get(f"/v1/session/info/{unchecked}").json(), [])
        self.assertEqual(s1.get("/v1/kv/alive/k1").status, 404)

    def test_a_session_with_a_ttl_ends_unless_it_is_renewed(self):
        cluster = self.cluster(servers=3, clients=1, args=["-hcl", 'session_ttl_min = "1s"'])
        cluster.start().wait_ready()
        k1 = cluster.agents["k1"]
        follower = next(s for s in cluster.servers() if s is not cluster.leader())
        renewed = session(k1, TTL="2s", NodeChecks=[])
        left = session(k1, TTL="2s", NodeChecks=[], LockDelay="0s")
        began = time.monotonic()
        self.assertTrue(acquire(k1, "mine", left))

        def keep():
            for agent in (k1, follower):
                answer = agent.put(f"/v1/session/renew/{renewed}")
                self.assertEqual(answer.status, 200, answer.text)
                self.assertEqual(answer.json()[0]["ID"], renewed)
            return k1.get(f"/v1/session/info/{left}").json() == []

        wait_for("the other to end", keep)
        self.assertGreater(time.monotonic() - began, 3.9, "earlier than twice its TTL")
        self.assertIsNone(holder(k1, "mine"))
        gone = follower.put(f"/v1/session/renew/{left}")
        self.assertEqual((gone.status, gone.text), (404, f"Session id '{left}' not found"))
        # A new leader gives it its full time again, and somebody must end it in the end.
        killed = cluster.leader()
        killed.kill()
        other = next(s for s in cluster.servers() if s.running())
        wait_for("another leader", lambda: other.leader() not in ("", f"{killed.address}:8300"))
        wait_for("the session to end", lambda: other.get(
            f"/v1/session/info/{renewed}").json() == [])

    def test_curl_takes_a_lock(self):
        cluster = self.cluster(servers=1, clients=0)
        cluster.start().wait_ready()
        s1 = cluster.agents["s1"]
        wait_for("its health", lambda: s1.get("/v1/health/node/s1").json()[0]["Status"] == "passing")

        def curl(*words):
            run = subprocess.run(["curl", "-s", "--max-time", str(PATIENCE), *words],
                                 capture_output=True, text=True, timeout=PATIENCE * 2)
            self.assertEqual(run.returncode, 0)
            return run.stdout

        base = f"http://{s1.address}:8500/v1"
        created = curl("-X", "PUT", "-d", '{"Name": "from a shell", "TTL": "30s"}',
                       f"{base}/session/create")
        who = created.split('"')[3]
        self.assertEqual(curl("-X", "PUT", "-d", "me", f"{base}/kv/a?acquire={who}"), "true")
        self.assertIn(who, curl(f"{base}/kv/a"))
        self.assertEqual(curl("-X", "PUT", f"{base}/kv/a?release={who}"), "true")
        self.assertEqual(curl("-X", "PUT", f"{base}/session/destroy/{who}"), "true")

    def test_python_consul_takes_a_lock(self):
        cluster = self.cluster(servers=3, clients=1)
        cluster.start().wait_ready()
        k1 = cluster.agents["k1"]
        client = consul.Consul(host=k1.address, port=8500)
        mine = client.session.create(name="mine", behavior="delete", ttl=30, lock_delay=1)
        other = client.session.create(checks=[], lock_delay=1)
        self.assertTrue(client.kv.put("lock", "v", acquire=mine))
        self.assertFalse(client.kv.put("lock", "v", acquire=other))
        index, row = client.kv.get("lock")
        self.assertEqual((row["Session"], row["LockIndex"], row["Value"]), (mine, 1, b"v"))
        self.assertEqual(client.session.renew(mine)["ID"], mine)
        index, sessions = client.session.list()
        self.assertEqual({mine, other}, {s["ID"] for s in sessions})
        self.assertEqual(len(client.session.node("k1")[1]), 2)
        self.assertEqual(client.session.info(mine)[1]["Name"], "mine")
        self.assertTrue(client.kv.put("lock", "w", release=mine))
        self.assertTrue(client.session.destroy(mine))
        with self.assertRaises(consul.base.NotFound):
            client.session.renew(mine)
        index, row = client.kv.get("lock")
        self.assertEqual(row["Value"], b"w")


class Contender(threading.Thread):
    """Takes the lock, notes that it is inside, gives it back; through any server that answers."""

    def __init__(self, number, agents, who, record):
        super().__init__()
        self.number, self.agents, self.who, self.record = number, agents, who, record
        self.stopping = threading.Event()
        self.rounds = 0

    def ask(self, method, path, body=None):
        """An answer that is no failure; the outcome of an earlier try may be unknown."""
        while not self.stopping.is_set():
            agent = self.agents[self.rounds % len(self.agents)]
            try:
                answer = agent.http(method, path, body, timeout=15)
                if answer.status in (200, 404):
                    return answer
            except OSError:
                pass
            self.rounds += 1
        return None

    def run(self):
        while not self.stopping.is_set():
            answer = self.ask("PUT", f"/v1/kv/contended?acquire={self.who}", str(self.number))
            if answer is None or answer.text != "true":
                continue
            row = self.ask("GET", "/v1/kv/contended")
            if row is None:
                return
            self.record.append(("in", self.number, row.json()[0]["LockIndex"]))
            self.rounds += 1
            self.record.append(("out", self.number, 0))
            self.ask("PUT", f"/v1/kv/contended?release={self.who}")


class Contention(ClusterTest):
    def test_a_killed_leader_never_leaves_two_holders(self):
        cluster = self.cluster(servers=3, clients=0)
        cluster.start().wait_ready()
        record = []  # appended to by all threads: its order is that of what happened
        servers = cluster.servers()
        contenders = [Contender(i, servers[i % 3:] + servers[:i % 3],
                                session(servers[0], NodeChecks=[]), record) for i in range(6)]
        for contender in contenders:
            contender.start()
        try:
            for _ in range(2):
                seen = len(record)
                wait_for("the lock to change hands", lambda n=seen: len(record) > n + 40)
                leader = cluster.leader()
                leader.kill()
                seen = len(record)
                wait_for("it to go on", lambda n=seen: len(record) > n + 40, PATIENCE * 2)
                leader.start()
                wait_for("the killed one to follow", leader.leader)
        finally:
            for contender in contenders:
                contender.stopping.set()
            for contender in contenders:
                contender.join()
        inside, fence = None, 0
        for what, who, lock_index in list(record):
            if what == "in":
                self.assertIsNone(inside, f"{who} came in while {inside} was inside")
                self.assertGreater(lock_index, fence, "the fence went back")
                inside, fence = who, lock_index
            else:
                self.assertEqual(inside, who)
                inside = None
        self.assertGreater(len({who for _, who, _ in record}), 1)
        print(f"{fence} times taken, by {len({w for _, w, _ in record})} contenders")


if __name__ == "__main__":
    main()
