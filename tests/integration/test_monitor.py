"""The agent's log over HTTP, as it goes on: GET /v1/agent/monitor and muster monitor."""

import json
import re
import signal
import socket
import subprocess
import threading

from cluster import MUSTER, PATIENCE, ClusterTest, main, wait_for

LINE = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z \[(TRACE|DEBUG|INFO|WARN|ERROR)\] +[a-z_.]+: ")


class Reader:
    """A program whose output is read as it comes."""

    def __init__(self, test, *words):
        self.process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                        text=True, bufsize=1)
        self.lines = []
        thread = threading.Thread(target=self.read)
        thread.start()
        test.addCleanup(thread.join)
        test.addCleanup(self.process.wait)
        test.addCleanup(self.process.kill)

    def read(self):
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))
        self.process.stdout.close()

    def has(self, text):
        return any(text in line for line in self.lines)


class Monitor(ClusterTest):
    def setUp(self):
        super().setUp()
        self.all = self.cluster(servers=1, clients=0)
        self.all.start().wait_ready()
        self.s1 = self.all.agents["s1"]
        self.count = 0

    def url(self, more=""):
        return f"http://{self.s1.address}:8500/v1/agent/monitor{more}"

    def say(self, reader, marker):
        """Let the agent log something until the reader, which may only just begin, has it."""
        def said():
            self.count += 1
            self.s1.ok("PUT", "/v1/agent/service/register", {"Name": f"web{self.count}"})
            return reader.has(marker)
        wait_for(marker, said)

    def test_text(self):
        for version in ("--http1.1", "--http2-prior-knowledge", "--http1.0"):
            reader = Reader(self, "curl", "-sSN", version, self.url())
            self.say(reader, "Synced service")
            for line in reader.lines:
                self.assertRegex(line, LINE)
                self.assertNotIn("[DEBUG]", line)
        head = subprocess.run(["curl", "-sSN", "-D-", "-o/dev/null", "-m1", self.url()],
                              capture_output=True, text=True).stdout
        self.assertIn("HTTP/1.1 200 OK", head)
        self.assertIn("Transfer-Encoding: chunked", head)
        self.assertNotIn("Content-Length", head)

    def test_levels_and_json(self):
        """Each reader has its own, whatever the agent's log is."""
        debug = Reader(self, "curl", "-sSN", self.url("?loglevel=debug"))
        warn = Reader(self, "curl", "-sSN", self.url("?loglevel=WARN"))
        objects = Reader(self, "curl", "-sSN", self.url("?logjson&loglevel=debug"))
        self.say(debug, "Request finished")
        self.say(objects, "Request finished")
        self.assertTrue(debug.has("[DEBUG] agent.http: Request finished: method=PUT"))
        for line in list(objects.lines):
            self.assertEqual(set(json.loads(line)) & {"@level", "@message", "@module", "@timestamp"},
                             {"@level", "@message", "@module", "@timestamp"})
        self.s1.get("/v1/catalog/nodes?dc=nowhere")
        wait_for("the error", lambda: warn.has("Request error"))
        self.assertEqual([x for x in warn.lines if "[INFO]" in x or "[DEBUG]" in x], [])
        self.assertNotIn("[DEBUG]", self.s1.log_text())
        answer = self.s1.get("/v1/agent/monitor?loglevel=foo")
        self.assertEqual((answer.status, answer.text), (400, "Bad request: Unknown log level: foo"))

    def test_slow_reader(self):
        """One that does not read loses lines and hears how many; nobody else notices."""
        slow = socket.socket()
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.connect((self.s1.address, 8500))
        self.addCleanup(slow.close)
        slow.sendall(b"GET /v1/agent/monitor?loglevel=debug HTTP/1.0\r\n\r\n")
        fast = Reader(self, "curl", "-sSN", self.url("?loglevel=debug"))
        self.say(fast, "Request finished")
        for _ in range(300):  # far more than the buffers of sockets hold
            self.s1.get("/v1/agent/members?" + "x" * 50000)
        wait_for("all of them", lambda: sum("x" * 50000 in x for x in fast.lines) == 300)
        self.assertFalse(fast.has("Dropped lines"))
        slow.settimeout(PATIENCE)
        heard = b""
        while b"Dropped lines of the log: dropped=" not in heard:
            more = slow.recv(65536)
            self.assertTrue(more)
            heard = heard[-100:] + more
            self.s1.get("/v1/status/leader")  # the next line that finds room tells

    def test_command(self):
        reader = Reader(self, MUSTER, "monitor", f"-http-addr={self.s1.address}:8500",
                        "-log-level=debug")
        self.say(reader, "Request finished")
        reader.process.send_signal(signal.SIGINT)
        self.assertEqual(reader.process.wait(PATIENCE), 0)
        refused = self.s1.cli("monitor", "-log-level=NOPE")
        self.assertEqual((refused.returncode, refused.stderr),
                         (1, "Error starting monitor: Unexpected response code: 400 "
                             "(Bad request: Unknown log level: NOPE)\n"))
        reader = Reader(self, MUSTER, "monitor", f"-http-addr={self.s1.address}:8500")
        self.say(reader, "Synced service")
        self.s1.terminate(signal.SIGTERM)  # ends streams in order, and does not wait for them
        self.assertEqual(reader.process.wait(PATIENCE), 1)
        wait_for("the last words", lambda: reader.has("remote side has exited or crashed."))


if __name__ == "__main__":
    main()
