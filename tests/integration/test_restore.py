"""Restoring a snapshot: what was saved is the state of all servers again, in one step, while others
write, read and wait; whatever is killed meanwhile; and nothing that is broken changes anything."""

import gzip
import hashlib
import http.client
import io
import os
import random
import tarfile
import threading

from cluster import ClusterTest, main, wait_for

# Through the log, which is to be compacted behind it soon.
OPTIONS = ["-hcl", "raft_trailing_logs = 5",
           "-hcl", "autopilot { cleanup_dead_servers = false }"]


def value(agent, key):
    answer = agent.get(f"/v1/kv/{key}?raw&stale")
    return answer.text if answer.status == 200 else None


def saved(agent):
    return agent.ok("GET", "/v1/snapshot").body


def archive(members):
    """A file like one of ours, with other contents and sums that are right."""
    members = dict(members)
    members["SHA256SUMS"] = "".join(f"{hashlib.sha256(data).hexdigest()}  {name}\n"
                                    for name, data in members.items()).encode()
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz", format=tarfile.USTAR_FORMAT) as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def members_of(data):
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as tar:
        return {m.name: tar.extractfile(m).read() for m in tar.getmembers()
                if m.name != "SHA256SUMS"}


class Waiter(threading.Thread):
    """A blocking read from where things stand now, or ahead of it, as of another cluster."""

    def __init__(self, agent, path, ahead=0):
        super().__init__()
        self.agent = agent
        self.path = path
        self.before = agent.http("GET", path).index + ahead
        self.after = None
        self.start()

    def run(self):
        mark = "&" if "?" in self.path else "?"
        answer = self.agent.http("GET", f"{self.path}{mark}index={self.before}&wait=300s",
                                 timeout=240)
        self.after = answer.index


class Writer(threading.Thread):
    """Writes that must all be taken; each sees an index above the one before."""

    def __init__(self, agent, key):
        super().__init__()
        self.agent, self.key = agent, key
        self.count = 0
        self.failed = []
        self.stops = threading.Event()
        self.start()

    def run(self):
        last = 0
        while not self.stops.is_set():
            try:
                self.agent.ok("PUT", f"/v1/kv/{self.key}", str(self.count))
                index = self.agent.http("GET", f"/v1/kv/{self.key}").index
                if index < last:
                    self.failed.append(f"index {last}, then {index}")
                last = index
                self.count += 1
            except (AssertionError, OSError, http.client.HTTPException) as error:
                self.failed.append(repr(error))

    def end(self):
        self.stops.set()
        self.join()


class Restores(ClusterTest):
    def formed(self, clients=0, servers=3, args=OPTIONS):
        cluster = self.cluster(servers=servers, clients=clients, args=args)
        cluster.start().wait_ready()
        return cluster

    def everywhere(self, cluster, key, want):
        for agent in cluster.servers():
            wait_for(f"{key} to be {want!r} on {agent.name}",
                     lambda: value(agent, key) == want)

    def no_difference(self, cluster):
        """Far enough for the servers to have compared their states several times."""
        leader = cluster.leader()
        for i in range(600):
            leader.ok("PUT", "/v1/kv/compared", str(i))
        for agent in cluster.servers():
            self.assertTrue(agent.running())
            self.assertNotIn("differs", agent.log_text())

    def test_under_writers_and_waiting_readers(self):
        cluster = self.formed(clients=1)
        agent = cluster.agents["k1"]
        agent.ok("PUT", "/v1/agent/service/register", {"Name": "web", "Port": 80})
        wait_for("the service", lambda: agent.ok("GET", "/v1/catalog/service/web").json())
        session = agent.ok("PUT", "/v1/session/create", {"TTL": "600s"}).json()["ID"]
        agent.ok("PUT", f"/v1/kv/lock?acquire={session}", "mine")
        for i in range(50):
            agent.ok("PUT", f"/v1/kv/app/{i}", f"old {i}")
        before = agent.ok("GET", "/v1/kv/app/7").json()[0]
        path = os.path.join(cluster.dir, "saved")
        agent.cli("snapshot", "save", path, check=0)
        agent.ok("PUT", "/v1/kv/app/7", "changed")
        agent.ok("PUT", "/v1/kv/new", "later")
        agent.ok("DELETE", "/v1/kv/app/8")
        agent.ok("PUT", f"/v1/session/destroy/{session}")
        waiters = [Waiter(a, p) for a in cluster.agents.values()
                   for p in ("/v1/kv/app/7", "/v1/kv/app/?recurse", "/v1/kv/never",
                             "/v1/health/service/web", "/v1/catalog/nodes", "/v1/session/list")]
        writer = Writer(cluster.servers()[0], "beside")
        try:
            wait_for("the writer", lambda: writer.count > 3)
            out = agent.cli("snapshot", "restore", path, check=0).stdout
            self.assertEqual(out, "Restored snapshot\n")
            count = writer.count
            wait_for("the writer to go on", lambda: writer.count > count + 3)
        finally:
            writer.end()
        self.assertEqual(writer.failed, [])
        for waiter in waiters:
            waiter.join()
            self.assertGreater(waiter.after or 0, waiter.before,
                               f"{waiter.agent.name} {waiter.path}")
        self.everywhere(cluster, "app/7", "old 7")
        self.everywhere(cluster, "app/8", "old 8")
        self.everywhere(cluster, "new", None)
        self.assertEqual(agent.ok("GET", "/v1/kv/app/7").json()[0], before)
        self.assertEqual(agent.ok("GET", "/v1/kv/lock").json()[0]["Session"], session)
        agent.ok("PUT", f"/v1/session/renew/{session}")
        self.assertTrue(agent.ok("GET", "/v1/catalog/service/web").json())
        self.no_difference(cluster)

    def test_whoever_comes_later_has_it_too(self):
        cluster = self.formed()
        leader = cluster.leader()
        leader.ok("PUT", "/v1/kv/a", "saved")
        data = saved(leader)
        late = next(s for s in cluster.servers() if s is not leader)
        late.kill()
        leader.ok("PUT", "/v1/kv/a", "overwritten")
        leader.ok("PUT", "/v1/snapshot", data)
        self.assertEqual(value(leader, "a"), "saved")
        late.start()
        self.everywhere(cluster, "a", "saved")
        cluster.add("s4", True, ["-retry-join", leader.address, *OPTIONS]).start()
        self.everywhere(cluster, "a", "saved")
        for agent in cluster.servers():  # and it lasts
            agent.kill()
        cluster.start()
        self.everywhere(cluster, "a", "saved")
        self.no_difference(cluster)

    def test_another_clusters_indexes_go_on_behind_the_larger(self):
        old = self.formed(servers=1)
        for i in range(300):
            old.agents["s1"].ok("PUT", "/v1/kv/count", str(i))
        row = old.agents["s1"].ok("GET", "/v1/kv/count").json()[0]
        data = saved(old.agents["s1"])
        new = self.formed(servers=1).agents["s1"]
        new.ok("PUT", "/v1/kv/count", "of the new one")
        waiter = Waiter(new, "/v1/kv/count")
        ahead = Waiter(new, "/v1/kv/count", 1000000)
        self.assertLess(waiter.before, row["ModifyIndex"])
        new.ok("PUT", "/v1/snapshot", data)
        waiter.join()
        ahead.join()
        self.assertGreater(waiter.after, row["ModifyIndex"])
        self.assertLess(ahead.after, ahead.before)
        self.assertEqual(new.ok("GET", "/v1/kv/count").json()[0], row)
        self.assertEqual(new.ok("PUT", f"/v1/kv/count?cas={row['ModifyIndex']}", "x").text, "true")
        again = new.ok("GET", "/v1/kv/count")
        self.assertGreater(again.json()[0]["ModifyIndex"], waiter.after)
        self.assertEqual(again.json()[0]["CreateIndex"], row["CreateIndex"])
        new.kill()
        new.start()
        wait_for("it to be back", lambda: value(new, "count") == "x")
        last = wait_for("a read", lambda: new.ok("GET", "/v1/kv/count")).index
        new.ok("PUT", "/v1/kv/count", "y")
        self.assertGreater(new.ok("GET", "/v1/kv/count").index, last)
        second = saved(new)  # and back, where the indexes are lower again
        old.agents["s1"].ok("PUT", "/v1/snapshot", second)
        old.agents["s1"].ok("PUT", "/v1/kv/count", "z")
        self.assertGreater(old.agents["s1"].ok("GET", "/v1/kv/count").index, last)

    def test_what_is_broken_changes_nothing(self):
        cluster = self.formed(clients=1)
        leader = cluster.leader()
        leader.ok("PUT", "/v1/kv/a", "1")
        data = saved(leader)
        leader.ok("PUT", "/v1/kv/a", "2")
        index = leader.ok("GET", "/v1/kv/a").index
        flipped = bytearray(data)
        flipped[len(data) // 2] ^= 0x10
        other = members_of(data)
        state = bytearray(other["state.bin"])
        state[len(state) // 2] ^= 1
        broken = {
            "failed to decompress snapshot: unexpected EOF": [b"", data[:len(data) // 2],
                                                              data[:-1]],
            "failed to decompress snapshot: ": [b"no archive", bytes(flipped)],
            "failed to read snapshot file: state.bin: ": [
                archive({**other, "state.bin": b"raft of somebody else" * 10}),
                archive({**other, "state.bin": bytes(state)})],
            "failed to read snapshot file: ": [gzip.compress(b"text"), data + b"x",
                                               archive({"state.bin": other["state.bin"]})],
            "unsupported snapshot version 7": [
                archive({**other, "meta.json": other["meta.json"].replace(b'"Version":1',
                                                                         b'"Version":7')})],
        }
        for text, list_of in broken.items():
            for i, bad in enumerate(list_of):
                agent = list(cluster.agents.values())[i % 4]
                answer = agent.put("/v1/snapshot", bad)
                self.assertEqual(answer.status, 500)
                self.assertIn(text if bad != bytes(flipped) else "failed to", answer.text)
        big = leader.put("/v1/snapshot", b"x", headers={"Content-Length": str(1 << 40),
                                                        "Expect": "100-continue"})
        self.assertEqual(big.status, 413)
        self.assertEqual(leader.ok("GET", "/v1/kv/a").index, index)
        self.everywhere(cluster, "a", "2")
        path = os.path.join(cluster.dir, "broken")
        with open(path, "wb") as f:
            f.write(data[:100])
        run = cluster.agents["k1"].cli("snapshot", "restore", path, check=1)
        self.assertEqual(run.stderr, "Error restoring snapshot: Unexpected response code: 500 "
                         "(failed to decompress snapshot: unexpected EOF)\n")
        run = cluster.agents["k1"].cli("snapshot", "restore", path + "-", check=1)
        self.assertIn("Error opening snapshot file: ", run.stderr)

    def test_killed_at_any_moment(self):
        cluster = self.formed(clients=1)
        leader = cluster.leader()
        noise = random.Random(7)
        for i in range(24):
            leader.ok("PUT", f"/v1/kv/big/{i}", noise.randbytes(400 * 1024))
        leader.ok("PUT", "/v1/kv/mark", "saved")
        leader.ok("PUT", "/v1/kv/twin", "saved")
        data = saved(leader)
        for number in range(4):
            leader = cluster.leader()
            leader.ok("DELETE", "/v1/kv/big/?recurse")
            leader.ok("PUT", "/v1/kv/mark", "changed")
            leader.ok("PUT", "/v1/kv/twin", "changed")
            others = [a for a in cluster.agents.values() if a is not leader]
            asked = leader if number == 3 else random.choice(others)
            answer = []

            def restore():
                try:
                    answer.append(asked.put("/v1/snapshot", data, timeout=120).status)
                except (OSError, http.client.HTTPException) as error:
                    answer.append(repr(error))

            thread = threading.Thread(target=restore)
            thread.start()
            threading.Event().wait(random.random() * 2.5)  # any moment of it
            leader.kill()
            thread.join()
            wait_for("another leader", lambda: cluster.leader() is not leader)
            if asked is not leader:  # whoever asked has not noticed
                self.assertEqual(answer, [200])
            leader.start()
            wait_for("it to be back", lambda: leader.leader() != "")
            reader = cluster.leader()
            mark = reader.ok("GET", "/v1/kv/mark?raw").text
            self.assertEqual(reader.ok("GET", "/v1/kv/twin?raw").text, mark)
            self.assertEqual(len(reader.get("/v1/kv/big/?keys").body) > 100, mark == "saved")
            if asked is not leader:
                self.assertEqual(mark, "saved")
            self.everywhere(cluster, "mark", mark)
            self.everywhere(cluster, "twin", mark)
        self.no_difference(cluster)


if __name__ == "__main__":
    main()
