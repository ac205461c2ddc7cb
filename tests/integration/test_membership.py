"""Servers that come, go, move, lose their disks, and give leadership away in time."""

import json
import os
import shutil
import signal
import threading
import time

from cluster import ClusterTest, main, wait_for


class Writer(threading.Thread):
    """Writes as fast as one connection at a time can, and remembers when each was acknowledged."""

    def __init__(self, agent, name):
        super().__init__()
        self.agent = agent
        self.prefix = name
        self.stopping = threading.Event()
        self.times = []
        self.refused = []

    def run(self):
        number = 0
        while not self.stopping.is_set():
            number += 1
            answer = self.agent.put(f"/v1/kv/{self.prefix}/{number:08d}", str(number))
            if answer.status == 200:
                self.times.append(time.monotonic())
            else:
                self.refused.append(answer.text)

    def stop(self):
        self.stopping.set()
        self.join()


def gap(writers):
    times = sorted(t for w in writers for t in w.times)
    return max(b - a for a, b in zip(times, times[1:]))


def follows(server, key, value):
    """Its own state, without asking the leader."""
    return server.get(f"/v1/kv/{key}?raw&stale").text == value


def add_server(cluster, name, address=None):
    joins = []
    for server in cluster.servers():
        joins += ["-retry-join", server.address]
    return cluster.add(name, True, ["-bootstrap-expect", "3", *joins], address)


class Membership(ClusterTest):
    def test_who_was_only_registered_is_not_asked_to_join(self):
        cluster = self.cluster(servers=1, clients=1)
        cluster.start().wait_ready()
        s1, k1 = cluster.agents["s1"], cluster.agents["k1"]
        outside = cluster.address()
        s1.ok("PUT", "/v1/catalog/register", json.dumps({"Node": "external", "Address": outside}))
        for agent in (k1, s1):
            agent.kill()
        mark = len(s1.log_text())
        s1.start()
        wait_for("it to ask whom it knows", lambda: f"Failed to join {k1.address}" in s1.log_text()[mark:])
        self.assertNotIn(outside, s1.log_text()[mark:])

    def test_a_fourth_server_becomes_one(self):
        cluster = self.cluster(servers=3, clients=0)
        cluster.start().wait_ready()
        leader = cluster.leader()
        leader.ok("PUT", "/v1/kv/a", "before")
        fourth = add_server(cluster, "s4").start()
        wait_for("it to be invited", lambda: "Added to a cluster as a learner" in fourth.log_text())
        wait_for("what was there before it", lambda: follows(fourth, "a", "before"))
        leader.ok("PUT", "/v1/kv/a", "after")
        wait_for("what came after it", lambda: follows(fourth, "a", "after"))
        fourth.ok("PUT", "/v1/kv/b", "through it")
        self.assertEqual(leader.get("/v1/kv/b?raw").text, "through it")

        fourth.kill()
        leader.ok("PUT", "/v1/kv/a", "while it was away")
        fourth.start()
        wait_for("what it has missed", lambda: follows(fourth, "a", "while it was away"))

    def test_a_server_without_its_disk_is_taken_in_as_new(self):
        cluster = self.cluster(servers=3, clients=0)
        cluster.start().wait_ready()
        leader = cluster.leader()
        leader.ok("PUT", "/v1/kv/a", "x")
        other = next(s for s in cluster.servers() if s is not leader)
        with open(os.path.join(other.data, "node-id")) as f:
            node = f.read().strip()
        other.kill()
        shutil.rmtree(other.data)
        other.args += ["-node-id", node]
        other.start()
        wait_for("the old disk to be removed and the new one added",
                 lambda: "its disk was replaced" in leader.log_text()
                 and "Added to a cluster as a learner" in other.log_text())
        wait_for("its state", lambda: follows(other, "a", "x"))
        leader.ok("PUT", "/v1/kv/a", "y")
        wait_for("what came later", lambda: follows(other, "a", "y"))

    def test_a_server_returns_with_another_address(self):
        cluster = self.cluster(servers=3, clients=0)
        cluster.start().wait_ready()
        leader = cluster.leader()
        moving = next(s for s in cluster.servers() if s is not leader)
        self.assertEqual(moving.terminate(), 1)
        moving.address = cluster.address()
        moving.start()
        leader.ok("PUT", "/v1/kv/a", "z")
        wait_for("it to follow from there", lambda: follows(moving, "a", "z"))
        # It counts: without the third there is still a quorum.
        third = next(s for s in cluster.servers() if s is not leader and s is not moving)
        third.kill()
        leader.ok("PUT", "/v1/kv/a", "two are enough")
        wait_for("it to have that too", lambda: follows(moving, "a", "two are enough"))

    def test_a_leader_that_stops_is_not_missed(self):
        cluster = self.cluster(servers=3, clients=0)
        cluster.start().wait_ready()
        for _ in range(3):  # a machine that stands still for a while is no matter of leaders
            gaps = self.gaps_behind_leaders(cluster)
            if gaps["stopped"] * 2 < gaps["killed"]:
                return
        self.fail(f"seconds without a write: {gaps}")

    def gaps_behind_leaders(self, cluster):
        gaps = {}
        for how, end in (("stopped", lambda s: s.terminate(signal.SIGTERM)),
                         ("killed", lambda s: s.kill())):
            leader = cluster.leader()
            others = [s for s in cluster.servers() if s is not leader]
            writers = [Writer(others[i % 2], f"{how}{i}") for i in range(4)]
            for writer in writers:
                writer.start()
            wait_for("some writes", lambda ws=writers: all(len(w.times) > 20 for w in ws))
            end(leader)
            ended = time.monotonic()
            wait_for("writes afterwards",
                     lambda ws=writers, t=ended: all(w.times[-1] > t + 0.2 for w in ws))
            for writer in writers:
                writer.stop()
            if how == "stopped":  # of a killed one nobody knows what became of the last writes
                self.assertEqual([w.refused for w in writers], [[]] * len(writers))
            gaps[how] = gap(writers)
            leader.start()
            cluster.wait_ready()
            print(f"leader {how}: {gaps[how] * 1000:.0f} ms without a write")
        return gaps


if __name__ == "__main__":
    main()
