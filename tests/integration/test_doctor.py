"""What is wrong is named: ways that carry nothing, with their direction; members that are failed or
silent, and why; servers without a leader; strangers with another key.

Ways are broken by the switch of the chaos tests, between agents in network namespaces; it can drop
one protocol in one direction. All else runs on loopback.
"""

import base64
import http.server
import json
import os
import re
import signal
import socket
import subprocess
import threading
import time
import unittest

from cluster import MUSTER, PATIENCE, ClusterTest, main, wait_equal, wait_for
from wires import Wires, address, namespace, run

NAMES = ["s1", "s2", "s3"]
LEFT, FAILED = 3, 4  # Serf's numbers


class Doctor(Wires):
    names = NAMES

    def all_started(self):
        self.start("s1", "-server", "-bootstrap-expect", "1")
        self.start("s2")
        self.start("s3")
        wait_for("all to know all", self.all_alive)
        wait_for("the doctor to be content", lambda: self.cli("s2", "doctor")[0] == 0)

    def named(self, *words):
        """The diagnosis that has all of these."""
        def diagnosis():
            code, text = self.cli("s2", "doctor")
            return code == 1 and all(word in text for word in words) and text
        return wait_for("the doctor to name it", diagnosis)

    def refused_by_a_firewall(self):
        """Not dropped, but turned back with a word: it looks like a process that has ended."""
        self.all_started()
        self.switch.wire("s3", "s1", "notcp refuse")
        self.assertNotIn("UDP", self.named("TCP s3 -> s1: port 8301 refuses connections.",
                                           "TCP s3 -> s1: port 8300 refuses connections.",
                                           "or look whether it is listened on there"))
        self.switch.wire("s3", "s1", "noudp refuse")
        text = self.named("UDP s3 -> s1: nothing arrives")
        self.assertNotIn("s1 -> s3", text)
        for name in NAMES:
            self.assertNotIn("EventMemberFailed", self.log(name))
        self.switch.wire("*", "*")
        wait_for("the doctor to be content again", lambda: self.cli("s3", "doctor")[0] == 0)


class Ways6(Doctor):
    def at(self, name):
        return f"fd77::{address(name)}"

    def setUp(self):
        super().setUp()
        for name in NAMES:
            run("ip", "-n", namespace(name, self.owner), "address", "add", self.at(name) + "/64",
                "dev", "wire", "nodad")

    def test_one_way_without_udp(self):
        self.all_started()
        self.switch.wire("s1", "s3", "noudp")
        text = self.named("UDP s1 -> s3: nothing arrives")
        self.assertNotIn("s3 -> s1", text)
        self.assertNotIn("TCP s", text)
        self.switch.wire("s1", "s3")
        wait_for("the doctor to be content again", lambda: self.cli("s3", "doctor")[0] == 0)

    def test_refused_by_a_firewall(self):
        self.refused_by_a_firewall()


class Ways(Doctor):
    def test_refused_by_a_firewall(self):
        self.refused_by_a_firewall()

    def test_one_way_without_udp(self):
        self.start("s1", "-server", "-bootstrap-expect", "1")
        self.start("s2")
        self.start("s3")
        wait_for("all to know all", self.all_alive)
        wait_equal("the doctor", (0, "3 members answered, every way between them carries.\n"),
                   lambda: self.cli("s2", "doctor"))

        self.switch.wire("s1", "s3", "noudp")
        cut = time.monotonic()

        def diagnosis():
            code, text = self.cli("s2", "doctor")
            self.assertNotIn("s3 -> s1", text, "that way carries")
            both = re.search(r"UDP s1 -> s3: nothing arrives \(seen by s[13][^;)]*; s[13]", text)
            return text if code == 1 and both else None

        text = wait_for("the doctor to name it, from both its ends", diagnosis)
        named = time.monotonic() - cut
        self.assertIn("UDP s1 -> s3: nothing arrives", text)
        self.assertIn("from s1 to s3: firewalls", text)
        self.assertNotIn("s2", text)
        print(f"named by both ends after {named:.1f} s")
        self.assertRegex(self.cli("s1", "members", "-detailed")[1],
                         r"(?m)^Node +Address +Status +Tags +Degraded\n(.*\n)*"
                         r"s3 .* alive .*  UDP to it carries nothing$")
        self.assertRegex(self.cli("s3", "members", "-detailed")[1],
                         r"(?m)^s1 .* alive .*  UDP from it carries nothing$")
        self.assertNotIn("Degraded", self.cli("s2", "members", "-detailed")[1])
        for name in NAMES:  # carried by TCP: nobody was declared failed
            self.assertNotIn("EventMemberFailed", self.log(name))
        self.assertTrue(self.all_alive())
        code, text = self.cli("s1", "explain", "node", "s3")
        self.assertEqual(code, 0)
        self.assertIn("s3 is alive, as s1 sees it: alive for ", text)
        self.assertRegex(text, r"probes missed in a row: \d+")
        self.assertIn("Of the others 2 see it alike, 0 otherwise, 0 do not answer.", text)

        self.switch.wire("s1", "s3")
        wait_for("the doctor to be content again", lambda: self.cli("s3", "doctor")[0] == 0)
        self.assertNotIn("Degraded", self.cli("s1", "members", "-detailed")[1])

    def test_no_udp_at_all(self):
        self.start("s1", "-server", "-bootstrap-expect", "1")
        self.start("s2")
        self.start("s3")
        wait_for("all to know all", self.all_alive)
        self.switch.wire("s1", "s3", "noudp")
        self.switch.wire("s3", "s1", "noudp")

        def diagnosis():
            code, text = self.cli("s2", "doctor")
            return code == 1 and all(f"UDP {a} -> {b}: nothing arrives" in text
                                     for a, b in (("s1", "s3"), ("s3", "s1"))) and text

        self.assertNotIn("s2 ->", wait_for("both directions to be named", diagnosis))
        for name in NAMES:
            self.assertNotIn("EventMemberFailed", self.log(name))
        self.switch.wire("*", "*")
        wait_for("the doctor to be content again", lambda: self.cli("s3", "doctor")[0] == 0)

    def test_a_wrong_address(self):
        """Behind NAT, or after a slip of the pen: it advertises an address at which it is not. That
        is named as the cause by it and by others, and no way and nobody is blamed for it."""
        self.start("s1", "-server", "-bootstrap-expect", "1")
        self.start("s2")
        self.start("s3", "-advertise", "10.231.7.77")

        def named(by, words):
            code, text = self.cli(by, "doctor")
            blamed = [w for w in ("stopped or starved", "down, or cut off", "UDP s", "TCP s") if w in text]
            if blamed:  # nothing else is to blame, but one of them may have been held up
                raise ValueError(text)
            return code == 1 and words in text and text

        wait_for("the others to name it", lambda: named(
            "s1", "wrong-address: s3 advertises 10.231.7.77:8301 and does not answer there, its "
            "packets come from 10.231.7.3:8301: set its advertise_addr."))
        wait_for("it to say so itself", lambda: named(
            "s3", "s3: unreachable: 10.231.7.1:8301 does not get to its advertised address "
            "10.231.7.77:8301: set advertise_addr to one that others reach, or let them pass.\n"
            "    Answers go to its advertised address: what others would say of themselves and of it "
            "does not come.\n1 of 3 members answered.\n"))
        wait_for("them to know that it lives", lambda: named(
            "s1", " as s1 sees it, declared by ") and re.search(
                r"(?m)^s3: failed for .*; it lives, but not at its address\.$",
                self.cli("s1", "doctor")[1]))
        self.assertIn("Others do not reach this node: set advertise_addr", self.log("s3"))
        joins = self.log("s1").count("EventMemberJoin: s3")
        self.assertLess(joins, 4, "it comes and goes all the time")

    def test_a_wrong_address_that_others_join(self):
        """Nobody tells it; and what it says of those who join through it is not their fault."""
        self.start_alone("s1", "-bind", self.at("s1"), "-client", self.at("s1"), "-server",
                         "-bootstrap-expect", "1", "-advertise", "10.231.7.77")
        self.start("s2")
        self.start("s3")

        def hears_nobody():
            code, text = self.cli("s1", "doctor")
            return code == 1 and text.startswith("s1: hears nobody, though all take its connections: ")

        def named():
            code, text = self.cli("s2", "doctor")
            return (code == 1 and "s2: wrong-address: s1 advertises" in text
                    and "s3: wrong-address: s1 advertises" in text and text)

        wait_for("it to hear nobody", hears_nobody)
        self.assertNotIn("unreachable", wait_for("the others to name it", named))

    def test_the_right_one_of_several_addresses(self):
        """Two private networks, one with the default route, a bridge of containers, and no word of
        which is meant: the way to the others tells."""
        inside = ("ip", "-n", namespace("s3", self.owner))
        for link, at in (("docker0", "172.17.0.1/16"), ("lan1", "10.99.0.1/24")):
            run(*inside, "link", "add", link, "type", "veth", "peer", "name", link + "p")
            run(*inside, "address", "add", at, "dev", link)
            run(*inside, "link", "set", link, "up")
            run(*inside, "link", "set", link + "p", "up")
        run(*inside, "route", "add", "default", "via", "10.99.0.254")
        self.start("s1", "-server", "-bootstrap-expect", "1")
        self.start("s2")
        self.start_unbound("s3")
        wait_for("all to know all", lambda: all(
            self.cli(name, "members")[1].count(" alive ") == 3 for name in ("s1", "s2")))
        self.assertIn(f"{address('s3')}:8301", self.cli("s1", "members")[1])
        wait_equal("the doctor", (0, "3 members answered, every way between them carries.\n"),
                   lambda: self.cli("s2", "doctor"))
        self.assertNotIn("Others do not reach", self.log("s3"))
        self.assertRegex(self.log("s3"), r"Bound to every address, chose the one to advertise.*" +
                         re.escape(address("s3")))

    def test_loopback_is_no_address(self):
        self.start("s1", "-server", "-bootstrap-expect", "1")
        wait_for("s1", lambda: self.cli("s1", "members")[0] == 0)
        self.start("s3", "-advertise", "127.0.0.1")
        self.assertEqual(self.processes["s3"].wait(PATIENCE), 1)
        self.assertIn("No other machine can use the address that this node advertises: set "
                      "advertise_addr (-advertise)", self.log("s3"))
        self.assertIn("advertised address 127.0.0.1:8301 means nothing", self.log("s3"))
        self.assertNotIn("s3", self.cli("s1", "members")[1])

    def test_tcp_blocked(self):
        self.start("s1", "-server", "-bootstrap-expect", "1")
        self.start("s2")
        self.start("s3")
        wait_for("all to know all", self.all_alive)
        wait_for("the doctor to be content", lambda: self.cli("s2", "doctor")[0] == 0)

        self.switch.wire("s3", "s1", "notcp")

        def diagnosis():
            code, text = self.cli("s2", "doctor")
            return text if code == 1 and "TCP s3 -> s1: port 8301" in text else None

        text = wait_for("the doctor to name it", diagnosis)
        self.assertIn("TCP s3 -> s1: port 8301 does not answer", text)
        self.assertIn("TCP s3 -> s1: port 8300 does not answer", text)
        self.assertIn("Let TCP port 8300 pass from s3 to s1", text)
        self.assertNotIn("UDP", text)
        self.assertNotIn("s2", text)
        self.assertTrue(self.all_alive())
        self.switch.wire("s3", "s1")
        wait_for("the doctor to be content again", lambda: self.cli("s3", "doctor")[0] == 0)

    def test_a_narrow_way(self):
        size = os.path.join(self.dir.name, "size.json")
        with open(size, "w") as f:
            f.write("{}")
        self.start("s1", "-server", "-bootstrap-expect", "1", "-config-file", size)
        self.start("s2", "-config-file", size)
        self.start("s3", "-config-file", size)
        wait_for("all to know all", self.all_alive)
        wait_for("the doctor to be content", lambda: self.cli("s2", "doctor")[0] == 0)

        def told(*ways):
            expected = "".join(
                f"UDP {a} -> {b}: small datagrams arrive, those of 1400 bytes do not (seen by {a})."
                for a, b in ways)
            code, text = self.cli("s2", "doctor")
            found = "".join(sorted(re.findall(r"(?m)^[^ ].*", text))[1:])
            return code == (1 if ways else 0) and found == (expected if ways else "")

        # A black hole: what is too large is lost, and nobody says so.
        self.switch.wire("s3", "s1", "mtu=1300")
        wait_for("the black hole to be named", lambda: told(("s3", "s1")))
        self.assertIn('ICMP "fragmentation needed" (IPv6: "packet too big") pass between s3 and s1',
                      self.cli("s2", "doctor")[1])
        self.assertIn("gossip_lan.packet_size", self.cli("s2", "doctor")[1])
        for bytes, ways in ((1252, ()), (1400, (("s3", "s1"),))):  # what it says helps
            with open(size, "w") as f:
                f.write('{ "gossip_lan": { "packet_size": %d } }' % bytes)
            for name in NAMES:
                self.assertEqual(self.cli(name, "reload")[0], 0)
            wait_for("the doctor to see it", lambda w=ways: told(*w))
        self.switch.wire("s3", "s1")
        wait_for("the doctor to be content again", lambda: told())

        # The sender knows that its way is narrow and cuts into fragments: they arrive, or not.
        run("ip", "-n", namespace("s2", self.owner), "link", "set", "wire", "mtu", "1000")
        self.assertTrue(told())
        self.switch.wire("s2", "*", "nofrag")
        wait_for("the lost fragments to be named", lambda: told(("s2", "s1"), ("s2", "s3")))
        self.assertTrue(self.all_alive())
        for name in NAMES:
            self.assertNotIn("EventMemberFailed", self.log(name))

    def test_one_cut_off(self):
        self.start("s1", "-server", "-bootstrap-expect", "1")
        self.start("s2")
        self.start("s3")
        wait_for("all to know all", self.all_alive)

        self.switch.wire("*", "s3", "cut")
        self.switch.wire("s3", "*", "cut")

        def told(name, words):
            code, text = self.cli(name, "doctor")
            return code == 1 and words in text and text

        wait_for("it to miss all servers", lambda: told("s3", "s3: no-servers: no server is alive."))
        text = wait_for("the others to miss it", lambda: told("s1", "s3: failed"))
        self.assertRegex(text, r"(?m)^s3: failed for .*; nothing comes back from its host: down, "
                               r"or cut off\.$")
        self.switch.wire("*", "s3")
        self.switch.wire("s3", "*")
        wait_for("the doctor to be content again", lambda: self.cli("s3", "doctor")[0] == 0)


class Members(ClusterTest):
    def test_failed_silent_and_left(self):
        cluster = self.cluster(servers=1, clients=3).start().wait_ready()
        s1, k1, k2, k3 = (cluster.agents[n] for n in ("s1", "k1", "k2", "k3"))
        wait_equal("the doctor", "4 members answered, every way between them carries.\n",
                   lambda: s1.cli("doctor").stdout)

        # Who left in order is nobody's trouble.
        k3.cli("leave", check=0)
        k3.wait()
        wait_for("k3 to have left", lambda: s1.members().get("k3") == LEFT)
        gone = wait_for("the doctor to be content", lambda: (s1.cli("doctor").returncode == 0
                                                             and s1.cli("doctor").stdout))
        self.assertNotIn("k3", gone)

        # Killed: counts as alive at first and does not answer; then it is failed, by whose word.
        k2.kill()
        early = s1.cli("doctor")
        self.assertEqual(early.returncode, 1)
        self.assertIn("k2: ", early.stdout)
        wait_for("k2 to be failed", lambda: k1.members()["k2"] == FAILED)
        wait_for("k2 to be failed", lambda: s1.members()["k2"] == FAILED)
        for agent in (s1, k1):
            run = wait_for("both to answer in time", lambda a=agent: (
                lambda r: "2 of 3 members answered." in r.stdout and r)(a.cli("doctor")))
            self.assertEqual(run.returncode, 1, run.stdout)
            self.assertRegex(run.stdout, r"(?m)^k2: failed for [0-9.]+ s, as " + agent.name +
                             r" sees it, declared by (s1|k1); its host refuses connections: "
                             r"the process has ended\.$")
        links = s1.get("/v1/agent/links").json()
        self.assertEqual([f["Name"] for f in links["Failed"]], ["k2"])

        # Stopped: its kernel answers for it.
        k1.send(signal.SIGSTOP)
        try:
            run = s1.cli("doctor")
            self.assertEqual(run.returncode, 1)
            self.assertIn("k1: does not answer, though it counts as alive: its kernel takes "
                          "connections, the process does not answer: stopped or starved.",
                          run.stdout)
        finally:
            k1.send(signal.SIGCONT)
        k2.start()
        wait_for("the doctor to be content again", lambda: s1.cli("doctor").returncode == 0)

    def test_starved(self):
        cluster = self.cluster(servers=1, clients=2).start().wait_ready()
        s1, k1 = cluster.agents["s1"], cluster.agents["k1"]
        wait_for("the doctor to be content", lambda: s1.cli("doctor").returncode == 0)

        def diagnosis():
            k1.send(signal.SIGSTOP)  # the time that it stands still is what it must notice
            time.sleep(2.5)
            k1.send(signal.SIGCONT)
            return "k1: unwell: health score" in s1.cli("doctor").stdout

        wait_for("it to say that it is not well", diagnosis)
        self.assertNotIn("EventMemberFailed: s1", k1.log_text())
        self.assertNotIn("EventMemberFailed: k2", k1.log_text())
        wait_for("the doctor to be content again", lambda: s1.cli("doctor").returncode == 0)

    def test_two_of_a_name(self):
        cluster = self.cluster(servers=1, clients=1).start().wait_ready()
        s1, k1 = cluster.agents["s1"], cluster.agents["k1"]
        twin = cluster.add("twin", False, [*k1.args, "-node", "k1"]).start()

        def diagnosis():
            run = s1.cli("doctor")
            return run.returncode == 1 and "name-conflict" in run.stdout and run.stdout

        text = wait_for("the conflict to be named", diagnosis)
        self.assertIn(f"s1: name-conflict: k1 at {k1.address}:8301: a node at {twin.address}:8301 "
                      "claims its name or id; stop one of the two", text)
        twin.kill()
        clone = cluster.add("clone", False, [
            *k1.args, "-node-id", k1.get("/v1/agent/self").json()["Config"]["NodeID"]]).start()
        wait_for("the id to be named too", lambda: (
            f"s1: name-conflict: k1 at {k1.address}:8301: a node at {clone.address}:8301 claims"
            in s1.cli("doctor").stdout))

    def test_a_clock_that_is_off(self):
        clock = os.environ.get("MUSTER_CLOCK")
        if clock is None or subprocess.run(["ldd", MUSTER], capture_output=True).returncode != 0:
            self.skipTest("the clock of this program cannot be set off")
        cluster = self.cluster(servers=1, clients=2)
        late = cluster.agents["k1"]
        late.command = lambda plain=late.command: [
            "env", f"LD_PRELOAD={clock}", "MUSTER_CLOCK_OFF_S=-3600",
            "ASAN_OPTIONS=verify_asan_link_order=0", *plain()]
        cluster.start().wait_ready()
        text = wait_for("the clock to be named", lambda: (
            lambda out: "k1: its clock is " in out and out)(cluster.agents["s1"].cli("doctor").stdout))
        self.assertRegex(text, r"(?m)^k1: its clock is 36\d\d\.\d s behind that of the agent asked\.$")

    def test_without_a_leader(self):
        cluster = self.cluster(servers=3, clients=0).start().wait_ready()
        s1, s2, s3 = cluster.servers()
        s2.kill()
        s3.kill()

        def diagnosis():
            run = s1.cli("doctor")
            return run.returncode == 1 and "no-leader" in run.stdout and run.stdout

        text = wait_for("the doctor to miss the leader", diagnosis)
        self.assertRegex(text, r"s1: no-leader: [123] of 3 voting servers are alive, 2 are needed")
        wait_for("it to see that they are gone, and to say what to do", lambda: re.search(
            r"s1: no-leader: 1 of 3 voting servers are alive, 2 are needed; if the others are gone "
            r"for good: muster recover\.", diagnosis() or ""))

    def test_another_key_and_another_cluster(self):
        key = base64.b64encode(os.urandom(32)).decode()
        other = base64.b64encode(os.urandom(32)).decode()
        cluster = self.cluster()
        s1 = cluster.add("s1", True, ["-bootstrap-expect", "1", "-encrypt", key]).start()
        cluster.wait_ready()
        wait_for("the doctor to be content", lambda: s1.cli("doctor").returncode == 0)

        stranger = cluster.add("k1", False, ["-encrypt", other, "-retry-join", s1.address]).start()

        def turned_away(why):
            run = s1.cli("doctor")
            return run.returncode == 1 and why in run.stdout and run.stdout

        text = wait_for("the stranger to be named",
                        lambda: turned_away("sealed with a key that it does not have"))
        self.assertRegex(text, r"(?m)^s1: turns away packets, \d+ by now, last from " +
                         re.escape(stranger.address) + r":\d+: sealed with a key")
        stranger.kill()
        cluster.add("k2", False, ["-encrypt", key, "-datacenter", "dc2", "-retry-join",
                                  s1.address]).start()
        wait_for("the other cluster to be named", lambda: turned_away("of another cluster"))
        cluster.agents["k2"].kill()
        cluster.add("k3", False, ["-retry-join", s1.address]).start()
        wait_for("the one in clear to be named",
                 lambda: turned_away("not sealed, which it does not take; is `encrypt` set there?"))

    def test_no_cluster_and_no_server(self):
        cluster = self.cluster()
        early = cluster.add("s1", True, ["-bootstrap-expect", "3"]).start()
        lonely = cluster.add("k1", False).start()
        wait_for("the early one", lambda: (
            "s1: no-leader: there is no cluster yet: fewer servers than expected are in sight.\n"
            in early.cli("doctor").stdout))
        wait_for("the lonely one", lambda: (
            "k1: no-servers: no server is alive.\n" in lonely.cli("doctor").stdout))
        self.assertEqual(early.cli("doctor").returncode, 1)
        self.assertEqual(lonely.cli("doctor").returncode, 1)

    def test_flooded(self):
        cluster = self.cluster(servers=1, clients=1).start().wait_ready()
        s1, k1 = cluster.agents["s1"], cluster.agents["k1"]
        wait_for("the doctor to be content", lambda: s1.cli("doctor").returncode == 0)
        stranger = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(stranger.close)
        stranger.bind((cluster.address(), 0))
        k1.send(signal.SIGSTOP)
        try:
            for _ in range(4000):  # more than its kernel keeps for it: 2 MB at most
                stranger.sendto(b"no gossip at all".ljust(1400), (k1.address, 8301))
        finally:
            k1.send(signal.SIGCONT)

        def diagnosis():
            run = s1.cli("doctor")
            return run.returncode == 1 and "its kernel drops" in run.stdout and run.stdout

        text = wait_for("the flood to be named", diagnosis)
        self.assertRegex(text, r"(?m)^k1: its kernel drops datagrams, \d+ by now: too busy, or "
                               r"net\.core\.rmem_max is too small\.$")
        self.assertRegex(text, r"(?m)^k1: turns away packets, \d+ by now, last from " +
                         re.escape("%s:%d" % stranger.getsockname()) +
                         r": that are no gossip of muster; is Serf or Consul running there\?$")
        self.assertNotRegex(text, r"(?m)^s1: its kernel")


class Words(unittest.TestCase):
    """What is told of facts that no test can bring about at will: an agent's answer, by hand."""

    def doctor(self, **facts):
        answer = {"Asked": "s1", "Members": 3, "Silent": [], "Links": [], "Failed": [], "States": [],
                  "Refused": [], "Busy": [], "Clocks": [], "HasMore": False, **facts}

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                body = json.dumps(answer).encode()
                self.send_response(200 if self.path == "/v1/agent/links" else 404)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *words):
                pass

        server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            run = subprocess.run(
                [MUSTER, "doctor"], capture_output=True, text=True, timeout=PATIENCE,
                env={**os.environ, "CONSUL_HTTP_ADDR": "127.0.0.1:%d" % server.server_port})
        finally:
            server.shutdown()
            thread.join()
            server.server_close()
        self.assertEqual(run.stderr, "")
        return run.returncode, run.stdout

    def told(self, expected, **facts):
        self.assertEqual(self.doctor(**facts), (1, expected + "3 of 3 members answered.\n"))

    def test_nothing(self):
        self.assertEqual(self.doctor(),
                         (0, "3 members answered, every way between them carries.\n"))

    def test_clocks(self):
        self.told("k1: its clock is 7.2 s ahead of that of the agent asked.\n"
                  "k2: its clock is 3600.0 s behind that of the agent asked.\n",
                  Clocks=[{"Name": "k1", "AheadMs": 7200}, {"Name": "k2", "AheadMs": -3600000}])

    def test_states(self):
        states = [("disk-slow", "its log is written slowly"),
                  ("disk-full", "the disk of its data directory is full"),
                  ("read-only", "the file system of its data directory is read-only"),
                  ("disk-failed", "a write to its log failed: look at the disk"),
                  ("unwell", "health score 4"),
                  ("diverged", "its state is not that of the majority"),
                  ("lacks-state", "it has lost its state and waits for that of another"),
                  ("lost-entries", "it lost a part of its log and waits for it to come again")]
        self.told("".join(f"s1: {state}: {text}.\n" for state, text in states),
                  States=[{"Name": "s1", "State": state, "Text": text} for state, text in states])

    def test_addresses(self):
        unreachable = {"Name": "s3", "State": "unreachable", "Text": "set advertise_addr"}
        astray = {"Name": "s1", "State": "wrong-address", "Member": "s3", "Text": "s3 is astray"}
        failed = {"Name": "s3", "ForMs": 1500, "DeclaredBy": "s1", "TCP": "silent", "SeenBy": "s1"}
        way = {"From": "s2", "To": "s3", "Protocol": "udp", "SeenBy": "s2", "TCP": "silent", "Missed": 3}
        back = {**way, "From": "s3", "To": "s2"}
        port = {**way, "Protocol": "tcp", "Port": 8301}
        behind = ("    Answers go to its advertised address: what others would say of themselves and of "
                  "it does not come.\n")
        count = "%d of 3 members answered.\n"
        ended = ("s2: does not answer, though it counts as alive: its host refuses connections: the "
                 "process has ended.\n")
        lives = ("s3: failed for 1.5 s, as s1 sees it, declared by s1; it lives, but not at its "
                 "address.\ns1: wrong-address: s3 is astray.\n3 of 4 members answered.\n")
        for facts, expected in (
                ({"Asked": "s3", "States": [unreachable],  # its own address: nobody else's trouble
                  "Silent": [{"Name": "s1", "TCP": "open"}, {"Name": "s2", "TCP": "unknown"}]},
                 "s3: unreachable: set advertise_addr.\n" + behind + count % 1),
                ({"Asked": "s3", "States": [unreachable],  # and still, who is down is named
                  "Silent": [{"Name": "s2", "TCP": "refused"}]},
                 ended + "s3: unreachable: set advertise_addr.\n" + behind + count % 2),
                ({"Asked": "s3", "Links": [{**back, "SeenBy": "s3", "TCP": "open"}],  # nobody told it
                  "Silent": [{"Name": "s1", "TCP": "open"}, {"Name": "s2", "TCP": "open"}]},
                 "s3: hears nobody, though all take its connections: set advertise_addr to an address "
                 "that others reach, or let UDP port 8301 (ports.serf_lan) pass to it.\n" + count % 1),
                ({"Asked": "s3", "Silent": [{"Name": "s2", "TCP": "open"}]},
                 "s2: does not answer, though it counts as alive: its kernel takes connections, the "
                 "process does not answer: stopped or starved.\n" + count % 2),
                ({"Asked": "s1", "States": [unreachable]},  # that of another: it has answered
                 "s3: unreachable: set advertise_addr.\n" + count % 3),
                ({"Asked": "s1", "States": [astray], "Links": [way, back, port],
                  "Silent": [{"Name": "s3", "TCP": "silent"}]},
                 "s1: wrong-address: s3 is astray.\n" + count % 2),
                ({"Asked": "s1", "States": [astray], "Failed": [failed]}, lives)):
            self.assertEqual(self.doctor(**facts), (1, expected))

    def test_strangers(self):
        why = {"dropped.auth_failure": "sealed with its key, but changed on the way or forged",
               "dropped.version": "of a version that it does not speak",
               "dropped.something_else": "not to be read"}
        self.told("".join(f"s1: turns away packets, 9 by now, last from 10.0.0.9:8301: {text}.\n"
                          for text in why.values()),
                  Refused=[{"SeenBy": "s1", "From": "10.0.0.9:8301", "Reason": reason, "Count": 9}
                           for reason in why])

    def test_ports(self):
        link = {"From": "k1", "To": "s1", "Protocol": "tcp", "SeenBy": "k1", "Port": 8300}
        self.told("TCP k1 -> s1: port 8300 refuses connections.\n"
                  "    Let TCP port 8300 pass from k1 to s1, or look whether it is listened on "
                  "there.\n", Links=[{**link, "TCP": "refused"}])

    def test_members_without_evidence(self):
        failed = {"Name": "k9", "ForMs": 1500, "DeclaredBy": "", "TCP": "unknown", "SeenBy": "s1"}
        code, text = self.doctor(Failed=[failed], Silent=[{"Name": "k2", "TCP": "unknown"}],
                                 HasMore=True)
        self.assertEqual((code, text), (
            1, "k9: failed for 1.5 s, as s1 sees it; why is not remembered.\n"
               "k2: does not answer, though it counts as alive: stopped or starved, or no way to "
               "it and back.\n"
               "There are more: some members see more than they can tell.\n"
               "2 of 4 members answered.\n"))


if __name__ == "__main__":
    main(at_once=4)
