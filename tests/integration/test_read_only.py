"""A file system that becomes read-only under a running server: reads go on, writes are refused by
name, another server leads, and when it can be written again the server goes on by itself.

The kernel makes a file system read-only under open files only when it met an error: an ext4 in a
file, whose journal is aborted, shows that. It does not come back without being unmounted; for the way
back strace refuses what such a file system refuses, until it is detached.
"""

import os
import subprocess
import threading
import time

from cluster import ClusterTest, main, wait_for
from small_disk import in_own_namespace, unmount

# A tracer hides what LeakSanitizer has to see.
os.environ["ASAN_OPTIONS"] = os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0"

REFUSED = "The file system of the data directory of {} is read-only"
SAID = "The file system of the data directory is read-only"
OVER = "can be written again: this server starts over"
WRITES = "pwrite64,pwritev2,fdatasync,fsync,fallocate,ftruncate,unlink,unlinkat,rename,renameat,mkdir"


class Refusing:
    """Every call of a process that writes to files is refused, from a moment on to another one."""

    def __init__(self, agent):
        self.process = subprocess.Popen(
            ["strace", "-f", "-o", "/dev/null", "-e", f"trace={WRITES}", "-e",
             f"inject={WRITES}:error=EROFS", "-p", str(agent.process.pid)],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        said = self.process.stderr.readline()
        if "attached" not in said:
            self.end()
            raise AssertionError(f"strace: {said}")

    def end(self):
        if self.process.poll() is None:
            self.process.terminate()
            self.process.communicate()


class ReadOnly(ClusterTest):
    def refuses(self, agent, where):
        def refused():
            answer = agent.put("/v1/kv/late", b"x")
            return answer.status == 500 and answer.text == REFUSED.format(where)
        wait_for("writes to be refused", refused)

    def refused(self, agent):
        r = Refusing(agent)
        self.addCleanup(r.end)
        return r

    def test_alone_it_answers_reads_and_goes_on_by_itself(self):
        cluster = self.cluster(1, 0).start().wait_ready()
        server = cluster.agents["s1"]
        for i in range(20):
            server.ok("PUT", f"/v1/kv/k{i}", f"v{i}".encode())
        self.assertEqual(server.get("/v1/kv/k19?raw").text, "v19")  # it is applied
        for _ in range(2):
            before = server.log_text().count(OVER)
            disk = self.refused(server)
            # Whatever was on its way is answered, too; what comes then is refused by name.
            self.refuses(server, "s1")
            self.assertEqual(server.get("/v1/kv/k7?raw").text, "v7")
            self.assertEqual(server.get("/v1/kv/k8?raw&stale").text, "v8")
            self.assertEqual(server.get("/v1/catalog/nodes").json()[0]["Node"], "s1")
            self.assertEqual(server.dig("s1.node.consul"), [server.address])
            self.assertEqual(server.http("DELETE", "/v1/kv/k7").text, REFUSED.format("s1"))
            self.assertIn("s1: read-only: the file system of its data directory is read-only",
                          server.cli("doctor").stdout)
            self.assertEqual(server.log_text().count(SAID), before + 1)
            pid = server.process.pid
            disk.end()
            wait_for("it to start over", lambda: server.log_text().count(OVER) > before)
            wait_for("writes to go on",
                     lambda: server.put("/v1/kv/more", b"again", timeout=5).status == 200)
            self.assertEqual(server.process.pid, pid)
            for i in range(20):
                self.assertEqual(server.get(f"/v1/kv/k{i}?raw").text, f"v{i}")
        self.assertNotIn("must stop", server.log_text())

    def test_a_leader_gives_way_and_comes_back(self):
        cluster = self.cluster(3, 0).start().wait_ready()
        leader = cluster.leader()
        other = next(s for s in cluster.servers() if s is not leader)
        leader.ok("PUT", "/v1/kv/before", b"it")
        leader.ok("GET", "/v1/kv/before")
        acknowledged = {}
        disk = self.refused(leader)
        until = time.monotonic() + 60
        while len(acknowledged) < 50:
            key = f"k{len(acknowledged)}"
            answer = other.put(f"/v1/kv/{key}", key.encode())
            if answer.status == 200:
                acknowledged[key] = key
            else:
                self.assertIn(answer.text, (REFUSED.format(leader.name), "No cluster leader"))
            self.assertLess(time.monotonic(), until, answer.text)
        self.assertIsNot(cluster.leader(), leader)
        # Through the one that cannot write, too: it asks the leader.
        self.assertEqual(leader.put("/v1/kv/through", b"it").status, 200)
        self.assertEqual(leader.get("/v1/kv/through?raw").text, "it")
        self.assertEqual(leader.get("/v1/kv/before?raw&stale").text, "it")
        self.assertEqual(leader.get("/v1/kv/through?stale").status, 404)
        self.assertIn(f"{leader.name}: read-only: ", other.cli("doctor").stdout)
        disk.end()
        wait_for("it to start over", lambda: OVER in leader.log_text())
        wait_for("it to have all of it",
                 lambda: leader.get("/v1/kv/through?raw&stale", timeout=5).text == "it")
        for key in acknowledged:
            self.assertEqual(leader.get(f"/v1/kv/{key}?raw&consistent").text, key)
        self.assertEqual(leader.log_text().count(SAID), 1)

    def write_on(self, agent, number):
        while agent.put(f"/v1/kv/w{number}", b"w" * 2000).status == 200:
            pass

    def ext4(self, path):
        """A small ext4 in a file, where this user may have one."""
        image = path + ".img"
        with open(image, "wb") as f:
            f.truncate(160 << 20)
        os.makedirs(path)
        subprocess.run(["mkfs.ext4", "-q", "-F", image], check=True)
        run = subprocess.run(["mount", "-o", "loop,errors=remount-ro", image, path],
                             capture_output=True, text=True)
        if run.returncode != 0:
            self.skipTest(f"no loop devices for this user: {run.stderr.strip()}")

    def test_a_file_system_that_gave_up(self):
        cluster = self.cluster(1, 0)
        server = cluster.agents["s1"]
        self.ext4(cluster.dir + "/disk")
        server.data = cluster.dir + "/disk/data"
        cluster.start().wait_ready()
        for i in range(20):
            server.ok("PUT", f"/v1/kv/k{i}", f"v{i}".encode())
        run = subprocess.run(["mount", "-o", "remount,ro", cluster.dir + "/disk"],
                             capture_output=True, text=True)
        self.assertIn("busy", run.stderr)  # the kernel lets nobody do that under open files
        # What is under way is answered with an I/O error: it is no disk that fails.
        writers = [threading.Thread(target=self.write_on, args=(server, i)) for i in range(4)]
        for writer in writers:
            writer.start()
        wait_for("writes to be under way",
                 lambda: server.get("/v1/kv/w0?raw&stale").status == 200)
        subprocess.run(["mount", "-o", "remount,abort", cluster.dir + "/disk"], check=True)
        self.refuses(server, "s1")
        for writer in writers:
            writer.join()
        for i in range(20):  # what was written last may be in the log alone, for good
            self.assertEqual(server.get(f"/v1/kv/k{i}?raw&stale").text, f"v{i}")
        self.assertEqual(server.log_text().count(SAID), 1)
        server.terminate()
        self.assertNotIn("must stop", server.log_text())
        server.start()
        self.assertEqual(server.wait(), 1)
        self.assertIn("Read-only file system", server.log_text())
        unmount(cluster.dir + "/disk")
        subprocess.run(["mount", "-o", "loop", cluster.dir + "/disk.img", cluster.dir + "/disk"],
                       check=True)
        server.start()
        cluster.wait_ready()
        for i in range(20):
            self.assertEqual(server.get(f"/v1/kv/k{i}?raw").text, f"v{i}")


if __name__ == "__main__":
    in_own_namespace()
    main()
