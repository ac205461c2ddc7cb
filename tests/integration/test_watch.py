"""muster watch, and watches of the configuration: programs and URLs that are told of changes."""

import http.server
import json
import os
import signal
import subprocess
import threading

from cluster import MUSTER, PATIENCE, ClusterTest, main, wait_equal, wait_for


class Watch(ClusterTest):
    def setUp(self):
        super().setUp()
        self.all = self.cluster(servers=1, clients=1)
        self.s1, self.k1 = self.all.agents["s1"], self.all.agents["k1"]
        self.out = os.path.join(self.all.dir, "out")

    def start(self):
        self.all.start().wait_ready()

    def runs(self):
        """What handlers wrote: one "index json" a run."""
        try:
            with open(self.out) as f:
                return [(int(line.split(" ", 1)[0]), json.loads(line.split(" ", 1)[1]))
                        for line in f if line.endswith("\n")]
        except FileNotFoundError:
            return []

    def handler(self):
        return f'(printf "%s " "$CONSUL_INDEX"; cat) >>{self.out}'

    def watch(self, *words):
        process = subprocess.Popen([MUSTER, "watch", f"-http-addr={self.k1.address}:8500", *words],
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def test_once(self):
        self.start()
        self.s1.put("/v1/kv/conf/a", "1")
        self.s1.put("/v1/kv/conf/b", "2")
        self.k1.ok("PUT", "/v1/agent/service/register", {"Name": "web", "Tags": ["blue"]})
        run = lambda *words: self.k1.cli("watch", *words)
        one = run("-type=key", "-key=conf/a")
        self.assertEqual(one.returncode, 0)
        self.assertTrue(one.stdout.startswith('{\n    "Key": "conf/a",\n    "CreateIndex": '))
        self.assertEqual(list(json.loads(one.stdout)), ["Key", "CreateIndex", "ModifyIndex",
                                                       "LockIndex", "Flags", "Value", "Session"])
        self.assertEqual(run("-type=key", "-key=none").stdout, "null\n")
        self.assertEqual([p["Key"] for p in json.loads(run("-type=keyprefix", "-prefix=conf/").stdout)],
                         ["conf/a", "conf/b"])
        wait_for("the service", lambda: json.loads(run("-type=services").stdout).get("web") == ["blue"])
        self.assertEqual({n["Node"] for n in json.loads(run("-type=nodes").stdout)}, {"s1", "k1"})
        self.assertEqual(len(json.loads(run("-type=service", "-service=web", "-tag=blue",
                                            "-passingonly=true").stdout)), 1)
        self.assertEqual(run("-type=service", "-service=web", "-tag=red").stdout, "[]\n")
        self.assertEqual({c["CheckID"] for c in json.loads(run("-type=checks").stdout)}, {"serfHealth"})
        self.assertEqual(run("-type=event").stdout, "[]\n")
        for words, error in ((("-type=foo",), "Unsupported watch type: foo\n"),
                             ((), "Watch type must be specified\n"),
                             (("-type=key",), "Must specify a single key to watch\n"),
                             (("-type=nodes", "-key=a"), "Invalid parameters: [key]\n")):
            refused = run(*words)
            self.assertEqual((refused.returncode, refused.stderr), (1, error))
        gone = self.k1.cli("watch", "-http-addr=127.0.0.1:1", "-type=nodes")
        self.assertEqual(gone.returncode, 1)
        self.assertIn("Error querying Consul agent: Get \"http://127.0.0.1:1/v1/catalog/nodes\": "
                      "dial tcp 127.0.0.1:1: connect: connection refused", gone.stderr)
        self.s1.kill()
        wait_for("the server to be failed", lambda: self.k1.members()["s1"] == 4)
        wait_equal("the answer", (1, "Error querying Consul agent: Unexpected response code: 500 "
                                     "(No known Consul servers)\n"),
                   lambda: (lambda r: (r.returncode, r.stderr))(run("-type=nodes")))

    def test_program(self):
        self.start()
        watch = self.watch("-type=key", "-key=conf/a", self.handler())
        wait_for("the first run", lambda: [j for _, j in self.runs()] == [None])
        for i in range(3):
            self.s1.put("/v1/kv/conf/a", str(i))
            wait_for("a run", lambda: len(self.runs()) == i + 2)
        self.s1.put("/v1/kv/conf/other", "x")  # nothing to tell
        self.s1.http("DELETE", "/v1/kv/conf/a")
        wait_for("the last run", lambda: len(self.runs()) == 5)
        runs = self.runs()
        self.assertEqual([j and j["Value"] for _, j in runs], [None, "MA==", "MQ==", "Mg==", None])
        self.assertEqual([i for i, j in runs[1:4]], [j["ModifyIndex"] for _, j in runs[1:4]])
        watch.send_signal(signal.SIGINT)
        self.assertEqual(watch.wait(PATIENCE), 0)

    def test_events_come_once(self):
        self.start()
        self.k1.put("/v1/event/fire/deploy", "old")
        wait_for("the event", lambda: len(self.k1.get("/v1/event/list").json()) == 1)
        self.watch("-type=event", "-name=deploy", self.handler())
        wait_for("the first run", lambda: len(self.runs()) == 1)
        for i in range(5):
            self.s1.put("/v1/event/fire/other", "x")
            self.s1.put("/v1/event/fire/deploy", str(i))
            wait_for("it", lambda: sum(len(j) for _, j in self.runs()) >= i + 2)
        told = [e["Payload"] for _, j in self.runs() for e in j]
        self.assertEqual(told, ["b2xk", "MA==", "MQ==", "Mg==", "Mw==", "NA=="])

    def test_program_that_fails(self):
        self.start()
        watch = self.watch("-type=nodes", "-shell=false", "/bin/sh", "-c", "echo said; exit 3")
        self.assertEqual(watch.communicate(timeout=PATIENCE)[0],
                         "said\nError executing handler: exit status 3\n")
        self.assertEqual(watch.returncode, 1)
        watch = self.watch("-type=nodes", "-shell=false", "/does/not/exist")
        self.assertIn("Error starting handler: no such file", watch.communicate(timeout=PATIENCE)[0])

    def test_configured(self):
        asked = []

        class Told(http.server.BaseHTTPRequestHandler):
            def do_PUT(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                asked.append((self.path, self.headers["X-Consul-Index"], self.headers["X-More"],
                              json.loads(body)))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args):
                pass

        server = http.server.HTTPServer(("127.0.0.1", 0), Told)
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        path = os.path.join(self.all.dir, "watches.hcl")
        with open(path, "w") as f:
            f.write(f'''watches = [
              {{ type = "key" key = "a" args = ["/bin/sh", "-c", {json.dumps(self.handler())}] }},
              {{ type = "keyprefix" prefix = "p/" handler = "sleep 1000" }},
              {{ type = "service" service = "web" passingonly = true handler_type = "http"
                http_handler_config {{
                  path = "http://127.0.0.1:{server.server_port}/told" method = "PUT" timeout = "5s"
                  header = {{ X-More = ["x"] }} }} }}
            ]\n''')
        self.k1.args += ["-config-file", path]
        self.start()
        self.s1.put("/v1/kv/a", "1")
        wait_for("the program", lambda: [j and j["Value"] for _, j in self.runs()][-1:] == ["MQ=="])
        self.s1.put("/v1/kv/p/x", "1")
        self.k1.ok("PUT", "/v1/agent/service/register", {"Name": "web"})
        wait_for("the URL", lambda: asked and len(asked[-1][3]) == 1)
        self.assertEqual((asked[-1][0], asked[-1][2]), ("/told", "x"))
        self.assertEqual(asked[-1][3][0]["Service"]["Service"], "web")
        sleepers = lambda: subprocess.run(["pgrep", "-x", "-P", str(self.k1.process.pid), "sleep|sh"],
                                          capture_output=True, text=True).stdout.split()
        wait_for("the handler that hangs", lambda: len(sleepers()) == 1)
        (pid,) = sleepers()
        self.k1.terminate(signal.SIGTERM)
        wait_for("no orphan", lambda: not os.path.exists(f"/proc/{pid}"))

    def test_refused(self):
        for watch, error in (
                ({"type": "key", "key": "a"}, "Must define a watch handler"),
                ({"key": "a", "args": ["x"]}, "Watch type must be specified"),
                ({"type": "nodes", "args": ["x"], "handler": "y"}, "Only one watch handler allowed"),
                ({"type": "nodes", "handler_type": "x", "args": ["x"]}, "Handler type 'x' not recognized"),
                ({"type": "nodes", "handler_type": "http"},
                 "Handler type 'http' requires 'http_handler_config' to be set"),
                ({"type": "nodes", "args": ["x"], "foo": 1}, "Invalid parameters: [foo]")):
            path = os.path.join(self.all.dir, "bad.json")
            with open(path, "w") as f:
                json.dump({"watches": [watch]}, f)
            run = self.k1.cli("validate", path)
            self.assertEqual(run.returncode, 1)
            self.assertIn(error, run.stderr + run.stdout)


if __name__ == "__main__":
    main()
