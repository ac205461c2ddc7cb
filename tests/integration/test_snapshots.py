"""A server that is behind what the log still holds gets the state itself, while others go on."""

import os
import random
import signal
import threading

from cluster import PATIENCE, ClusterTest, main, wait_for

# Little trails. The log goes a segment of 16 MiB at a time, behind a checkpoint of the state, which
# comes when it is quiet.
OPTIONS = ["-hcl", "raft_trailing_logs = 5",
           "-hcl", "autopilot { cleanup_dead_servers = false }"]
VALUE = os.urandom(200 * 1024)


def fill(agent, prefix, count):
    for i in range(count):
        agent.ok("PUT", f"/v1/kv/{prefix}/{i}", VALUE[i:])


def applied(agent):
    info = agent.ok("GET", "/v1/agent/self").json()
    return int(info["Stats"]["raft"]["applied_index"])


class Traffic:
    """Writes and reads that must all succeed, beside what is being tested."""

    def __init__(self, agent):
        self.agent = agent
        self.count = 0
        self.failed = []
        self.stops = threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        while not self.stops.is_set():
            try:
                self.agent.ok("PUT", "/v1/kv/beside", str(self.count))
                got = self.agent.ok("GET", "/v1/kv/beside?raw").text
                if got != str(self.count):
                    self.failed.append(f"{self.count}: read {got}")
                self.count += 1
            except (AssertionError, OSError) as error:
                self.failed.append(repr(error))

    def stop(self):
        self.stops.set()
        self.thread.join()


class Snapshots(ClusterTest):
    def formed(self):
        cluster = self.cluster(servers=3, clients=0, args=OPTIONS)
        cluster.start().wait_ready()
        return cluster

    def test_a_lagging_follower_catches_up_while_others_go_on(self):
        cluster = self.formed()
        leader = cluster.leader()
        lagging = next(s for s in cluster.servers() if s is not leader)
        other = next(s for s in cluster.servers() if s is not leader and s is not lagging)
        leader.ok("PUT", "/v1/kv/before", "1")
        lagging.kill()
        fill(leader, "big", 180)
        leader.ok("DELETE", "/v1/kv/before")
        # the log is compacted behind a checkpoint, which comes in a quiet moment
        wait_for("the leader's log to be compacted",
                 lambda: int(leader.ok("GET", "/v1/agent/self").json()
                             ["Stats"]["raft"]["last_snapshot_index"]) > 180)
        traffic = Traffic(other)
        try:
            lagging.start()
            wait_for("an install", lambda: "Installed a snapshot" in lagging.log_text())
            wait_for("the follower to have caught up",
                     lambda: applied(lagging) >= applied(leader) - 50)
        finally:
            traffic.stop()
        self.assertEqual(traffic.failed, [])
        self.assertGreater(traffic.count, 3)
        self.assertEqual(lagging.get("/v1/kv/before?stale").status, 404)
        for i in (0, 91, 179):
            self.assertEqual(lagging.ok("GET", f"/v1/kv/big/{i}?raw&stale").body, VALUE[i:])
        # A state of the leader's is no witness for it until it has come to what others have.
        for i in range(256):
            leader.ok("PUT", "/v1/kv/sum", str(i))
        wait_for("the copy to be proven",
                 lambda: not os.path.exists(os.path.join(lagging.data, "state", "copied")))
        self.assertIn("the state of this server, a copy, is what others have come to",
                      lagging.log_text())
        # and it is as good as any other
        leader.kill()
        wait_for("another leader", lambda: cluster.leader() is not leader)
        lagging.ok("PUT", "/v1/kv/after", "2")
        self.assertEqual(other.ok("GET", "/v1/kv/after?raw").text, "2")
        lagging.kill()
        lagging.start()
        wait_for("it to be back",
                 lambda: lagging.ok("GET", "/v1/kv/after?raw").text == "2")

    def test_killed_at_any_point_of_an_install(self):
        cluster = self.formed()
        leader = cluster.leader()
        lagging = next(s for s in cluster.servers() if s is not leader)
        for round_number in range(3):
            lagging.kill()
            fill(leader, f"round{round_number}", 160)
            wait_for("the leader's log to be compacted",
                     lambda: int(leader.ok("GET", "/v1/agent/self").json()
                                 ["Stats"]["raft"]["last_snapshot_index"])
                     > 160 * (round_number + 1))
            started = lagging.log_text().count("takes the snapshot")
            served = leader.log_text().count("needs no snapshot any more")
            lagging.start()
            wait_for("the install to begin",
                     lambda: lagging.log_text().count("takes the snapshot") > started)
            threading.Event().wait(random.random() * 1.5)  # any point of it
            lagging.send(signal.SIGKILL)
            lagging.process.wait()
            lagging.start()
            wait_for("it to have everything", lambda: applied(lagging) >= applied(leader),
                     seconds=PATIENCE * 2)
            got = lagging.ok("GET", f"/v1/kv/round{round_number}/159?raw&stale").body
            self.assertEqual(got, VALUE[159:])
            # until the leader knows it too, it keeps the log behind that snapshot
            wait_for("the leader to know it",
                     lambda: leader.log_text().count("needs no snapshot any more") > served)


if __name__ == "__main__":
    main()
