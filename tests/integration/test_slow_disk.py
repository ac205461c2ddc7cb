"""The loop waits for no disk. A tracer tells which thread asks the disk for anything, and makes all
of it slow: everything that needs no disk is answered meanwhile."""

import os
import re
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from cluster import ClusterTest, main, wait_for

# A tracer hides what LeakSanitizer has to see.
os.environ["ASAN_OPTIONS"] = os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0"

STATE = r"\(\d+<[^>]*/state/state-\d+\.db(-wal)?>"
# A read that takes only what is in memory.
PROMPT = re.compile("preadv2" + STATE + r".*RWF_NOWAIT")
MISSED = re.compile(PROMPT.pattern + r".*= -1 EAGAIN")
# What the loop may ask of files below the data directory once it serves, each with its reason.
ALLOWED = [
    PROMPT,
    # For what nobody asked of it: a server's own duties read short rows of nodes, checks and
    # sessions, which writers have just had in memory.
    re.compile("pread64" + STATE),
]
STALL_S = 1.0
TRIES = 5
# Calls that only files know, and that change them: the log's, SQLite's, and those of small files.
FLUSHES = "fdatasync,fsync,pwritev2"
CHANGES = "pwrite64,pwritev,fallocate,ftruncate,rename,renameat,renameat2,unlink,unlinkat"
SLOW_FLUSHES = f"inject={FLUSHES}:delay_enter={int(STALL_S * 1e6)}"
SLOW_CHANGES = f"inject={CHANGES}:delay_enter={int(STALL_S * 1e5)}"


class Tracer:
    """Stands between a running agent and its disk."""

    def __init__(self, agent, *words, out="/dev/null"):
        self.process = subprocess.Popen(["strace", "-f", "-y", "-o", out, *words, "-p",
                                         str(agent.process.pid)], stderr=subprocess.PIPE, text=True)
        # "strace: Process 4711 attached with 6 threads"
        said = self.process.stderr.readline()
        assert "attached" in said, said
        self.drain = threading.Thread(target=self.process.stderr.read)
        self.drain.start()

    def end(self):
        self.process.terminate()
        self.process.wait()
        self.drain.join()
        self.process.stderr.close()


class SlowDisk(ClusterTest):
    def calls(self, agent, path):
        """Of files below its data directory: by the loop, and by others."""
        loop, others = [], []
        for thread, call in whole_calls(path):
            if agent.data + "/" in call:
                (loop if thread == agent.process.pid else others).append(call)
        return loop, others

    def test_the_loop_asks_no_disk(self):
        cluster = self.cluster(3, 1, ["-hcl", 'scrub { interval = "0s" }']).start().wait_ready()
        agents = list(cluster.agents.values())
        paths = {a: os.path.join(cluster.dir, a.name + ".trace") for a in agents}
        tracers = [Tracer(a, "-e", "trace=%file,%desc,sync,syncfs", out=paths[a]) for a in agents]
        try:
            for agent in agents:
                self.everything(agent)
        finally:
            for tracer in tracers:
                tracer.end()
        for agent in agents:
            loop, others = self.calls(agent, paths[agent])
            self.assertEqual([call for call in loop if not any(a.match(call) for a in ALLOWED)], [],
                             f"{agent.name}: its loop asked the disk")
            self.assertGreater(len(others), 20, "nothing was written: this shows nothing")

    def everything(self, agent):
        """Whatever an agent is asked for that it keeps on its disk, or reads there."""
        name = agent.name
        for i in range(20):
            agent.ok("PUT", f"/v1/kv/{name}/{i}", b"v" * 3000)
            agent.ok("GET", f"/v1/kv/{name}/{i}?stale")
            agent.ok("GET", f"/v1/kv/{name}/{i}")
        agent.ok("GET", f"/v1/kv/{name}/?recurse")
        agent.ok("PUT", "/v1/agent/service/register",
                 {"Name": "web", "Port": 80, "Check": {"TTL": "60s"}})
        agent.ok("PUT", "/v1/agent/check/register", {"Name": "own", "TTL": "60s"})
        agent.ok("PUT", "/v1/agent/check/pass/own", b"")
        agent.ok("PUT", "/v1/agent/check/pass/service:web", b"")
        agent.ok("PUT", "/v1/agent/maintenance?enable=true&reason=test", b"")
        agent.ok("PUT", "/v1/agent/maintenance?enable=false", b"")
        wait_for("the service in DNS", lambda: agent.dig("web.service.consul"))
        session = agent.ok("PUT", "/v1/session/create", {"TTL": "60s"}).json()["ID"]
        agent.ok("PUT", f"/v1/kv/{name}/lock?acquire={session}", b"")
        agent.ok("PUT", "/v1/event/fire/deploy", b"1")
        agent.ok("PUT", "/v1/agent/reload", b"")
        agent.cli("tags", f"-rpc-addr={agent.address}:7373", "-set", f"of={name}", check=0)
        for path in ("/v1/agent/metrics", "/v1/agent/self", "/v1/agent/members",
                     "/v1/health/service/web", "/v1/catalog/nodes", "/v1/session/list",
                     "/v1/operator/raft/configuration", "/v1/operator/autopilot/health"):
            agent.ok("GET", path)
        if agent.server:
            passes = agent.ok("GET", "/v1/operator/scrub").json()["Passes"]
            agent.ok("PUT", "/v1/operator/scrub", b"")
            wait_for("the scrubber", lambda: agent.ok(
                "GET", "/v1/operator/scrub").json()["Passes"] > passes)
        agent.cli("doctor")
        agent.ok("PUT", "/v1/snapshot", agent.ok("GET", "/v1/snapshot").body)
        agent.ok("PUT", "/v1/agent/service/deregister/web", b"")

    def test_a_log_that_stands_still_delays_no_read(self):
        self.stalled(["-e", f"trace={FLUSHES}", "-e", SLOW_FLUSHES], self.ask_all)

    def test_what_needs_no_write_is_answered_while_nothing_can_be_written(self):
        self.stalled(["-e", f"trace={FLUSHES},{CHANGES}", "-e", SLOW_FLUSHES, "-e", SLOW_CHANGES],
                     self.ask_about_the_past)

    def stalled(self, words, ask):
        cluster = self.cluster(3, 0, [
            "-hcl", 'telemetry { prometheus_retention_time = "1m" }']).start().wait_ready()
        leader = cluster.leader()
        follower = next(s for s in cluster.servers() if s is not leader)
        leader.ok("PUT", "/v1/kv/there", b"v")
        leader.ok("PUT", "/v1/agent/service/register", {"Name": "web", "Port": 80})
        wait_for("the service in DNS", lambda: follower.dig("web.service.consul"))
        wait_for("the key", lambda: follower.get("/v1/kv/there?stale").status == 200)
        tracers = [Tracer(s, *words) for s in cluster.servers()]
        try:
            self.once_let_run(lambda: self.must_be_free(leader, follower, ask))
        finally:
            for tracer in tracers:
                tracer.end()

    def once_let_run(self, check):
        """Where other programs take the processors everything is late, whatever the disk does: one
        time of several is enough, for a loop that waits for its disk does so each time."""
        for left in reversed(range(TRIES)):
            try:
                return check()
            except AssertionError:
                if left == 0:
                    raise

    def must_be_free(self, leader, follower, ask):
        """A loop that waits for its disk is in its turns all the time that a write takes; one that
        does not is there for what it is asked, and whoever asks takes time, too."""
        before = [self.turned_s(s) for s in (leader, follower)]
        writes = [self.asked_beside_a_write(leader, follower, ask) for _ in range(4)]
        after = [self.turned_s(s) for s in (leader, follower)]
        for took_s, rounds in writes:
            self.assertGreater(took_s, STALL_S, "no flush was slow: this shows nothing")
            self.assertGreater(rounds, 3, f"of {took_s} s")
        for was_s, is_s in zip(before, after):
            self.assertLess(is_s - was_s, sum(took_s for took_s, _ in writes) * 0.6,
                            "turns of the loop last as long as the disk does")

    def ask_all(self, leader, follower):
        self.ask_about_the_past(leader, follower)
        for server in (leader, follower):
            server.ok("GET", "/v1/kv/there")
            server.ok("GET", "/v1/kv/there?consistent")
        leader.ok("GET", "/v1/health/service/web?stale")

    def ask_about_the_past(self, leader, follower):
        """Whoever was told of a write sees it: there even a stale read waits until it is applied,
        which is a write, too. Nobody is told of one by the follower."""
        follower.ok("GET", "/v1/kv/there?stale")
        follower.ok("GET", "/v1/health/service/web?stale")
        self.assertTrue(follower.dig("web.service.consul"))
        for server in (leader, follower):
            self.assertEqual(len(server.members()), 3)
            server.ok("GET", "/v1/agent/services")

    def test_a_page_on_the_disk_delays_only_who_needs_it(self):
        cluster = self.cluster(3, 0)
        if not tells_what_is_in_memory(cluster.dir):
            self.skipTest("this file system cannot tell what is in memory")
        cluster.start().wait_ready()
        leader = cluster.leader()
        follower = next(s for s in cluster.servers() if s is not leader)
        value = os.urandom(3000)
        for i in range(200):
            leader.ok("PUT", f"/v1/kv/cold/{i}", value[i:])
        leader.ok("PUT", "/v1/agent/service/register", {"Name": "web", "Port": 80})
        wait_for("the service in DNS", lambda: follower.dig("web.service.consul"))
        trace = os.path.join(cluster.dir, "cold.trace")
        tracer = Tracer(follower, "-e", "trace=pread64,preadv2",
                        "-e", f"inject=pread64:delay_enter={int(STALL_S * 1e6)}", out=trace)
        try:
            keys = iter(range(0, 200, 200 // TRIES))
            self.once_let_run(lambda: self.must_wait_alone(leader, follower, next(keys), value))
        finally:
            tracer.end()
        loop, others = self.calls(follower, trace)
        self.assertEqual([call for call in loop if not PROMPT.match(call)], [])
        self.assertTrue([call for call in loop if MISSED.match(call)])
        self.assertTrue([call for call in others if call.startswith("pread64")])

    def must_wait_alone(self, leader, follower, key, value):
        forget(follower)
        body, took_s, rounds = self.beside(
            lambda: follower.ok("GET", f"/v1/kv/cold/{key}?raw&stale").body,
            lambda: self.ask_about_members(leader, follower))
        self.assertEqual(body, value[key:])
        self.assertGreater(took_s, STALL_S, "it was in memory: this shows nothing")
        self.assertGreater(rounds, 3, f"of {took_s} s")

    def ask_about_members(self, leader, follower):
        for server in (leader, follower):
            self.assertEqual(len(server.members()), 3)
            server.ok("GET", "/v1/agent/services")
        self.assertTrue(follower.dig("web.service.consul"))
        leader.ok("GET", "/v1/kv/cold/5?raw&stale")

    def turned_s(self, agent):
        """What all turns of its loop took until now."""
        text = agent.ok("GET", "/v1/agent/metrics?format=prometheus").text
        return float(re.search(r"(?m)^consul_loop_turn_sum (\S+)$", text)[1]) / 1000

    def asked_beside_a_write(self, leader, follower, ask):
        """How long the write took, and how often all others were answered meanwhile."""
        _, took_s, rounds = self.beside(lambda: leader.ok("PUT", "/v1/kv/k", b"v"),
                                        lambda: ask(leader, follower))
        return took_s, rounds

    def beside(self, slow, quick):
        """What the slow one gave, how long it took, and how often the quick one ended meanwhile."""
        began, rounds = time.monotonic(), 0
        with ThreadPoolExecutor(1) as pool:
            given = pool.submit(lambda: (slow(), time.monotonic() - began))
            while not given.done():
                quick()
                rounds += not given.done()
        return *given.result(), rounds


def whole_calls(path):
    """Thread and call of each line; what others interrupted is put together again."""
    begun = {}
    with open(path, errors="replace") as f:
        for line in f:
            thread, call = line.rstrip().split(maxsplit=1)
            if call.endswith("<unfinished ...>"):
                begun[thread] = call.removesuffix("<unfinished ...>")
                continue
            resumed = re.match(r"<\.\.\. \w+ resumed>(.*)", call)
            yield int(thread), begun.pop(thread, "") + resumed[1] if resumed else call
        for thread, call in begun.items():
            yield int(thread), call


def tells_what_is_in_memory(folder):
    with open(os.path.join(folder, "probe"), "w+b") as f:
        f.write(b"x")
        f.flush()
        try:
            return os.preadv(f.fileno(), [bytearray(1)], 0, os.RWF_NOWAIT) == 1
        except OSError:
            return False


def forget(agent):
    """What the kernel has in memory of its state goes."""
    where = os.path.join(agent.data, "state")
    for name in os.listdir(where):
        with open(os.path.join(where, name), "rb") as f:
            os.fsync(f.fileno())
            os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


if __name__ == "__main__":
    main()
