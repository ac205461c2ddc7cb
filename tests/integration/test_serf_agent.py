"""muster serf agent: Serf's flags and files, and Debian's serf command against it, by the
transcripts of spec/serf-surface.md 11."""

import base64
import json
import os
import re
import signal
import socket
import subprocess
import threading
import time

from cluster import MUSTER, PATIENCE, main, wait_for
from serf_agents import ENVIRONMENT, SerfAgent, SerfAgentsTest, gossip_port

K = [base64.b64encode(bytes([i]) * 32).decode() for i in (1, 2, 3)]


class Forwarder:
    """What a router does for one port: datagrams and connections go on to another address."""

    def __init__(self, at, to):
        self.to = to
        self.flows = {}
        self.udp = socket.socket(type=socket.SOCK_DGRAM)
        self.udp.bind(at)
        self.tcp = socket.create_server(at)
        self.seen = {"udp": 0, "tcp": 0}
        for work in (self.datagrams, self.connections):
            threading.Thread(target=work, daemon=True).start()

    def datagrams(self):
        while True:
            data, source = self.udp.recvfrom(65536)
            self.seen["udp"] += 1
            if source not in self.flows:
                flow = self.flows[source] = socket.socket(type=socket.SOCK_DGRAM)
                flow.connect(self.to)
                threading.Thread(target=self.answers, args=(flow, source), daemon=True).start()
            self.flows[source].send(data)

    def answers(self, flow, source):
        while True:
            try:
                self.udp.sendto(flow.recv(65536), source)
            except OSError:
                return  # nobody is there (any more)

    def connections(self):
        while True:
            near, _ = self.tcp.accept()
            self.seen["tcp"] += 1
            try:
                far = socket.create_connection(self.to)
            except OSError:
                near.close()  # nobody is there (any more)
                continue
            for ends in ((near, far), (far, near)):
                threading.Thread(target=self.pump, args=ends, daemon=True).start()

    def pump(self, one, other):
        try:
            while data := one.recv(65536):
                other.sendall(data)
            other.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # either end is gone, and so is the other soon


class SerfAgents(SerfAgentsTest):
    def test_members_events_queries(self):
        n1, n2, n3 = self.three()
        code, out = n1.serf("members")
        tags = {line.split()[0]: set(line.split("alive", 1)[1].strip().split(","))
                for line in out.splitlines()}
        self.assertEqual(tags, {"n1": {"dc=east", "role=web", "we ird-k.ey=v 1"},
                                "n2": {"role=db"}, "n3": {""}})  # 1: and no tags of ours
        self.assertIn(f"n3  {n3.address}:{self.all.port}  alive", out)
        ours = subprocess.run([MUSTER, "serf", "members", f"-rpc-addr={n1.address}:7373"],
                              capture_output=True, text=True, timeout=PATIENCE, env=ENVIRONMENT)
        self.assertTrue(ours.stdout.endswith("  alive\n"), ours.stdout)  # no blanks at the very end
        self.assertEqual(sorted(map(len, ours.stdout.split("\n"))),
                         sorted(map(len, out.split("\n"))))
        self.assertRegex(n1.serf("info")[1], r"\tgoroutines = [1-9]")
        self.assertIn("Protocol Version: 5  Available Protocol Range: [2, 5]",
                      n1.serf("members", "-detailed")[1])
        self.assertEqual(n1.rows("-tag", "role=web"), {"n1": "alive"})
        self.assertEqual(n1.serf("members", "-tag", "role=we"), (0, "\n"))
        out = n1.serf("info")[1]
        for line in ("\tname = n1", "\t*: = case", "\tmembers = 3", "\tencrypted = false",
                     "\trole = web"):
            self.assertIn(line, out)
        self.assertEqual(n1.serf("event", "deploy", "123abc"),
                         (0, "Event 'deploy' dispatched! Coalescing enabled: true\n"))
        wait_for("it to be told", lambda: "agent: Received event: user-event: deploy\n" in n3.log_text()
                 and "agent: Received event: member-join\n" in n3.log_text())
        self.assertEqual(n2.serf("tags", "-set", "k=v", "-delete", "role"),
                         (0, "Successfully updated agent tags\n"))
        wait_for("the tag", lambda: n1.rows("-tag", "k=v") == {"n2": "alive"})
        self.assertEqual(n1.rows("-tag", "role=db"), {})
        self.assertEqual(n1.serf("tags", "-set", "big=" + 600 * "a")[1],
                         "Error setting tags: Encoded length of tags exceeds limit of 512 bytes\n")
        self.assertEqual(n1.serf("join", n2.address),
                         (0, "Successfully joined cluster by contacting 1 nodes.\n"))
        nobody = self.all.address()
        self.assertIn(f"\t* Failed to join {nobody}: dial tcp {nobody}:{self.all.port}: connect: "
                      "connection refused\n", n1.serf("join", nobody)[1])
        out = n1.serf("query", "load")[1]
        self.assertEqual(set(re.findall(r"Ack from '(\w+)'", out)), {"n1", "n2", "n3"})
        self.assertEqual(set(re.findall(r"Response from '\w+': (load from \w+)", out)),
                         {"load from n1", "load from n2"})
        self.assertIn("Total Acks: 3\nTotal Responses: 2\n", out)
        self.assertIn("Total Acks: 1\nTotal Responses: 1\n", n1.serf("query", "-node=n2", "load")[1])
        for name in ("big", "fail"):
            self.assertIn("Total Acks: 3\nTotal Responses: 0\n", n1.serf("query", name)[1])
        self.assertIn("Response from 'n1': out\nerr\n", n1.serf("query", "stderr")[1])
        code, out = n1.serf("reachability")
        self.assertEqual((code, out.splitlines()[-1]), (0, "Successfully contacted all live nodes"))
        self.assertRegex(n1.serf("rtt", "n2")[1], r"^Estimated n2 <-> n1 rtt: [\d.]+ ms\n$")
        self.assertEqual(n1.serf("keys", "-list")[1].splitlines()[-1],
                         "Failed to gather member keys: 3/3 nodes reported failure")
        out = n1.serf("keys", "-install=ZZZZ")[1]  # 53
        self.assertEqual(out.count("No keyring to modify (encryption not enabled)"), 3, out)
        log = n1.log_text()
        self.assertRegex(log, r"(?m)^    \d{4}/\d\d/\d\d \d\d:\d\d:\d\d \[INFO\] serf: "
                              r"EventMemberJoin: n2 " + re.escape(n2.address) + "$")
        self.assertTrue(log.startswith("==> Starting Serf agent...\n"), log[:200])
        self.assertNotIn("No known", log)  # there is no catalog to miss

    def test_files_and_reload(self):
        conf = os.path.join(self.all.dir, "conf.d")
        out = os.path.join(self.all.dir, "out")
        os.mkdir(conf)
        self.file("conf.d/a.json", {"tags": {"role": "web", "v": "1"}, "rpc_auth": "sesame",
                                    "event_handlers": [f"user:a=echo a >>{out}"]})
        self.file("conf.d/b.json", {"tags": {"v": "2"}, "log_level": "warn"})
        self.file("conf.d/c.txt", "not read")
        n1 = self.agent("n1", "-config-dir", conf, "-tag", "w=3", start=False).start()
        key = {"SERF_RPC_AUTH": "sesame"}
        members = lambda: n1.serf("members", env=key)[1]
        wait_for("n1", lambda: "alive" in members())
        self.assertEqual(set(members().split()[3].split(",")), {"role=web", "v=2", "w=3"})
        self.assertEqual(n1.serf("members"), (1, "Error retrieving members: Authentication required\n"))
        self.assertEqual(n1.serf("members", env={"SERF_RPC_AUTH": "x"}),
                         (1, "Error connecting to Serf agent: Invalid authentication token\n"))
        self.assertNotIn("[INFO]", n1.log_text())
        self.file("conf.d/b.json", {"tags": {"v": "9"}, "log_level": "debug",
                                    "event_handlers": [f"user:b=echo b >>{out}"]})
        n1.send(signal.SIGHUP)  # 77
        wait_for("the tag", lambda: "v=9" in members())
        wait_for("the level", lambda: "[DEBUG]" in n1.log_text())
        self.assertIn("user:b", n1.serf("info", env=key)[1])
        self.assertEqual(n1.serf("event", "-coalesce=false", "b", env=key)[0], 0)
        wait_for("the new handler", lambda: self.read(out) == "b\n")
        self.file("conf.d/b.json", {"tags": {"v": "10"}, "bogus": 1})
        n1.send(signal.SIGHUP)
        wait_for("the refusal", lambda: "==> Failed to reload configs\n" in n1.log_text())
        self.assertIn(f"==> Error decoding '{conf}/b.json': 1 error(s) decoding:\n\n* '' has "
                      "invalid keys: bogus\n", n1.log_text())
        self.assertIn("v=9", members())
        self.file("conf.d/b.json", {"tags": {"v": 600 * "a"},
                                    "event_handlers": [f"user:c=echo c >>{out}"]})
        n1.send(signal.SIGHUP)
        wait_for("the refusal", lambda: "==> Failed to update tags: Encoded length of tags exceeds "
                 "limit of 512 bytes\n==> Failed to reload configs\n" in n1.log_text())
        self.assertIn("v=9", members())
        self.assertIn("user:b", n1.serf("info", env=key)[1])
        self.assertNotIn("user:c", n1.serf("info", env=key)[1])

    def test_settings_by_their_own_names(self):
        """What needs a restart, and what another agent holds, is told in the words of the files."""
        snapshot = os.path.join(self.all.dir, "s")
        conf = self.file("a.json", {"snapshot_path": snapshot})
        n1 = SerfAgent(self.all, "n1", self.all.address(), False, ["-config-file", conf])
        self.all.agents["n1"] = n1
        base = n1.command()
        n1.command = lambda: [w for w in base if w not in ("-rpc-addr", f"{n1.address}:7373", "-bind",
                                                           f"{n1.address}:{self.all.port}")]
        first = {"bind": f"{n1.address}:{self.all.port}", "rpc_addr": f"{n1.address}:7373",
                 "snapshot_path": snapshot, "encrypt_key": K[0]}
        self.file("a.json", first)
        n1.start()
        wait_for("n1", lambda: n1.rows())
        self.assertIn(f'Failed to setup snapshot {snapshot}: directory "{snapshot}.muster" is in use by another '
                      "running agent\n", self.refused("-snapshot", snapshot))
        other = self.all.address()
        self.file("a.json", {"bind": f"{other}:1", "rpc_addr": f"{other}:2", "snapshot_path": "/other",
                             "encrypt_key": K[1], "retry_max_attempts": 7, "rpc_auth": "x",
                             "advertise": other, "statsd_addr": "127.0.0.1:9"})
        n1.send(signal.SIGHUP)
        wait_for("the warning", lambda: re.search("take effect: settings=.*\n", n1.log_text()))
        said = re.search(r'take effect: settings="(.*)"\n', n1.log_text()).group(1)
        self.assertEqual(sorted(said.split(", ")),
                         ["advertise", "bind", "encrypt_key", "retry_max_attempts", "rpc_addr", "rpc_auth",
                          "snapshot_path", "statsd_addr"])

    def refusals(self, agent, flag, why):
        """What `keys` says when each of the three refuses, for this reason."""
        code, out = agent.serf("keys", flag)
        self.assertEqual((code, out.count(why)), (1, 3), out)
        return out.splitlines()

    def test_keys(self):
        rings = [self.file(f"ring{i}", [K[0]]) for i in range(3)]
        n1 = self.agent("e1", "-keyring-file", rings[0])
        n2 = self.agent("e2", "-keyring-file", rings[1], "-join", n1.address)
        n3 = self.agent("e3", "-keyring-file", rings[2], "-join", n1.address)
        wait_for("all", lambda: all(len(n.rows()) == 3 for n in (n1, n2, n3)))
        self.assertEqual(n1.serf("keys", "-list")[1].splitlines()[-1], f"{K[0]}  [3/3]")
        self.assertIn("==> Successfully installed key!", n1.serf("keys", f"-install={K[1]}")[1])
        self.assertEqual(sorted(n1.serf("keys", "-list")[1].splitlines())[-2:],
                         [f"{k}  [3/3]" for k in K[:2]])  # 61
        lines = self.refusals(n1, f"-use={K[2]}", "Requested key is not in the keyring")  # 62
        self.assertEqual(lines[-1], "Error changing primary key: 3/3 nodes reported failure")
        self.assertIn("==> Successfully changed primary key!", n1.serf("keys", f"-use={K[1]}")[1])
        for ring in rings:
            with open(ring) as f:
                self.assertEqual(json.load(f)[0], K[1])  # 63
        lines = self.refusals(n1, f"-remove={K[1]}", "Removing the primary key is not allowed")  # 64
        self.assertEqual(lines[-1], "Error removing key: 3/3 nodes reported failure")
        for _ in range(2):
            self.assertIn("==> Successfully removed key!", n1.serf("keys", f"-remove={K[0]}")[1])
        lines = self.refusals(n1, "-install=c2hvcnQ=", "key size must be 16, 24 or 32 bytes")  # 66
        self.assertEqual(lines[-1], "Error installing key: 3/3 nodes reported failure")
        n3.kill()
        code, out = n1.serf("keys", "-list")  # 67
        self.assertEqual((code, out.splitlines()[-1]),
                         (1, "Failed to gather member keys: 2/3 nodes reported success"))
        wait_for("n3 to be failed", lambda: n1.rows()["e3"] == "failed")
        code, out = n1.serf("keys", "-list")
        self.assertEqual((code, out.splitlines()[-1]), (0, f"{K[1]}  [2/2]"))
        clear = self.agent("clear", "-retry-join", n1.address)
        other = self.agent("other", "-encrypt", K[2])
        for to, why in ((clear, "Encryption is configured but remote state is not encrypted"),
                        (other, "No installed keys could decrypt the message")):
            code, out = n1.serf("join", to.address)  # 68, 69
            self.assertEqual((code, out.split("\n")[1]),
                             (1, f"\t* Failed to join {to.address}: {why}"), out)
        self.assertEqual(len(clear.rows()), 1)

    def test_one_name_in_two_clusters(self):
        """80, and what it is for: halves that meet. The one that fewer know ends."""
        n1 = self.agent("n1")
        n2 = self.agent("n2", "-join", n1.address)
        many = self.agent("x", "-join", n1.address)
        wait_for("the many", lambda: len(n1.rows()) == 3)
        n3 = self.agent("n3")
        few = self.agent("x", "-join", n3.address)
        self.all.agents["x of the many"] = many
        wait_for("the few", lambda: len(n3.rows()) == 2)
        self.assertEqual(n3.serf("join", n1.address)[0], 0)
        self.assertEqual(few.wait(), 1)
        self.assertRegex(few.log_text(), r"minority in name conflict resolution, quiting \[1 / 3\]: "
                         f"'x' is held at {few.address}:{self.all.port} and at {many.address}:{self.all.port}")
        wait_for("the many to have heard", lambda: "majority in name conflict resolution [2 / 3]"
                 in many.log_text())
        # The name is not kept for the one that ended: all soon see whom it belongs to.
        began = time.monotonic()
        wait_for("n3 to see the x of the many", lambda: f"{many.address}:{self.all.port}  alive"
                 in n3.serf("members", "-name=x")[1])
        self.assertLess(time.monotonic() - began, 25)
        for n in (n1, n2):
            self.assertIn(f"{many.address}:{self.all.port}  alive", n.serf("members", "-name=x")[1])
        self.assertTrue(many.running())

    def refused(self, *args):
        agent = SerfAgent(self.all, "bad", self.all.address(), False, list(args))
        run = subprocess.run(agent.command(), capture_output=True, text=True, timeout=PATIENCE)
        self.assertEqual(run.returncode, 1, run.stdout)
        self.assertNotIn("running!", run.stdout)
        return run.stdout

    def test_tags_file(self):
        """Tags that are set outlive the process, and a reload takes the file as it is now."""
        path = os.path.join(self.all.dir, "tags.json")
        n1 = self.agent("n1", "-tags-file", path)
        tags = lambda: {t for t in n1.serf("members")[1].split("alive", 1)[1].strip().split(",") if t}
        self.assertEqual(tags(), set())
        self.assertFalse(os.path.exists(path))
        self.assertEqual(n1.serf("tags", "-set", "role=web", "-set", "v=<1>"),
                         (0, "Successfully updated agent tags\n"))
        self.assertEqual(json.loads(self.read(path)), {"role": "web", "v": "<1>"})
        self.assertEqual(n1.serf("tags", "-set", "w=2", "-delete", "v")[0], 0)
        self.assertEqual(n1.serf("tags", "-set", "big=" + 600 * "a")[1],
                         "Error setting tags: Encoded length of tags exceeds limit of 512 bytes\n")
        self.assertEqual(json.loads(self.read(path)), {"role": "web", "w": "2"})
        n1.kill()
        n1.start()
        wait_for("n1", lambda: tags() == {"role=web", "w=2"})
        self.file("tags.json", {"role": "db"})
        n1.send(signal.SIGHUP)
        wait_for("the tags of the file", lambda: tags() == {"role=db"})
        self.assertEqual(json.loads(self.read(path)), {"role": "db"})  # the reference wipes it
        self.file("tags.json", "nonsense")
        n1.send(signal.SIGHUP)
        wait_for("the refusal", lambda: "==> Failed to reload configs\n" in n1.log_text())
        self.assertEqual(tags(), {"role=db"})
        os.remove(path)
        os.mkdir(path)  # it cannot be written
        code, out = n1.serf("tags", "-set", "a=b")
        self.assertEqual((code, out.split(path)[0]),
                         (1, "Error setting tags: Failed to write tags file: rename to "), out)
        self.assertEqual(tags(), {"role=db"})

    def test_as_many_tags_as_fit(self):
        n1 = self.agent("n1", *(f"-tag={i:02x}=" for i in range(70)))
        self.assertEqual(n1.serf("tags", *(f"-set={i:02x}=" for i in range(70, 100)))[0], 0)
        n2 = self.agent("n2", "-join", n1.address)
        tags = lambda: set(n2.serf("members", "-name=n1")[1].split("alive", 1)[1].strip().split(","))
        wait_for("all", lambda: tags() == {f"{i:02x}=" for i in range(100)})
        self.assertEqual(n1.serf("tags", "-set=x1=", "-set=x2=", "-set=x3=")[1],
                         "Error setting tags: Encoded length of tags exceeds limit of 512 bytes\n")

    def test_text_that_is_not_utf8_is_named(self):
        n1 = self.agent("n1")

        def said(*words):
            run = subprocess.run(words, capture_output=True, timeout=PATIENCE, env=ENVIRONMENT)
            return run.returncode, run.stdout + run.stderr

        rpc = f"-rpc-addr={n1.address}:7373"
        self.assertEqual(said("serf", "tags", rpc, "-set", b"k=\xff"),
                         (1, b"Error setting tags: The value of tag 'k' is not UTF-8\n"))
        self.assertEqual(said("serf", "tags", rpc, "-set", b"n\xff=v"),
                         (1, b"Error setting tags: The key of tag 'n\xff' is not UTF-8\n"))
        self.assertEqual(said("serf", "event", rpc, b"n\xff"),
                         (1, b"Error sending event: user event name 'n\xff' is not UTF-8\n"))
        code, out = said(MUSTER, "serf", "agent", "-tag", b"k=\xff", "-bind", self.all.address())
        self.assertEqual((code, b"The value of tag 'k' is not UTF-8" in out), (1, True), out)
        code, out = said(MUSTER, "serf", "agent", "-node", b"z\xff")
        self.assertEqual((code, b"node_name \"z\xef\xbf\xbd\" is not UTF-8" in out), (1, True), out)

    def ask_to_tag(self, agent, tag):
        """It is asked, and has read that: what came behind it is answered."""
        setter = subprocess.Popen(["serf", "tags", f"-rpc-addr={agent.address}:7373", "-set", tag],
                                  stdout=subprocess.PIPE, text=True, env=ENVIRONMENT)
        self.addCleanup(setter.stdout.close)
        self.addCleanup(setter.wait)
        wait_for("it to be asked", lambda: agent.log_text().count("Accepted client") > self.clients)
        for _ in range(20):
            agent.rows()
        return setter

    def test_a_reload_and_a_change_of_tags(self):
        """What a reload has read of the tags_file is not applied behind a change that is written
        meanwhile; and what is being written is not read."""
        path = os.path.join(self.all.dir, "tags.json")
        ring = self.file("ring", [K[0]])
        n1 = self.agent("n1", "-tags-file", path, "-keyring-file", ring, "-log-level", "DEBUG")
        tags = lambda: {t for t in n1.serf("members")[1].split("alive", 1)[1].strip().split(",") if t}
        self.assertEqual(n1.serf("tags", "-set", "a=1")[0], 0)
        os.remove(ring)
        os.mkfifo(ring)  # read behind the tags
        n1.send(signal.SIGHUP)
        wait_for("the reload", lambda: "agent: Reloading configuration" in n1.log_text())
        end = wait_for("the ring to be read", lambda: os.open(ring, os.O_WRONLY | os.O_NONBLOCK))
        self.clients = n1.log_text().count("Accepted client")
        setter = self.ask_to_tag(n1, "b=2")
        os.write(end, json.dumps([K[0]]).encode())
        os.close(end)
        self.assertEqual(setter.communicate(timeout=PATIENCE)[0], "Successfully updated agent tags\n")
        wait_for("the reload to be over", lambda: "Configuration reloaded" in n1.log_text())
        self.assertEqual(tags(), {"a=1", "b=2"})
        self.assertEqual(json.loads(self.read(path)), {"a": "1", "b": "2"})
        os.remove(ring)
        self.file("ring", [K[0]])
        os.mkfifo(path + ".tmp")  # the file that is to become the other is written first
        self.clients = n1.log_text().count("Accepted client")
        setter = self.ask_to_tag(n1, "c=3")
        n1.send(signal.SIGHUP)
        wait_for("the signal", lambda: n1.log_text().count("signal=hangup") == 2)
        for _ in range(20):
            n1.rows()
        self.assertEqual(n1.log_text().count("agent: Reloading configuration"), 1)
        with open(path + ".tmp", "rb") as end:
            self.assertEqual(json.loads(end.read()), {"a": "1", "b": "2", "c": "3"})
        self.assertIn("Failed to write tags file: sync ", setter.communicate(timeout=PATIENCE)[0])
        wait_for("the second reload", lambda: n1.log_text().count("Configuration reloaded") == 2)
        self.assertEqual(tags(), {"a=1", "b=2"})

    def test_many_set_tags_at_once(self):
        """Each change begins with what the one before it left, on disk and in memory."""
        path = os.path.join(self.all.dir, "tags.json")
        n1 = self.agent("n1", "-tags-file", path)
        setters = [subprocess.Popen(["serf", "tags", f"-rpc-addr={n1.address}:7373", "-set",
                                     f"t{i}={i}"], stdout=subprocess.PIPE, text=True,
                                    env=ENVIRONMENT) for i in range(8)]
        for setter in setters:
            self.assertEqual(setter.communicate(timeout=PATIENCE)[0],
                             "Successfully updated agent tags\n")
        wanted = {f"t{i}": f"{i}" for i in range(8)}
        self.assertEqual(json.loads(self.read(path)), wanted)
        self.assertEqual(json.loads(n1.serf("members", "-format=json")[1])["members"][0]["tags"], wanted)

    def test_replay(self):
        """Events from before the join: with -replay, and not without."""
        out = os.path.join(self.all.dir, "heard")
        n1 = self.agent("n1")
        self.assertEqual(n1.serf("event", "-coalesce=false", "before")[0], 0)
        for name, flag in (("with", ["-replay"]), ("without", [])):
            late = self.agent(name, "-join", n1.address, "-event-handler",
                              f"user=echo $SERF_SELF_NAME $SERF_USER_EVENT >>{out}", *flag)
            wait_for("the join", lambda a=late: len(a.rows()) > 1)
            head = f"\n==> Joining cluster...(replay: {'true' if flag else 'false'})\n"
            wait_for("its words", lambda a=late, h=head: h + "    Join completed. Synced with 1 initial agents\n"
                     "\n==> Log data will now stream in as it occurs:\n\n" in a.log_text())
        self.assertEqual(n1.serf("event", "-coalesce=false", "after")[0], 0)
        wait_for("the last event", lambda: "without after\n" in self.read(out))
        wait_for("the first event", lambda: "with before\n" in self.read(out))
        self.assertNotIn("without before", self.read(out))

    def test_sizes(self):
        """Limits that are set hold, and what is allowed arrives where the default is less."""
        handler = ("*=case $SERF_EVENT:$SERF_QUERY_NAME in user:*) wc -c >>%s;; query:much) "
                   "head -c 3000 /dev/zero | tr '\\0' x;; query:*) head -c 5000 /dev/zero;; esac")
        heard = os.path.join(self.all.dir, "heard")
        limits = self.file("limits.json", {"user_event_size_limit": 900, "query_size_limit": 200,
                                           "query_response_size_limit": 4000})
        n1 = self.agent("n1", "-config-file", limits, "-event-handler", handler % heard)
        n2 = self.agent("n2", "-join", n1.address, "-event-handler", handler % (heard + "2"))
        wait_for("the two", lambda: len(n1.rows()) == len(n2.rows()) == 2)
        self.assertEqual(n1.serf("event", "a", "x" * 900), (1, (
            "Error sending event: user event exceeds configured limit of 900 bytes before encoding\n")))
        self.assertEqual(n1.serf("event", "-coalesce=false", "a", "x" * 800)[0], 0)
        for path in (heard, heard + "2"):
            wait_for("the event", lambda p=path: os.path.exists(p) and self.read(p) == "801\n")
        self.assertEqual(n2.serf("event", "a", "x" * 800)[0], 1)
        self.assertEqual(n1.serf("query", "q", "x" * 200),
                         (1, "Error sending query: query exceeds limit of 200 bytes\n"))
        out = wait_for("the long answer", lambda: [t for t in [n1.serf("query", "much")[1]]
                                                   if "Response from 'n1'" in t])[0]
        self.assertIn("Response from 'n1': " + 3000 * "x" + "\n", out)
        self.assertNotIn("Response from 'n2'", out)  # whose own limit is 1024
        out = wait_for("it elsewhere", lambda: [t for t in [n2.serf("query", "much")[1]]
                                                if "Response from 'n1'" in t])[0]
        self.assertIn("Response from 'n1': " + 3000 * "x" + "\n", out)
        self.assertIn("Total Acks: 2\nTotal Responses: 1\n", out)
        wait_for("why", lambda: "response exceeds limit of 1024 bytes" in n2.log_text())
        self.assertIn("Total Responses: 0", n1.serf("query", "-node=n1", "more")[1])
        wait_for("why", lambda: "response exceeds limit of 4000 bytes" in n1.log_text())

    def test_metrics(self):
        """To statsd, to statsite, and to whoever sends SIGUSR1; sinks that are away are said once."""
        address = self.all.address()
        with socket.socket(type=socket.SOCK_DGRAM) as statsd, socket.create_server(
                (address, 0)) as statsite:
            statsd.bind((address, 0))
            statsd.settimeout(PATIENCE)
            statsite.settimeout(PATIENCE)
            sinks = self.file("sinks.json", {
                "statsd_addr": f"{address}:{statsd.getsockname()[1]}",
                "statsite_addr": f"{address}:{statsite.getsockname()[1]}"})
            n1 = self.agent("n1", "-config-file", sinks)
            n1.serf("query", "-timeout=1ms", "q")
            data = b""
            while b"serf-agent.serf.queries:1.000000|c\n" not in data:
                more = statsd.recv(65536)
                self.assertLessEqual(len(more), 1400)
                self.assertEqual(more[-1:], b"\n")
                data += more
            self.assertIn(b"serf-agent.memberlist.node.instances.alive:1.000000|g\n", data)
            for line in data.splitlines():
                self.assertRegex(line.decode(), r"^serf-agent(\.[A-Za-z0-9_-]+)+:-?\d+\.\d{6}\|(g|c|ms)$")
            stream, _ = statsite.accept()
            with stream, stream.makefile("rb") as lines:
                self.assertRegex(lines.readline().decode(), r"^serf-agent\.runtime\.alloc_bytes:\d+\.\d{6}\|g\n")
            again, _ = statsite.accept()  # it was hung up on
            again.close()
        wait_for("the loss to be said", lambda: "Metrics are lost: their sink cannot be reached: "
                 "kind=statsite" in n1.log_text())
        n1.send(signal.SIGUSR1)
        wait_for("the figures", lambda: re.search(
            r"(?m)^\[20\S+\]\[G\] 'serf-agent\.memberlist\.node\.instances\.alive': 1\.000$", n1.log_text()))
        log = n1.log_text()  # a loss is said once, until the sink was reached again
        self.assertLessEqual(log.count("Metrics are lost"), 1 + log.count("is reached again"))
        self.assertTrue(n1.running())
        self.assertIn("is not host:port", self.refused("-config-file", self.file("bad5", {
            "statsd_addr": "bad"})))

    def test_a_sink_that_hangs_up(self):
        """What a connection takes first proves nothing: that metrics are lost is said once."""
        address = self.all.address()
        with socket.create_server((address, 0)) as statsite:
            statsite.settimeout(PATIENCE)
            n1 = self.agent("n1", "-config-file", self.file("sink.json", {
                "statsite_addr": f"{address}:{statsite.getsockname()[1]}"}))
            for _ in range(5):
                stream, _ = statsite.accept()
                stream.settimeout(PATIENCE)
                self.assertEqual(len(stream.recv(1)), 1)
                stream.close()
            stream, _ = statsite.accept()
            self.assertEqual(n1.log_text().count("Metrics are lost"), 1)
            self.assertNotIn("is reached again", n1.log_text())
            with stream:
                wait_for("it to be reached", lambda: "is reached again: kind=statsite" in n1.log_text())

    def test_addresses(self):
        """-iface and names; what others are told of may have a port of its own."""
        agent = SerfAgent(self.all, "n1", self.all.address(), False, [])
        self.all.agents["n1"] = agent
        base = agent.command()
        agent.command = lambda: [w for w in base if w not in ("-bind", f"{agent.address}:{self.all.port}")
                                 ] + ["-iface", "lo", "-bind", f"0.0.0.0:{self.all.port}"]
        agent.start()
        wait_for("it", lambda: agent.rows())
        self.assertIn("==> Using interface 'lo' address '127.0.0.1'\n", agent.log_text())
        self.assertIn(f"Bind addr: '127.0.0.1:{self.all.port}'\n", agent.log_text())
        self.assertIn(f"127.0.0.1:{self.all.port}  alive", agent.serf("members")[1])
        named = SerfAgent(self.all, "n2", self.all.address(), False, [])
        self.all.agents["n2"] = named
        named.command = lambda: [MUSTER, "serf", "agent", "-node", "n2", "-bind",
                                 f"localhost:{gossip_port()}", "-rpc-addr",
                                 f"{named.address}:7373", "-advertise", "10.9.8.7:99"]
        named.start()
        wait_for("it", lambda: named.rows())
        self.assertIn("    Advertise addr: '10.9.8.7:99'\n", named.log_text())
        self.assertIn("10.9.8.7:99  alive", named.serf("members")[1])

    def test_a_port_alone(self):
        """It listens at all addresses, and a client takes it for this machine's."""
        gossip, rpc = gossip_port(), gossip_port()
        n1 = SerfAgent(self.all, "n1", self.all.address(), False, [])
        self.all.agents["n1"] = n1
        conf = self.file("ports.json", {"bind": f":{gossip}", "rpc_addr": f":{rpc}"})
        for words in (["-bind", f":{gossip}", "-rpc-addr", f":{rpc}"], ["-config-file", conf]):
            n1.command = lambda: [MUSTER, "serf", "agent", "-node", "n1", *words]
            n1.start()
            for program in (["serf"], [MUSTER, "serf"]):
                for at in ("", n1.address):
                    wait_for(f"n1 at '{at}'", lambda: " alive" in subprocess.run(
                        [*program, "members", f"-rpc-addr={at}:{rpc}"], capture_output=True, text=True,
                        env=ENVIRONMENT, timeout=PATIENCE).stdout)
            n1.terminate()
        n1.command = lambda: [MUSTER, "serf", "agent", "-node", "n1", "-bind", f"{n1.address}:{gossip}",
                              "-rpc-addr", f"{n1.address}:7373", "-advertise", ":99"]
        n1.start()
        wait_for("its own address", lambda: f"n1  {n1.address}:99  alive" in n1.serf("members")[1])
        nobody = gossip_port()
        for at in (f":{nobody}", "127.0.0.1:bar", "127.0.0.1:99999", "::1:7373", "[::1"):
            said = [subprocess.run([*program, "members", f"-rpc-addr={at}"], capture_output=True, text=True,
                                   env=ENVIRONMENT, timeout=PATIENCE) for program in (["serf"], [MUSTER, "serf"])]
            self.assertEqual((said[1].returncode, said[1].stdout), (1, said[0].stdout))

    def test_monitors_say_the_same(self):
        """Fields of a record come in any order; within them both programs agree to the byte."""
        conf = self.file("auth.json", {"rpc_auth": "sesame", "tags": {"b": "2", "a": "1"}})
        n1 = SerfAgent(self.all, "n1", self.all.address(), False, ["-profile", "local", "-config-file", conf])
        self.all.agents["n1"] = n1
        n1.start()
        key = {"SERF_RPC_AUTH": "sesame"}
        wait_for("n1", lambda: n1.serf("members", env=key)[0] == 0)
        said = []
        for program in (["serf"], [MUSTER, "serf"]):
            words = [*program, "monitor", f"-rpc-addr={n1.address}:7373"]
            for more, env, text in (([], {}, "Error starting stream: Authentication required\n"),
                                    (["-log-level=foo"], key, "Error starting monitor: Unknown log level: FOO\n")):
                run = subprocess.run([*words, *more], capture_output=True, text=True, timeout=PATIENCE,
                                     env={**ENVIRONMENT, **env})
                self.assertEqual((run.returncode, run.stdout), (1, text), words)
            path = os.path.join(self.all.dir, f"monitor{len(said)}")
            said.append(path)
            with open(path, "w") as to:
                monitor = subprocess.Popen(words, stdout=to, env={**ENVIRONMENT, **key})
            self.addCleanup(monitor.wait)
            self.addCleanup(monitor.kill)
        for path in said:
            wait_for("the stream", lambda: "agent: Serf agent starting" in self.read(path))
        for words in (["event", "-coalesce=false", "nothing"],
                      ["event", "-coalesce=false", 'a"b\\é', "pl\n\x01"],
                      ["query", "-timeout=200ms", "ask"],
                      ["tags", "-set", "c=d\t\x01"]):
            code, out = n1.serf(*words, env=key)
            self.assertEqual(code, 0, out)

        def events(path):
            records = self.read(path).split("Event Info:\n")[1:]
            return [sorted(re.match(r"(\t.*\n)*", r).group(0).splitlines()) for r in records]

        def updated(path):
            return [e for e in events(path) if '\tEvent: "member-update"' in e]
        for path in said:
            wait_for("the update", lambda: updated(path))
        nothing, other, asked = ([e for e in events(said[1]) if any(f'\t{w}' == line for line in e)]
                                 for w in ('Name: "nothing"', r'Name: "a\"b\\é"', 'Name: "ask"'))
        self.assertIn("\tPayload: <nil>", nothing[0])
        self.assertIn("\tPayload: []byte{0x70, 0x6c, 0xa, 0x1}", other[0])
        self.assertIn("\tLTime: 1", asked[0])
        for event in (nothing[0], other[0], asked[0], *updated(said[1])):
            self.assertIn(event, events(said[0]))

    def test_a_crowd_that_has_gone_is_none(self):
        n1 = self.agent("n1")
        handshake = b"\x82\xa7Command\xa9handshake\xa3Seq\x00\x81\xa7Version\x01"
        self.assertIn(b"\xa5Error\xa0", n1.meets_a_crowd(7373, 600, handshake))  # 256 are a crowd

    def test_unix_socket(self):
        """The control port as a file that only this user opens; one that was left is replaced."""
        path = os.path.join(self.all.dir, "serf.sock")
        n1 = SerfAgent(self.all, "n1", self.all.address(), False, ["-rpc-addr", f"unix://{path}"])
        self.all.agents["n1"] = n1

        def serf(*words):
            run = subprocess.run([MUSTER, "serf", words[0], f"-rpc-addr=unix://{path}", *words[1:]],
                                 capture_output=True, text=True, timeout=PATIENCE, env=ENVIRONMENT)
            return run.returncode, run.stdout

        self.assertEqual(serf("members"), (1, "Error connecting to Serf agent: dial unix "
                                              f"{path}: connect: no such file or directory\n"))
        run = subprocess.run([MUSTER, "serf", "members", f"-rpc-addr=unix:///{'x' * 107}"],
                             capture_output=True, text=True, timeout=PATIENCE, env=ENVIRONMENT)
        self.assertEqual((run.returncode, run.stdout), (1, "Error connecting to Serf agent: dial unix "
                                                        f"/{'x' * 107}: the path is too long\n"))
        n1.start()
        wait_for("n1", lambda: serf("members")[0] == 0)
        self.assertEqual(os.stat(path).st_mode & 0o777, 0o600)
        self.assertIn(f"                       RPC addr: 'unix://{path}'\n", n1.log_text())
        self.assertEqual(serf("event", "deploy")[0], 0)
        self.assertIn("Total Acks: 1\n", serf("query", "-timeout=500ms", "q")[1])
        second = SerfAgent(self.all, "n2", self.all.address(), False, list(n1.args))
        run = subprocess.run(second.command(), capture_output=True, text=True, timeout=PATIENCE)
        self.assertEqual(run.returncode, 1)
        self.assertIn(f"==> Error starting RPC listener: listen unix {path}: bind: address already in use",
                      run.stdout)
        n1.kill()
        self.assertTrue(os.path.exists(path))
        n1.start()
        wait_for("n1", lambda: serf("members")[0] == 0)
        self.assertEqual(serf("leave"), (0, "Graceful leave complete\n"))
        self.assertEqual(n1.wait(), 0)
        self.assertFalse(os.path.exists(path))

    def test_plain_names(self):
        """Who asks for plain names neither takes in others nor is taken in by way of them."""
        plain = self.file("plain.json", {"validate_node_names": True, "retry_interval": "",
                                         "mdns": {"disable_ipv6": True}})
        self.assertIn("invalid characters a_b , Valid", self.refused("-config-file", plain, "-node", "a_b"))
        odd = self.agent("n_1")
        n2 = self.agent("n-2.x", "-config-file", plain)
        n3 = self.agent("n3")
        code, out = n2.serf("join", odd.address)
        self.assertEqual(code, 1, out)
        self.assertIn("Member 'n_1' has a name of other characters", out)
        self.assertEqual(n2.serf("join", n3.address)[0], 0)
        self.assertEqual(odd.serf("join", n3.address)[0], 0)
        wait_for("n3 to see both", lambda: len(n3.rows()) == 3)
        self.assertEqual(set(n2.rows()), {"n-2.x", "n3"})

    def test_retries_end(self):
        nobody = self.all.address()
        out = self.refused_later("-retry-join", nobody, "-retry-interval", "1s", "-retry-max", "1")
        self.assertRegex(out, rf"agent: Join failed: 1 error occurred:.*dial tcp {nobody}:{self.all.port}: connect: "
                              r"connection refused.*, retrying in 1s")
        self.assertIn("[ERR] agent: maximum retry join attempts made, exiting\n", out)
        self.assertIn("[WARN] serf: Shutdown without a Leave\n", out)

    def refused_later(self, *args):
        agent = SerfAgent(self.all, "bad", self.all.address(), False, list(args))
        run = subprocess.run(agent.command(), capture_output=True, text=True, timeout=PATIENCE)
        self.assertEqual(run.returncode, 1, run.stdout)
        return run.stdout

    def test_behind_another_port(self):
        """What is advertised may be a router's: others come that way."""
        router = (self.all.address(), gossip_port())
        n1 = self.agent("n1", "-advertise", f"{router[0]}:{router[1]}")
        forwarder = Forwarder(router, (n1.address, self.all.port))
        n2 = self.agent("n2", "-join", f"{router[0]}:{router[1]}")
        wait_for("the two", lambda: len(n1.rows()) == len(n2.rows()) == 2)
        probes = forwarder.seen["udp"]
        wait_for("probes", lambda: forwarder.seen["udp"] > probes + 5)
        for n in (n1, n2):
            self.assertIn(f"n1  {router[0]}:{router[1]}  alive", n.serf("members")[1])
        self.assertIn("Total Acks: 2\n", n2.serf("query", "-timeout=1s", "q")[1])
        self.assertGreater(forwarder.seen["tcp"], 0)

    def test_warnings(self):
        n1 = self.agent("n1", "-retry-interval", "10ms", "-broadcast-timeout", "10ms", "-role", "web",
                        "-rejoin", "-disable-compression")
        log = n1.log_text()
        for text in ("==> Warning: 'RetryInterval' is too low. Setting to 1s\n",
                     "==> Warning: 'BroadcastTimeout' is too low. Setting to 1s\n",
                     "==> Warning: 'RejoinAfterLeave' enabled without snapshot file\n",
                     "==> Deprecation warning: 'Role' has been replaced with 'Tags'\n",
                     "    Message Compression Enabled: false\n"):
            self.assertIn(text, log)
        self.assertRegex(log, r"(?s)==> Starting Serf agent\.\.\.\n==> Starting Serf agent RPC\.\.\.\n"
                              r"==> Serf agent running!\n.*==> Log data will now stream in as it occurs:"
                              r"\n\n    \d{4}/.*EventMemberJoin: n1 ")

    def test_early_lines(self):
        """What the log said before the agent ran is told when it does, not with the next line."""
        n1 = self.agent("n1", "-log-level", "WARN", "-discover", "none", "-mdns-iface", "nope")
        self.assertRegex(n1.log_text(), r"==> Log data will now stream in as it occurs:\n\n    \d{4}/.*"
                                        r"\[WARN\] agent\.mdns: No interface to find others on yet: .*: cluster=none "
                                        rf"bind_addr={n1.address} interface=nope\n")

    def test_refused(self):
        missing = os.path.join(self.all.dir, "missing")
        for args, text in (
                (["-profile", "foo"], "==> Unknown profile: foo\n"),
                (["-protocol", "1"], "Protocol version '1' too low. Must be in range: [2, 5]\n"),
                (["-encrypt", "%"], "illegal base64 data at input byte 0"),
                (["-event-handler", "foo=bar"], "==> Invalid event script: Event 'foo' invoking 'bar'\n"),
                (["-log-level", "loud"],
                 "==> Invalid log level: LOUD. Valid log levels are: [TRACE DEBUG INFO WARN ERR]\n"),
                (["-snapshot", "/proc/nope/x"], "==> Failed to start the Serf agent: Error creating Serf: Failed to "
                 "setup snapshot /proc/nope/x: create directory /proc/nope: "),
                (["-tag", "bad"], "==> Error: Invalid tag: 'bad'\n"),
                (["-tag", "=bad"], "==> Error: Invalid tag: '=bad'\n"),
                (["-tag", "mu_x=1"], "Tag 'mu_x' is the agent's own"),
                (["-retry-interval", "x"], '==> Error: time: invalid duration "x"\n'),
                (["-config-file", missing], f"==> Error reading '{missing}': open {missing}: "),
                (["-config-dir", missing], f"==> Error reading '{missing}': open {missing}: "),
                (["word"], "Unexpected argument: word"),
                (["-bind", "no.such.invalid"],
                 "==> Invalid bind address: lookup no.such.invalid: no such host\n"),
                (["-bind", "127.0.0.1:bar"],
                 "==> Invalid bind address: address tcp/bar: unknown port\n"),
                (["-bind", "127.0.0.1:99999"],
                 "==> Invalid bind address: address 99999: invalid port\n"),
                (["-bind", "::1"], "==> Invalid bind address: address ::1: too many colons in address\n"),
                (["-rpc-addr", "::1:7373"], "==> Error starting RPC listener: listen tcp: address ::1:7373: too "
                                            "many colons in address\n"),
                (["-bind", "192.0.2.77"],
                 "==> Failed to start the Serf agent: Error creating Serf: listen tcp 192.0.2.77:7946: bind: "),
                (["-tag", "big=" + "x" * 600], "==> Failed to start the Serf agent: Error creating Serf: Encoded "
                 "length of tags exceeds limit of 512 bytes\n"),
                (["-iface", "nope"], "==> Invalid network interface: route ip+net: no such network "
                                     "interface\n"),
                (["-iface", "lo", "-bind", "192.0.2.77"],
                 "==> Interface 'lo' has no '192.0.2.77' address\n"),
                (["-tags-file", missing, "-tag", "a=b"],
                 "==> Failed to setup the Serf agent: Tags config not allowed while using tag files\n"),
                (["-tags-file", self.file("bad", "nonsense")],
                 "==> Failed to setup the Serf agent: Failed to decode tags file: "),
                (["-tags-file", self.file("bad2", {"a": 1})], "the tag 'a' of "),
                (["-keyring-file", missing], "==> Failed to setup the Serf agent: stat "
                                             f"{missing}: no such file or directory\n"),
                (["-keyring-file", self.file("bad3", [])],
                 "==> Failed to setup the Serf agent: Keyring file contains no keys\n"),
                (["-keyring-file", self.file("bad4", ["abc"])], "illegal base64 data at input byte 0"),
                (["-encrypt", K[0], "-keyring-file", missing],
                 "Encryption key not allowed while using a keyring")):
            self.assertIn(text, self.refused(*args), args)
        for value, text in (
                ({"b": 1, "node_name": "x", "a": 2}, "* '' has invalid keys: b, a\n"),
                ({"mdns": {"interface": "lo", "b": 1}}, "* 'mdns' has invalid keys: b\n"),
                ({"mdns": "lo"}, "* 'mdns' expected type 'map[string]interface {}', got unconvertible "
                                 "type 'string', value: 'lo'\n"),
                ({"mdns.interface": "lo"}, "* '' has invalid keys: mdns.interface\n"),
                ({"node_name": 1}, "* 'node_name' expected type 'string', got unconvertible type "
                                   "'float64', value: '1'\n"),
                ({"start_join": ["a", 1]}, "* 'start_join[1]' expected type 'string', got "
                                           "unconvertible type 'float64', value: '1'\n"),
                ({"statsd_addr": "nope"}, "==> statsd_addr: 'nope' is not host:port\n"),
                ({"statsite_addr": "nope"}, "==> statsite_addr: 'nope' is not host:port\n"),
                ({"broadcast_timeout": "x"}, ': time: invalid duration "x"\n'),
                ({"user_event_size_limit": 10000}, "user event size limit exceeds limit of 9216 bytes"),
                ({"user_event_size_limit": 1025}, "at most 1024 fit"),
                ({"query_size_limit": 1025}, "at most 1024 fit"),
                ({"query_response_size_limit": 65536}, "at most 65472 fit")):
            path = self.file("bad.json", value)
            self.assertIn(text, self.refused("-config-file", path), value)
        for words, text in ((["-bogus"], "flag provided but not defined: -bogus\n"),
                            (["-protocol", "x"], 'invalid value "x" for flag -protocol: parse error\n'),
                            (["-replay=maybe"],
                             'invalid boolean value "maybe" for -replay: parse error\n'),
                            (["-node"], "flag needs an argument: -node\n")):
            run = subprocess.run([MUSTER, "serf", "agent", *words], capture_output=True, text=True)
            self.assertEqual((run.returncode, run.stderr), (1, text))
            self.assertTrue(run.stdout.startswith("Usage: muster serf agent "), run.stdout[:99])
        with socket.socket() as taken:
            address = self.all.address()
            taken.bind((address, 7373))
            taken.listen()
            self.assertIn(f"Error starting RPC listener: listen tcp {address}:7373: bind: address "
                          "already in use", self.refused("-rpc-addr", f"{address}:7373"))
        help = subprocess.run([MUSTER, "serf", "agent", "-h"], capture_output=True, text=True)
        self.assertEqual((help.returncode, help.stdout), (0, ""))
        self.assertIn("-event-handler=<value>", help.stderr)

    def test_apart_from_a_catalog(self):
        """Agents with a catalog and those without are two clusters."""
        n1 = self.agent("n1")
        s1 = self.all.add("s1", True, ["-bootstrap-expect", "1", "-serf-lan-port", str(self.all.port),
                                       "-retry-join", n1.address])
        s1.start()
        wait_for("s1 to try", lambda: "Join cluster failed" in s1.log_text())
        self.assertEqual(list(n1.rows()), ["n1"])


if __name__ == "__main__":
    main()
