"""Snapshots for operators: what is saved while others write is whole, as new as what was
acknowledged before, and nothing that was cut or changed passes for one."""

import glob
import hashlib
import io
import json
import os
import re
import signal
import subprocess
import tarfile

from test_snapshots import Traffic
from cluster import MUSTER, PATIENCE, ClusterTest, main, wait_for

NAMES = ["meta.json", "state.bin", "SHA256SUMS"]


def unpack(data):
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as tar:
        return {m.name: tar.extractfile(m).read() for m in tar.getmembers()}


def begun(path):
    """Files of saves to this path that are not over."""
    return glob.glob(glob.escape(path) + ".*")


class Archives(ClusterTest):
    def whole(self, data):
        """Checked with others' tools; returns meta.json and state.bin."""
        members = unpack(data)
        self.assertEqual(list(members), NAMES)
        sums = {name: digest for digest, name in
                (line.split("  ") for line in members["SHA256SUMS"].decode().splitlines())}
        self.assertEqual(sums, {name: hashlib.sha256(members[name]).hexdigest()
                                for name in NAMES[:2]})
        meta = json.loads(members["meta.json"])
        self.assertEqual(meta["Version"], 1)
        self.assertEqual(meta["Size"], len(members["state.bin"]))
        return meta, members["state.bin"]

    def saved_anywhere(self, cluster):
        """Through every agent: each acknowledged write before it is in it."""
        for agent in cluster.agents.values():
            text = f"acknowledged before {agent.name} was asked"
            cluster.leader().ok("PUT", f"/v1/kv/of/{agent.name}", text)
            index = int(cluster.leader().ok("GET", f"/v1/kv/of/{agent.name}")
                        .json()[0]["ModifyIndex"])
            answer = agent.ok("GET", "/v1/snapshot")
            meta, state = self.whole(answer.body)
            self.assertEqual(answer.headers["Content-Type"], "application/x-gzip")
            self.assertNotIn("Content-Encoding", answer.headers)
            self.assertEqual(answer.headers["X-Consul-Knownleader"], "true")
            self.assertEqual(answer.index, meta["Index"])
            self.assertGreaterEqual(meta["Index"], index)
            self.assertIn(text.encode(), state)
            self.assertEqual(len(meta["Configuration"]["Servers"]), 3)

    def inspected(self, agent, path, index):
        out = agent.cli("snapshot", "inspect", path, check=0).stdout
        head, tables = out.split("\n\n\n")
        rows = dict(line.split() for line in head.splitlines())
        self.assertEqual(list(rows), ["ID", "Size", "Index", "Term", "Version"])
        self.assertEqual((rows["Index"], rows["Version"]), (index, "1"))
        lines = [line.split() for line in tables.splitlines()]
        self.assertEqual(lines[0], ["Type", "Count", "Size"])
        self.assertEqual(lines[1], ["----"] * 3)
        self.assertEqual(lines[-2], ["----"] * 3)
        self.assertEqual(lines[-1][0], "Total")
        self.assertTrue(all(int(count) > 0 for _, count, _ in lines[2:-2]))

    def test_saved_under_writes(self):
        cluster = self.cluster(servers=3, clients=1)
        cluster.start().wait_ready()
        agent = cluster.agents["k1"]
        path = os.path.join(cluster.dir, "saved")
        traffic = Traffic(cluster.leader())
        try:
            self.saved_anywhere(cluster)
            out = agent.cli("snapshot", "save", path, check=0).stdout
            found = re.fullmatch(r"Saved and verified snapshot to index (\d+)\n", out)
            self.assertIsNotNone(found, out)
        finally:
            traffic.stop()
        self.assertEqual(traffic.failed, [])
        with open(path, "rb") as f:
            data = f.read()
        self.assertEqual(self.whole(data)[0]["Index"], int(found.group(1)))
        self.inspected(agent, path, found.group(1))
        self.refused(agent, path, data)

    def refused(self, agent, path, data):
        for broken in (b"", data[:len(data) // 2], data[:-1], data + b"x", b"no archive"):
            with open(path, "wb") as f:
                f.write(broken)
            run = agent.cli("snapshot", "inspect", path, check=1)
            self.assertTrue(run.stderr.startswith("Error reading snapshot: "), run.stderr)
            self.assertEqual(run.stdout, "")

    def test_without_a_leader_only_a_stale_one(self):
        cluster = self.cluster(servers=3, clients=0)
        cluster.start().wait_ready()
        cluster.leader().ok("PUT", "/v1/kv/a", "written while there was a leader")
        left = cluster.leader()
        for server in cluster.servers():
            if server is not left:
                server.kill()
        wait_for("the leader to step down", lambda: left.leader() == "")
        self.assertEqual(left.get("/v1/snapshot").status, 500)
        path = os.path.join(cluster.dir, "saved")
        run = left.cli("snapshot", "save", path, check=1)
        self.assertIn("Error saving snapshot: Unexpected response code: 500", run.stderr)
        self.assertFalse(os.path.exists(path))
        left.cli("snapshot", "save", "-stale", path, check=0)
        with open(path, "rb") as f:
            self.assertIn(b"written while there was a leader", self.whole(f.read())[1])

    def test_saves_to_one_name_do_not_meet(self):
        cluster = self.cluster(servers=1, clients=0).start().wait_ready()
        server = cluster.agents["s1"]
        saved = os.path.join(cluster.dir, "saved")
        env = {**os.environ, "CONSUL_HTTP_ADDR": f"{server.address}:8500"}
        server.send(signal.SIGSTOP)
        runs = [subprocess.Popen([MUSTER, "snapshot", "save", saved], env=env) for _ in range(2)]
        for run in runs:
            self.addCleanup(run.kill)
        wait_for("both to have begun", lambda: len(begun(saved)) == 2)
        self.assertEqual([os.stat(name).st_mode & 0o777 for name in begun(saved)], [0o600] * 2)
        server.send(signal.SIGCONT)
        self.assertEqual([run.wait(PATIENCE) for run in runs], [0, 0])
        server.cli("snapshot", "inspect", saved, check=0)
        self.assertEqual(begun(saved), [])

    def test_a_save_that_is_ended_leaves_nothing(self):
        cluster = self.cluster(servers=1, clients=0).start().wait_ready()
        server = cluster.agents["s1"]
        saved = os.path.join(cluster.dir, "saved")
        env = {**os.environ, "CONSUL_HTTP_ADDR": f"{server.address}:8500"}
        server.send(signal.SIGSTOP)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            run = subprocess.Popen([MUSTER, "snapshot", "save", saved], env=env)
            self.addCleanup(run.kill)
            wait_for("it to have begun", lambda: begun(saved))
            run.send_signal(number)
            self.assertEqual(run.wait(PATIENCE), -number)
            self.assertEqual(begun(saved), [])
        server.send(signal.SIGCONT)
        late = server.cli("snapshot", "save", saved, "-stale")
        self.assertEqual((late.returncode, late.stderr),
                         (1, "Too many arguments (expected 1, got 2)\n"
                             "Options come before the arguments: -stale\n"))
        server.cli("snapshot", "save", "-stale", saved, check=0)
        self.assertEqual(begun(saved), [])


if __name__ == "__main__":
    main()
