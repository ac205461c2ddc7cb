"""A state that is damaged, or differs from that of the others, is made anew from theirs or from the
log, by the server itself; its log and its word stay."""

import os
import re
import sqlite3
import struct
import subprocess

from cluster import ClusterTest, flip, main, wait_for

# So that the log does not lead to the state from its beginning.
OPTIONS = ["-hcl", "raft_trailing_logs = 5",
           "-hcl", "autopilot { cleanup_dead_servers = false }"]
PAGE = 4096
ANEW = "The state of this server is made anew"
VALUE = os.urandom(150 * 1024)


def crc32c(crc, data):
    crc ^= 0xffffffff
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
    return crc ^ 0xffffffff


class Rebuilds(ClusterTest):
    def formed(self, servers=3, args=OPTIONS):
        return self.cluster(servers, 0, args=args).start().wait_ready()

    def state_file(self, server):
        with open(os.path.join(server.data, "state", "current")) as f:
            return os.path.join(server.data, "state", f"state-{int(f.read())}.db")

    def first_state_file(self, server):
        current = os.path.join(server.data, "state", "current")
        return self.state_file(server) if os.path.exists(current) else \
            os.path.join(server.data, "state", "state-1.db")

    def compacted(self, cluster):
        """More than what trails is written, and the logs begin behind it."""
        leader = cluster.leader()
        for i in range(150):
            leader.ok("PUT", f"/v1/kv/big/{i}", VALUE[i:])
        for i in range(150):
            leader.ok("PUT", f"/v1/kv/k{i}", f"value {i}")
        for server in cluster.servers():
            wait_for("a compacted log",
                     lambda: int(server.ok("GET", "/v1/agent/self").json()
                                 ["Stats"]["raft"]["last_snapshot_index"]) > 150)
            wait_for("its log to begin later", server.is_log_compacted)
        return leader

    def settled(self, server):
        """Down, with all of its state in the file and nothing beside it."""
        server.kill()
        server.start()
        wait_for("it to be back", lambda: server.leader() != "")
        server.terminate()
        return self.first_state_file(server)

    def spoil(self, path, pages):
        for page in pages(os.path.getsize(path) // PAGE):
            flip(path, page * PAGE + 2000)

    def forge(self, path, offset):
        """A bit is another, and its page has the right sum."""
        number = offset // PAGE
        with open(path, "r+b") as f:
            f.seek(number * PAGE)
            page = bytearray(f.read(PAGE))
            page[offset % PAGE] ^= 1
            page[PAGE - 8:] = struct.pack("<II", crc32c(number + 1, page[:PAGE - 8]), number + 1)
            f.seek(number * PAGE)
            f.write(page)

    def starts_unaware(self, victim):
        """It is back, and has not met its damage."""
        victim.start()
        wait_for("it to be back", lambda: victim.get("/v1/kv/k149?raw&stale").text == "value 149")
        self.assertNotIn(ANEW, victim.log_text())

    def spoilt(self, cluster):
        """A follower at work whose state is damaged where nobody has looked yet."""
        leader = self.compacted(cluster)
        victim = next(s for s in cluster.servers() if s is not leader)
        self.spoil(self.settled(victim), lambda count: [count // 2])  # in the middle of values
        self.starts_unaware(victim)
        return victim

    def has_all(self, server):
        return server.get("/v1/kv/big/149?raw&stale").body == VALUE[149:] and all(
            server.get(f"/v1/kv/k{i}?raw&stale").text == f"value {i}" for i in range(150))

    def test_damage_that_is_found_at_the_start(self):
        cluster = self.formed()
        leader = self.compacted(cluster)
        victim = next(s for s in cluster.servers() if s is not leader)
        self.spoil(self.settled(victim), lambda count: [0])
        leader = cluster.leader()
        leader.ok("PUT", "/v1/kv/meanwhile", "1")
        victim.start()
        # Nothing of what is not there yet is answered.
        answer = wait_for("a read", lambda: victim.get("/v1/kv/k0?raw&stale"))
        self.assertEqual((answer.status, answer.text), (200, "value 0"))
        wait_for("its state", lambda: self.has_all(victim))
        text = victim.log_text()
        self.assertIn(ANEW, text)
        self.assertRegex(text, ANEW + ".*of=\"a snapshot of the leader\"")
        self.assertIn("The state of this server was made anew", text)
        self.assertNotIn("log begins anew", text)
        self.assertEqual(victim.ok("GET", "/v1/kv/meanwhile?raw").text, "1")
        self.assertEqual(victim.ok("GET", "/v1/agent/self").json()
                         ["Stats"]["raft"]["state_rebuilds"], "1")
        victim.kill()  # and it is over
        victim.start()
        wait_for("it to be back", lambda: self.has_all(victim))
        self.assertEqual(victim.log_text().count(ANEW), 1)

    def test_damage_that_is_found_at_work(self):
        cluster = self.formed()
        leader = self.compacted(cluster)
        victim = next(s for s in cluster.servers() if s is not leader)
        path = self.settled(victim)
        # What opening reads stays; what is written to soon does not.
        self.spoil(path, lambda count: range(count // 2, count))
        victim.start()

        def write():
            for i in range(20):
                cluster.leader().ok("PUT", f"/v1/kv/big/{i}", VALUE[i + 1:])
            return ANEW in victim.log_text()
        wait_for("the damage to be met", write)
        wait_for("its state", lambda: self.has_all(victim))
        self.assertTrue(victim.running())
        self.assertEqual(victim.ok("GET", "/v1/kv/big/3?raw").body, VALUE[4:])

    def test_damage_that_only_a_read_meets(self):
        cluster = self.formed()
        victim = self.spoilt(cluster)

        def read():
            for i in range(150):
                if victim.get(f"/v1/kv/big/{i}?raw&stale").status == 500:
                    return True
            return False
        wait_for("a read to meet it", read)
        wait_for("its state", lambda: ANEW in victim.log_text() and self.has_all(victim))
        self.assertIn("a read met a damaged page", victim.log_text())
        self.assertTrue(victim.running())

    def test_damage_that_only_an_export_meets(self):
        cluster = self.formed()
        leader = cluster.leader()
        late, victim = (s for s in cluster.servers() if s is not leader)
        late.kill()
        for i in range(150):
            leader.ok("PUT", f"/v1/kv/big/{i}", VALUE[i:])
            leader.ok("PUT", f"/v1/kv/k{i}", f"value {i}")
        for server in (leader, victim):
            wait_for("its log to begin later", server.is_log_compacted)
        self.spoil(self.settled(victim), lambda count: [count // 2]) # in the middle of values
        victim.start()
        wait_for("it to be back", lambda: victim.get("/v1/kv/k149?raw&stale").text == "value 149")

        def lead():
            victim.http("POST", "/v1/operator/raft/transfer-leader")
            return cluster.leader() is victim
        wait_for("it to lead", lead)
        late.start()
        wait_for("the damage to be met", lambda: ANEW in victim.log_text())
        for server in (late, victim):
            wait_for("all of it", lambda s=server: self.has_all(s))
        cluster.leader().ok("PUT", "/v1/kv/after", "1")

    def test_damage_that_only_a_save_meets(self):
        cluster = self.formed()
        victim = self.spoilt(cluster)
        path = os.path.join(cluster.dir, "saved")
        run = victim.cli("snapshot", "save", "-stale", path, check=1)
        self.assertIn("fails its checksum", run.stderr)
        self.assertFalse(os.path.exists(path))
        wait_for("its state", lambda: ANEW in victim.log_text() and self.has_all(victim))
        self.assertIn("exporting the state", victim.log_text())
        self.assertNotIn("a read met a damaged page", victim.log_text())
        self.assertTrue(victim.running())
        victim.cli("snapshot", "save", "-stale", path, check=0)

    def test_killed_while_it_is_made_anew(self):
        cluster = self.formed()
        leader = self.compacted(cluster)
        victim = next(s for s in cluster.servers() if s is not leader)
        self.spoil(self.settled(victim), lambda count: [0])
        for pause in (0.05, 0.2, 0.5, 0.9):
            victim.start()
            wait_for("it to begin", lambda: ANEW in victim.log_text())
            self.stop_after(victim, pause)
        victim.start()
        wait_for("its state", lambda: self.has_all(victim))

    def stop_after(self, victim, seconds):
        """At some moment of it."""
        try:
            victim.process.wait(seconds)
        except subprocess.TimeoutExpired:  # it runs
            victim.kill()

    def test_the_longest_log_is_that_of_a_server_without_a_state(self):
        cluster = self.formed()
        leader = self.compacted(cluster)
        late, victim = (s for s in cluster.servers() if s is not leader)
        late.kill()
        leader.ok("PUT", "/v1/kv/k149", "last")
        wait_for("it to arrive", lambda: victim.get("/v1/kv/k149?raw&stale").text == "last")
        leader.kill()
        victim.kill()
        with open(os.path.join(victim.data, "state", "rebuild"), "w") as f:
            f.write("1 a reason of ours\n")
        late.start()
        victim.start()
        # Without the one that has it all, the late one leads, and nothing is lost.
        wait_for("a leader that can", lambda: late.put("/v1/kv/after", "1").status == 200)
        self.assertIs(cluster.leader(), late)
        self.assertEqual(late.ok("GET", "/v1/kv/k149?raw").text, "last")
        self.assertIn("to bring its log to a server that has one", victim.log_text())
        wait_for("its state", lambda: victim.get("/v1/kv/after?raw&stale").text == "1")
        self.assertEqual(victim.ok("GET", "/v1/kv/k149?raw").text, "last")
        leader.start()
        wait_for("all of them", lambda: leader.get("/v1/kv/after?raw&stale").text == "1")

    def test_a_log_that_is_whole_leads_there_alone(self):
        server = self.formed(servers=1, args=[]).agents["s1"]
        log = os.path.join(server.data, "consensus")
        for i in range(150):
            server.ok("PUT", f"/v1/kv/k{i}", f"value {i}")
            if i == 80:  # the log goes on in it, and its first segment stays nearly empty
                wait_for("a spare", lambda: any(n.startswith("spare-0") for n in os.listdir(log)))
        server.ok("PUT", "/v1/kv/big/149", VALUE[149:])
        self.spoil(self.settled(server), lambda count: [0])
        server.start()
        wait_for("its state", lambda: self.has_all(server))
        self.assertRegex(server.log_text(), ANEW + ".*of=\"its log\"")

    def test_without_others_that_have_it_the_server_refuses(self):
        server = self.formed(servers=1).agents["s1"]
        self.compacted(server.cluster)
        path = self.settled(server)
        self.spoil(path, lambda count: [0])
        with open(path, "rb") as f:
            before = f.read()
        server.start()
        self.assertEqual(server.wait(), 1)
        self.assertIn("no other server has the state", server.log_text())
        self.assertRegex(server.log_text(), "fails its checksum")
        with open(path, "rb") as f:
            self.assertEqual(f.read(), before)

    def test_the_odd_one_out_makes_its_state_anew(self):
        cluster = self.formed()
        leader = self.compacted(cluster)
        victim = next(s for s in cluster.servers() if s is not leader)
        path = self.settled(victim)
        state = sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True)
        total = bytes(state.execute("SELECT hash FROM applied").fetchone()[0])
        state.close()
        with open(path, "rb") as f:
            places = [m.start() for m in re.finditer(re.escape(total), f.read())]
        self.assertEqual(len(places), 1)
        self.forge(path, places[0])  # what the rows add up to, as if one of them were another
        victim.start()

        def write():
            for i in range(64):
                cluster.leader().ok("PUT", "/v1/kv/compared", str(i))
            return ANEW in victim.log_text()
        wait_for("the servers to compare", write)
        text = victim.log_text()
        self.assertIn("differs from that of the majority", text)
        wait_for("its state", lambda: self.has_all(victim))
        for i in range(600):
            cluster.leader().ok("PUT", "/v1/kv/compared", str(i))
        self.assertTrue(victim.running())
        self.assertEqual(victim.log_text().count(ANEW), 1)


if __name__ == "__main__":
    main()
