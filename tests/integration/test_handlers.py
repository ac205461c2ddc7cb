"""Scripts as event handlers: what they are given, what they answer to queries, and that no script
can do the agent any harm."""

import json
import os
import signal
import subprocess

from cluster import MUSTER, PATIENCE, ClusterTest, main, wait_for
from test_serf import Client, ok, request

SCRIPT = """#!/bin/sh
# Writes down what it is given; answers queries as the specification's handler H does.
{ echo "== $SERF_EVENT $SERF_SELF_NAME $SERF_SELF_ROLE ${SERF_USER_EVENT}${SERF_QUERY_NAME}"
  echo "tag $SERF_TAG_COLOUR"
  cat; } >>"$0.log"
case "$SERF_QUERY_NAME" in
load) echo "load from $SERF_SELF_NAME" ;;
stderr) echo out; echo err >&2 ;;
big) head -c 2000 /dev/zero | tr '\\0' x ;;
fail) echo nope; exit 3 ;;
esac
"""


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


class Handlers(ClusterTest):
    def setUp(self):
        super().setUp()
        self.all = self.cluster(servers=1, clients=1)
        self.s1, self.k1 = self.all.agents["s1"], self.all.agents["k1"]

    def script(self, name, text=SCRIPT):
        path = os.path.join(self.all.dir, name)
        with open(path, "w") as f:
            f.write(text)
        os.chmod(path, 0o755)
        return path

    def lines(self, path):
        try:
            with open(path) as f:
                return f.readlines()
        except FileNotFoundError:
            return []

    def heard(self, path):
        return "".join(self.lines(path + ".log"))

    def serf(self, agent, *words):
        run = subprocess.run(["serf", words[0], "-rpc-addr", f"{agent.address}:7373", *words[1:]],
                             capture_output=True, text=True, timeout=PATIENCE)
        return run.returncode, run.stdout

    def muster(self, *words):
        return subprocess.run([MUSTER, *words], capture_output=True, text=True, timeout=PATIENCE,
                              check=True).stdout

    def start(self, *args):
        self.k1.args += ["-hcl", 'telemetry { prometheus_retention_time = "1m" }', *args]
        self.all.start().wait_ready()
        wait_for("members", lambda: len(self.s1.members()) == len(self.k1.members()) == 2)

    def test_members_events_queries(self):
        h = self.script("h")
        self.start("-event-handler", h, "-event-handler", f"user:only,query:load={h}2")
        h2 = self.script("h2")
        wait_for("members in one run", lambda: "s1\t" in self.heard(h) and "k1\t" in self.heard(h))
        self.assertIn("== member-join k1 node \ntag \n", self.heard(h))
        self.assertIn(f"s1\t{self.s1.address}\tconsul\tacls=", self.heard(h))
        self.assertEqual(self.serf(self.k1, "tags", "-set", "colour=red")[0], 0)
        wait_for("the update", lambda: "== member-update k1 node \ntag red\n" in self.heard(h))

        self.assertEqual(self.serf(self.s1, "event", "-coalesce=false", "deploy", "v1")[0], 0)
        wait_for("the event", lambda: "== user k1 node deploy\ntag red\nv1\n" in self.heard(h))
        client = Client(self.k1)
        for payload in (b"a", b"b", b"c"):  # within one window: the last one stands for all
            client.send(request("event", 2, "Name", "co", "Payload", b"\xc4\x01" + payload,
                                "Coalesce", b"\xc3"))
        for _ in range(3):
            client.hear(ok(2))
        client.close()
        wait_for("the last event", lambda: "co\ntag red\nc\n" in self.heard(h))
        self.assertEqual(self.heard(h).count(" co\n"), 1)
        self.assertEqual(self.heard(h2), "")

        def answered(*words):
            code, text = self.serf(self.s1, "query", "-timeout=2s", *words)
            self.assertEqual(code, 0)
            return "Total Responses: 1\n" in text and text  # h2 answered too: once counts

        text = wait_for("an answer in time", lambda: answered("load", "pay"))
        self.assertIn("Response from 'k1': load from k1\n", text)
        self.assertIn("== query k1 node load\ntag red\npay\n", self.heard(h))
        wait_for("the other handler", lambda: "== query" in self.heard(h2))
        text = wait_for("an answer in time", lambda: answered("stderr"))
        self.assertIn("Response from 'k1': out\nerr\n", text)
        for name in ("big", "fail", "nothing"):
            code, text = self.serf(self.s1, "query", "-timeout=1s", name)
            self.assertIn("Total Responses: 0\n", text, name)
        for why in ("Failed to respond to query 'query: big': response exceeds limit of 1024 bytes",
                    f"Error invoking script '{h}': exit status 3"):
            wait_for(why, lambda w=why: w in self.k1.log_text())

        # Events of the HTTP API are not Serf's.
        self.k1.ok("PUT", "/v1/event/fire/consuls", b"x")
        self.serf(self.k1, "event", "-coalesce=false", "after")
        wait_for("the next event", lambda: " after\n" in self.heard(h))
        self.assertNotIn("consuls", self.heard(h))

        code, text = self.serf(self.k1, "info")
        self.assertIn(f"*: = {h}\n", text)
        self.assertIn(f"user:only = {h}2\n", text)

        # Crash and leave of another.
        self.all.add("k2", args=["-retry-join", self.s1.address])
        self.all.start(["k2"])
        wait_for("k2", lambda: "k2\t" in self.heard(h))
        self.all.agents["k2"].kill()
        wait_for("its failure", lambda: "== member-failed k1" in self.heard(h), seconds=60)

    def test_answers_that_no_datagram_takes(self):
        """By TCP, sealed, to who asks for such; to nobody else."""
        h = self.script("h", """#!/bin/sh
case "$SERF_QUERY_NAME" in
much) seq -f "line %05.0f" 1 3600 ;;  # 39,600 bytes
too) head -c 66000 /dev/zero | tr '\\0' x ;;
esac
""")
        key = self.muster("keygen").strip()
        self.s1.args += ["-encrypt", key]
        self.start("-event-handler", h, "-encrypt", key)

        def query(*words):
            return self.muster("query", "-rpc-addr", f"{self.s1.address}:7373", *words)

        def answered():
            text = query("-large", "-timeout=2s", "much")
            return "Total Responses: 1\n" in text and text

        text = wait_for("a large answer in time", answered)
        much = "".join(f"line {n:05}\n" for n in range(1, 3601))
        self.assertIn("Response from 'k1': " + much, text)
        out = json.loads(query("-large", "-timeout=2s", "-format=json", "much"))
        self.assertEqual(out["Responses"], {"k1": much})
        self.assertIn("Total Responses: 0\n", query("-timeout=1s", "much"))
        self.assertIn("Total Responses: 0\n", query("-large", "-timeout=1s", "too"))
        for why in ("Failed to respond to query 'query: much': response exceeds limit of 1024 bytes",
                    "Failed to respond to query 'query: too': response exceeds limit of 65472 bytes"):
            wait_for(why, lambda w=why: w in self.k1.log_text())

    def test_config_file(self):
        h = self.script("h")
        path = os.path.join(self.all.dir, "handlers.json")
        with open(path, "w") as f:
            json.dump({"event_handlers": [f"user:deploy={h}", f"user:consul:event:ask={h}"]}, f)
        self.start("-config-file", path)
        # One that the HTTP API sent, asked for by its long name: only where it is meant.
        self.s1.ok("PUT", "/v1/event/fire/ask?node=^s", b"not for k1")
        self.s1.ok("PUT", "/v1/event/fire/ask?node=^k", b"for k1")
        wait_for("it", lambda: "== user k1 node consul:event:ask\ntag \nfor k1\n" in self.heard(h))
        self.serf(self.k1, "event", "-coalesce=false", "deploy")
        wait_for("the event", lambda: "== user k1 node deploy\n" in self.heard(h))
        self.assertNotIn("not for k1", self.heard(h))

    def test_refused(self):
        bad = self.all.add("bad", args=["-event-handler", "foo=bar"])
        bad.start()
        self.assertEqual(bad.wait(), 1)
        self.assertIn("Invalid event script: Event 'foo' invoking 'bar'", bad.log_text())

    def test_hostile(self):
        """Scripts that hang, flood, fork and read nothing: the agent goes on, says so, and leaves
        nobody behind."""
        pids = os.path.join(self.all.dir, "pids")
        path = os.path.join(self.all.dir, "hostile.json")
        with open(path, "w") as f:
            json.dump({"event_handler_timeout": "2s", "event_handlers": [
                f"user:hang=trap '' TERM INT; echo $$ >>{pids}; sleep 1000 & echo $! >>{pids}; wait; wait",
                "user:flood=exec yes flood",
                f"user:fork=sleep 1000 & echo $! >>{pids}",
                "user:blind=exec 0<&-; exit 7",
            ]}, f)
        h = self.script("h")
        self.start("-config-file", path, "-event-handler", f"user:fine={h}")
        for name in ("hang", "flood", "fork", "blind"):
            self.serf(self.k1, "event", "-coalesce=false", name, "x" * 100)
        self.serf(self.k1, "event", "-coalesce=false", "fine")
        wait_for("a good handler beside the bad ones", lambda: "== user" in self.heard(h))
        self.k1.ok("GET", "/v1/agent/members")
        for sentence in ("Script 'trap '' TERM INT;", "exec yes flood' did not end in time and was killed",
                         "left processes that held its output: it is closed, and those of its process group are killed",
                         "exit status 7"):
            wait_for(sentence, lambda s=sentence: s in self.k1.log_text())
        wait_for("the kill of the one that hangs",
                 lambda: self.k1.log_text().count("did not end in time") == 2)
        born = [int(line) for line in self.lines(pids)]
        self.assertEqual(len(born), 3)
        wait_for("all to be gone", lambda: not any(alive(p) for p in born))

        # More events than the queue of one that hangs holds, then the end of the agent.
        os.remove(pids)
        for _ in range(3):
            self.flood_events("hang", 400)
        wait_for("drops", lambda: "Dropping events of a handler that does not keep up"
                 in self.k1.log_text())
        wait_for("a run", lambda: len(self.lines(pids)) >= 2)
        self.assertEqual(self.k1.log_text().count("Dropping events of a handler"), 1)
        self.assertEqual(self.k1.log_text().count("did not end in time"), 2)  # of many more runs
        self.k1.terminate(signal.SIGTERM)
        born = [int(line) for line in self.lines(pids)]
        wait_for("no orphan", lambda: not any(alive(p) for p in born))

    def count(self, name):
        answer = self.k1.ok("GET", "/v1/agent/metrics?format=prometheus").text
        return next(float(line.split()[1]) for line in answer.splitlines()
                    if line.startswith(f"consul_agent_handlers_{name} "))

    def test_said_once(self):
        """What a script does again and again is counted each time, and said until it was better."""
        slow = "read how; [ $how = fast ] || exec sleep 1.2"
        left = "read how; [ $how = fast ] || sleep 1000 &"  # waited for: slow as well
        self.start("-event-handler", "user:slow=" + slow, "-event-handler", "user:left=" + left)
        for runs, how, bad, said in ((2, "bad", 1, 1), (4, "bad", 2, 1), (6, "fast", 2, 1),
                                     (8, "bad", 3, 2)):
            for name in ("slow", "left"):
                self.serf(self.k1, "event", "-coalesce=false", name, how)
            wait_for(f"{runs} runs", lambda n=runs: self.count("runs") == n)
            self.assertEqual((self.count("slow"), self.count("left")), (2 * bad, bad))
            for sentence in (f"Script '{slow}' slow, execution exceeding 1s",
                             f"Script '{left}' slow, execution exceeding 1s",
                             f"Script '{left}' left processes that held its output: it is closed, and "
                             "those of its process group are killed"):
                self.assertEqual(self.k1.log_text().count(sentence), said, sentence)

    def test_many_that_hang(self):
        """More handlers than run at a time hang without any limit: the others run all the same."""
        pids = os.path.join(self.all.dir, "pids")
        path = os.path.join(self.all.dir, "many.json")
        with open(path, "w") as f:
            json.dump({"event_handler_timeout": "0s", "event_handlers":
                       [f"user:hang=: {i}; echo $$ >>{pids}; exec sleep 1000" for i in range(20)]},
                      f)
        h = self.script("h")
        self.start("-config-file", path, "-event-handler", f"user:fine={h}")
        self.serf(self.k1, "event", "-coalesce=false", "hang")
        wait_for("all to hang", lambda: len(self.lines(pids)) == 20)
        self.serf(self.k1, "event", "-coalesce=false", "fine")
        wait_for("one that does not", lambda: "== user" in self.heard(h))
        self.k1.ok("GET", "/v1/agent/members")

        wait_for("its end", lambda: self.count("runs") == 1)
        for _ in range(3):
            self.flood_events("hang", 400)
        dropped = "Dropping events of a handler that does not keep up"
        wait_for("drops", lambda: self.k1.log_text().count(dropped) == 20)  # one of each
        self.assertGreaterEqual(self.count("dropped"), 20)
        self.assertEqual(len(self.lines(pids)), 20)
        self.k1.terminate(signal.SIGTERM)
        born = [int(line) for line in self.lines(pids)]
        wait_for("no orphan", lambda: not any(alive(p) for p in born))

    def flood_events(self, name, count):
        client = Client(self.k1)
        for i in range(count):
            client.send(request("event", 2, "Name", name, "Payload", b"\xc0", "Coalesce", b"\xc2"))
            client.hear(ok(2))
        client.close()


if __name__ == "__main__":
    main()
