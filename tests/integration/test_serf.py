"""Debian's serf command drives muster agents through port 7373."""

import os
import signal
import socket
import subprocess
import time

from cluster import PATIENCE, ClusterTest, main, wait_for

ENVIRONMENT = {k: v for k, v in os.environ.items() if not k.startswith("SERF_")}


def serf(agent, *words):
    run = subprocess.run(["serf", words[0], "-rpc-addr", f"{agent.address}:7373", *words[1:]],
                         capture_output=True, text=True, timeout=PATIENCE, env=ENVIRONMENT)
    return run.returncode, run.stdout


def statuses(agent, *filters):
    code, text = serf(agent, "members", *filters)
    rows = [line.split() for line in text.splitlines() if line.strip()]
    return {r[0]: r[2] for r in rows} if code == 0 else text


def text(value):
    return bytes([0xa0 + len(value)]) + value.encode()


def request(command, seq, *body):
    """A header, and a body of texts and encoded bytes; all below 32 bytes, 16 keys."""
    out = b"\x82" + text("Command") + text(command) + text("Seq") + bytes([seq])
    if body:
        out += bytes([0x80 + len(body) // 2])
        out += b"".join(v if isinstance(v, bytes) else text(v) for v in body)
    return out


def ok(seq):
    return b"\x82" + text("Error") + text("") + text("Seq") + bytes([seq])


class Client:
    """A client that stays, as programs have it."""

    def __init__(self, agent, room=None):
        """`room`: bytes that the kernel keeps for it."""
        self.socket = socket.socket()
        self.socket.settimeout(PATIENCE)
        if room:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
        self.socket.connect((agent.address, 7373))
        self.seen = b""
        self.send(request("handshake", 1, "Version", b"\x01"))
        self.hear(ok(1))

    def send(self, data):
        self.socket.sendall(data)

    def hear(self, wanted):
        """Read until these bytes were seen; what was before them is returned."""
        while wanted not in self.seen:
            more = self.socket.recv(65536)
            if not more:
                raise AssertionError(f"closed before {wanted!r}; heard {self.seen!r}")
            self.seen += more
        before, self.seen = self.seen.split(wanted, 1)
        return before

    def close(self):
        self.socket.close()


class Serf(ClusterTest):
    def setUp(self):
        super().setUp()
        self.all = self.cluster(servers=1, clients=2)
        self.all.start().wait_ready()
        self.s1, self.k1, self.k2 = (self.all.agents[n] for n in ("s1", "k1", "k2"))
        for agent in self.all.agents.values():
            wait_for(f"{agent.name} to see three members",
                     lambda a=agent: statuses(a) == dict.fromkeys(("s1", "k1", "k2"), "alive"))

    def test_members_tags_info(self):
        self.assertEqual(serf(self.k1, "tags", "-set", "colour=red", "-set", "v=1"),
                         (0, "Successfully updated agent tags\n"))
        wait_for("the tag everywhere", lambda: statuses(self.s1, "-tag", "colour=r.d") ==
                 {"k1": "alive"})
        self.assertEqual(serf(self.k1, "tags", "-delete", "colour")[0], 0)
        wait_for("the tag to go", lambda: statuses(self.s1, "-tag", "colour=red") == {})
        self.assertEqual(statuses(self.s1, "-tag", "v=1"), {"k1": "alive"})
        self.assertEqual(statuses(self.s1, "-name", "k.", "-status", "alive"),
                         {"k1": "alive", "k2": "alive"})
        code, out = serf(self.k1, "tags", "-set", "dc=elsewhere")
        self.assertEqual((code, out), (1, "Error setting tags: Tag 'dc' is the agent's own\n"))
        code, out = serf(self.k1, "members", "-name", "(")
        self.assertEqual((code, out), (1, "Error retrieving members: client closed\n"))
        code, out = serf(self.s1, "info")
        self.assertEqual(code, 0)
        self.assertIn("\tname = s1\n", out)
        self.assertIn("\tmembers = 3\n", out)

    def test_events_and_queries(self):
        listener = Client(self.k2)
        listener.send(request("stream", 2, "Type", "user:deploy,query:load"))
        listener.hear(ok(2))
        self.assertEqual(serf(self.s1, "event", "other", "x")[0], 0)
        self.assertEqual(serf(self.s1, "event", "-coalesce=false", "deploy", "v1"),
                         (0, "Event 'deploy' dispatched! Coalescing enabled: false\n"))
        before = listener.hear(text("Name") + text("deploy") + text("Payload") + b"\xc4\x02v1")
        self.assertNotIn(b"other", before)
        query = subprocess.Popen(
            ["serf", "query", "-rpc-addr", f"{self.k1.address}:7373", "load", "pay"],
            stdout=subprocess.PIPE, text=True, env=ENVIRONMENT)
        try:
            listener.hear(text("Name") + text("load") + text("Payload") + b"\xc4\x03pay")
            listener.send(request("respond", 3, "ID", b"\x01", "Payload", "much"))
            listener.hear(ok(3))
            out, _ = query.communicate(timeout=PATIENCE)
        finally:
            if query.poll() is None:
                query.kill()
            query.wait()
        self.assertEqual(query.returncode, 0)
        lines = out.splitlines()
        self.assertEqual(lines[0], "Query 'load' dispatched")
        for name in ("s1", "k1", "k2"):
            self.assertIn(f"Ack from '{name}'", lines)
        self.assertIn("Response from 'k2': much", lines)
        self.assertEqual(lines[-2:], ["Total Acks: 3", "Total Responses: 1"])
        listener.close()
        self.assertEqual(serf(self.k1, "query", "_serf_foo"),
                         (1, "Error sending query: Queries cannot contain the '_serf_' prefix\n"))
        self.assertEqual(serf(self.k1, "query", "q", "a" * 1024),
                         (1, "Error sending query: query exceeds limit of 1024 bytes\n"))
        code, out = serf(self.k1, "event", "big", "x" * 600)
        self.assertEqual((code, out), (1, "Error sending event: user event exceeds configured limit "
                                          "of 512 bytes before encoding\n"))

    def test_join_and_leaving(self):
        self.assertEqual(serf(self.k1, "join", self.s1.address),
                         (0, "Successfully joined cluster by contacting 1 nodes.\n"))
        nobody = f"{self.all.prefix}.99"
        self.assertEqual(serf(self.k1, "join", nobody),
                         (1, "Error joining the cluster: 1 error occurred:\n\t* Failed to join "
                             f"{nobody}: dial tcp {nobody}:8301: connect: connection refused\n\n\n"))
        self.assertEqual(serf(self.k1, "force-leave", "nope"), (0, ""))
        self.assertEqual(serf(self.k1, "leave"), (0, "Graceful leave complete\n"))
        self.assertEqual(self.k1.wait(), 0)
        wait_for("s1 to see it left", lambda: statuses(self.s1)["k1"] == "left")
        self.k2.kill()
        wait_for("s1 to see the crash", lambda: statuses(self.s1)["k2"] == "failed")
        self.assertEqual(serf(self.s1, "force-leave", "k2"), (0, ""))
        wait_for("s1 to force it out", lambda: statuses(self.s1)["k2"] == "left")


    def test_done_is_done(self):
        """An agent that is killed right after the answer has told the others."""
        self.k2.kill()
        wait_for("k1 to see the crash", lambda: statuses(self.k1)["k2"] == "failed")
        wait_for("s1 to see the crash", lambda: statuses(self.s1)["k2"] == "failed")
        self.assertEqual(serf(self.k1, "force-leave", "k2"), (0, ""))
        self.k1.send(signal.SIGSTOP)
        try:
            wait_for("s1 to have heard", lambda: statuses(self.s1)["k2"] == "left")
        finally:
            self.k1.send(signal.SIGCONT)
        self.assertEqual(serf(self.k1, "tags", "-set", "colour=red"),
                         (0, "Successfully updated agent tags\n"))
        self.k1.kill()
        wait_for("s1 to have heard", lambda: statuses(self.s1, "-tag", "colour=red").keys() == {"k1"})

    def test_the_answer_to_leave_is_not_lost(self):
        """Serf's client may see the end of the connection before the answer, when one comes right
        behind the other: it is left to the client to hang up, for a while."""
        client = Client(self.k1)
        client.send(request("monitor", 2, "LogLevel", "DEBUG"))  # much is being written meanwhile
        client.hear(ok(2))
        asked = time.monotonic()
        client.send(request("leave", 3))
        client.hear(ok(3))
        while client.socket.recv(65536):
            pass
        self.assertGreater(time.monotonic() - asked, 1.9)
        self.assertEqual(self.k1.wait(), 0)
        client.close()
        client = Client(self.k2)
        client.send(request("leave", 2))
        client.hear(ok(2))
        client.close()
        self.assertEqual(self.k2.wait(), 0)

    def test_the_log_is_followed(self):
        monitor = subprocess.Popen(
            ["serf", "monitor", "-rpc-addr", f"{self.k1.address}:7373", "-log-level", "info"],
            stdout=subprocess.PIPE, text=True, env=ENVIRONMENT)
        try:
            seen = []
            for line in monitor.stdout:  # what was logged before comes first
                seen.append(line)
                if "agent: Consul agent running!" in line:
                    break
            self.assertRegex(seen[-1], r"^\d{4}/\d\d/\d\d \d\d:\d\d:\d\d \[INFO\] agent: Consul")
            self.assertEqual(serf(self.k1, "tags", "-set", "now=1")[0], 0)
            for line in monitor.stdout:
                if "EventMemberUpdate" in line:
                    break
            self.assertEqual(serf(self.s1, "event", "-coalesce=false", "deploy", "pl")[0], 0)
            for line in monitor.stdout:
                if 'Name: "deploy"' in line:
                    break
            self.k1.kill()
            rest = monitor.stdout.read()
            self.assertEqual(monitor.wait(PATIENCE), 1)
            self.assertIn("Remote side ended the monitor! This usually means that the\n"
                          "remote side has exited or crashed.\n", rest)
        finally:
            if monitor.poll() is None:
                monitor.kill()
            monitor.wait()
            monitor.stdout.close()

    def test_members_are_told_together(self):
        listener = Client(self.s1)
        listener.send(request("stream", 2, "Type", "member-failed"))
        listener.hear(ok(2))
        self.k1.kill()
        self.k2.kill()
        before = listener.hear(text("Name") + text("k2"))
        both = before + listener.hear(text("Status") + text("failed"))
        self.assertIn(text("Event") + text("member-failed"), both)
        listener.close()

    def test_old_events_come_with_a_replay_only(self):
        self.assertEqual(serf(self.s1, "event", "-coalesce=false", "before", "x")[0], 0)
        for name, flag in (("with", ["-replay"]), ("without", [])):
            late = self.all.add(name)
            late.start()
            wait_for("it to run", lambda a=late: statuses(a) == {a.name: "alive"})
            listener = Client(late)
            listener.send(request("stream", 2, "Type", "user"))
            listener.hear(ok(2))
            self.assertEqual(serf(late, "join", *flag, self.s1.address)[0], 0)
            wait_for("all to know it", lambda n=name: statuses(self.s1).get(n) == "alive")
            self.assertEqual(serf(self.s1, "event", "-coalesce=false", "after", name)[0], 0)
            before = listener.hear(text("Name") + text("after"))
            self.assertEqual(text("before") in before, bool(flag))
            listener.close()


class Locked(ClusterTest):
    def test_a_key_is_asked_for(self):
        cluster = self.cluster(servers=1, clients=0, args=["-hcl", 'serf_rpc { auth = "sesame" }'])
        cluster.start().wait_ready()
        agent = cluster.agents["s1"]
        self.assertEqual(serf(agent, "members"),
                         (1, "Error retrieving members: Authentication required\n"))
        self.assertEqual(serf(agent, "members", "-rpc-auth", "wrong"),
                         (1, "Error connecting to Serf agent: Invalid authentication token\n"))
        code, out = serf(agent, "members", "-rpc-auth", "sesame")
        self.assertEqual((code, out.split()[0]), (0, "s1"))
        self.assertNotIn("sesame", agent.log_text())

    def test_an_address_of_its_own(self):
        cluster = self.cluster(servers=1, clients=0)
        own = cluster.address()
        cluster.agents["s1"].args += ["-hcl", f'addresses {{ serf_rpc = "{own}" }}']
        cluster.start().wait_ready()
        agent = cluster.agents["s1"]
        self.assertIn("connection refused", serf(agent, "members")[1])
        out = subprocess.run(["serf", "members", f"-rpc-addr={own}:7373"], capture_output=True,
                             text=True, timeout=30)
        self.assertEqual((out.returncode, out.stdout.split()[0]), (0, "s1"))

    def test_clients_that_do_not_read_cost_a_bound(self):
        cluster = self.cluster(servers=1, clients=0)
        cluster.start().wait_ready()
        agent = cluster.agents["s1"]
        streams = 64
        stuck = [Client(agent, room=4096) for _ in range(24)]
        for client in stuck:
            client.send(b"".join(request("stream", i, "Type", "user") for i in range(streams)))
            client.hear(ok(streams - 1))
        talker = Client(agent)
        payload = b"\xc5\x01\x90" + b"x" * 400

        def tell_all():
            """Every event is a record in each stream of each client: some 800 kB."""
            talker.send(request("event", 2, "Name", "n", "Payload", payload, "Coalesce", b"\xc2"))
            talker.hear(ok(2))
            return "it takes too little of its answers" in agent.log_text()

        wait_for("some to be hung up on", tell_all)
        self.assertEqual(serf(agent, "members")[0], 0)
        for client in [talker, *stuck]:
            client.close()

    def test_hostile_clients_are_counted_and_said_once(self):
        """Any bytes, thousands of times: the log stays readable, and nobody else waits."""
        cluster = self.cluster(servers=1, clients=0)
        cluster.start().wait_ready()
        agent = cluster.agents["s1"]
        handshake = request("handshake", 1, "Version", b"\x01")
        frames = [b"GET / HTTP/1.0\r\n\r\n", b"\xc1", request("members", 1), handshake + b"\x91" * 99999,
                  handshake + request("nope", 2), handshake + b"\xdf\xff\xff\xff\xff",
                  handshake + request("stream", 2, "Type", b"\x05"),
                  handshake + request("members-filtered", 2, "Name", "(")]
        for i in range(400):
            with socket.create_connection((agent.address, 7373)) as client:
                client.settimeout(PATIENCE)
                try:
                    client.sendall(frames[i % len(frames)])
                    while client.recv(65536):
                        pass
                except ConnectionError:
                    pass  # it hung up on what was still to come
        log = agent.log_text()
        self.assertLessEqual(log.count("Hanging up on a client"), len(frames))
        self.assertIn('reason="it sent no request" times=1', log)
        metrics = agent.get("/v1/agent/metrics").json()
        hung_up = [c for c in metrics["Counters"] if c["Name"].endswith("serf.ipc.hung_up")]
        self.assertEqual([c["Sum"] for c in hung_up], [400])
        self.assertEqual(serf(agent, "members")[0], 0)

    def test_no_more_clients_than_there_is_room_for(self):
        cluster = self.cluster(servers=1, clients=0)
        cluster.start().wait_ready()
        agent = cluster.agents["s1"]
        idle = [Client(agent) for _ in range(256)]
        for _ in range(20):
            with socket.create_connection((agent.address, 7373)) as client:
                client.settimeout(PATIENCE)
                self.assertEqual(client.recv(1), b"")
        self.assertEqual(agent.log_text().count("there are too many clients"), 1)
        idle.pop().close()
        wait_for("room again", lambda: serf(agent, "members")[0] == 0)
        for client in idle:
            client.close()

    def test_a_client_with_many_requests_does_not_hold_up_others(self):
        cluster = self.cluster(servers=1, clients=0)
        cluster.start().wait_ready()
        agent = cluster.agents["s1"]
        eager = Client(agent)
        eager.send(request("stats", 3) * 2000)
        self.assertEqual(serf(agent, "members")[0], 0)
        for _ in range(2000):
            eager.hear(ok(3))
        eager.close()


class Port(ClusterTest):
    def test_a_taken_port_gives_way_unless_configured(self):
        cluster = self.cluster()
        with socket.socket() as taken:
            address = cluster.address()
            taken.bind((address, 7373))
            taken.listen()
            agent = cluster.add("solo", False, ["-dev"], address).start()
            wait_for("a leader", agent.leader)
            self.assertIn("The serf command's port stays shut", agent.log_text())
            agent.kill()
            agent.args += ["-hcl", "ports { serf_rpc = 7373 }"]
            agent.start()
            self.assertEqual(agent.wait(), 1)
            self.assertIn(f"Error starting RPC listener: listen tcp {address}:7373: bind: "
                          "address already in use", agent.log_text())


if __name__ == "__main__":
    main()
