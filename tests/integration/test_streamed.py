"""Archives too large for memory or one message: saved and restored through every agent, as slowly as
a client likes, beside everything else; and one that breaks off never passes for a whole one."""

import http.client
import os
import random
import socket
import subprocess

from test_snapshots import OPTIONS, Traffic
from cluster import ClusterTest, main, wait_for

COUNT = 28
BYTES = 450 * 1024  # random ones: an archive is as large as the state


def fill(agent, count=COUNT):
    noise = random.Random(11)
    for i in range(count):
        agent.ok("PUT", f"/v1/kv/big/{i}", noise.randbytes(BYTES))


class Slow:
    """A client that takes the beginning of an archive, and no more until it is asked to."""

    def __init__(self, agent):
        self.connection = http.client.HTTPConnection(agent.address, 8500, timeout=120)
        self.connection.connect()
        self.connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
        self.connection.request("GET", "/v1/snapshot")
        self.reply = self.connection.getresponse()
        self.begin = self.reply.read(1000)
        self.length = int(self.reply.getheader("Content-Length"))

    def rest(self):
        return self.begin + self.reply.read()

    def close(self):
        self.connection.close()


class Streamed(ClusterTest):
    def curl(self, agent, *words):
        run = subprocess.run(["curl", "-sS", "--fail", *words,
                              f"http://{agent.address}:8500/v1/snapshot"],
                             capture_output=True, timeout=120)
        self.assertEqual(run.returncode, 0, run.stderr)
        return run.stdout

    def whole(self, agent, data):
        path = agent.log + ".archive"
        with open(path, "wb") as f:
            f.write(data)
        agent.cli("snapshot", "inspect", path, check=0)
        self.assertGreater(len(data), COUNT * BYTES)

    def restored(self, cluster, how):
        leader = cluster.leader()
        leader.ok("DELETE", "/v1/kv/big/?recurse")
        leader.ok("PUT", "/v1/kv/mark", "changed")
        how()
        for agent in cluster.servers():
            wait_for(f"the restored state on {agent.name}",
                     lambda: agent.get("/v1/kv/mark?raw&stale").text == "saved")
            self.assertEqual(len(agent.ok("GET", "/v1/kv/big/?keys&stale").json()), COUNT)

    def test_large_ones_through_everybody(self):
        cluster = self.cluster(servers=3, clients=1, args=OPTIONS)
        cluster.start().wait_ready()
        leader = cluster.leader()
        client = cluster.agents["k1"]
        fill(leader)
        leader.ok("PUT", "/v1/kv/mark", "saved")
        follower = next(s for s in cluster.servers() if s is not leader)
        for agent in (leader, follower, client):
            self.whole(agent, agent.ok("GET", "/v1/snapshot", timeout=120).body)
        data = self.curl(client, "--http2-prior-knowledge")
        self.whole(client, data)
        path = os.path.join(cluster.dir, "saved")
        client.cli("snapshot", "save", path, check=0)
        self.assertEqual([n for n in os.listdir(cluster.dir) if "unverified" in n], [])
        self.restored(cluster, lambda: client.cli("snapshot", "restore", path, check=0))
        self.restored(cluster, lambda: self.curl(client, "-T", path, "--http2-prior-knowledge"))
        chunked = ["-X", "PUT", "-H", "Transfer-Encoding: chunked", "--data-binary", "@" + path]
        self.restored(cluster, lambda: self.curl(follower, *chunked))

    def test_a_slow_reader_holds_up_nobody(self):
        cluster = self.cluster(servers=3, clients=1, args=OPTIONS)
        cluster.start().wait_ready()
        leader = cluster.leader()
        lagging = next(s for s in cluster.servers() if s is not leader)
        lagging.kill()
        fill(leader, 60)  # a segment holds 36
        wait_for("the leader's log to begin behind its first segment", leader.is_log_compacted)
        readers = [Slow(leader), Slow(leader), Slow(cluster.agents["k1"])]
        traffic = Traffic(leader)
        try:
            lagging.start()
            wait_for("an install", lambda: "Installed a snapshot" in lagging.log_text())
            at = traffic.count
            wait_for("writes beside it", lambda: traffic.count > at + 3)
        finally:
            traffic.stop()
        self.assertEqual(traffic.failed, [])
        for reader in readers:
            data = reader.rest()
            self.assertEqual(len(data), reader.length)
            self.whole(leader, data)
            reader.close()

    def test_what_breaks_off_is_noticed(self):
        cluster = self.cluster(servers=1, clients=1, args=OPTIONS)
        cluster.start().wait_ready()
        server, client = cluster.agents["s1"], cluster.agents["k1"]
        fill(server, 75)  # more than fits into the buffers of sockets
        path = os.path.join(cluster.dir, "h2")
        readers = [Slow(server), Slow(client)]
        swift = subprocess.Popen(["curl", "-sS", "-o", path, "--http2-prior-knowledge",
                                  f"http://{client.address}:8500/v1/snapshot"],
                                 stderr=subprocess.PIPE)
        while not os.path.exists(path) or os.path.getsize(path) < 1000:
            self.assertIsNone(swift.poll())  # it has a hundred pieces to go
        server.kill()
        for reader in readers:
            with self.assertRaises((http.client.IncompleteRead, ConnectionResetError)):
                reader.rest()
            reader.close()
        error = swift.communicate(timeout=120)[1]
        self.assertNotEqual(swift.returncode, 0)
        self.assertTrue(error)
        server.start()  # and nothing of it is left behind
        wait_for("the server to be back", lambda: server.leader() != "")
        left = [name for _, _, names in os.walk(server.data) for name in names
                if name.startswith(("save", "upload", "restore"))]
        self.assertEqual(left, [])


if __name__ == "__main__":
    main()
