"""With a key nothing travels in clear between agents, strangers stay out, and a running cluster gets
from clear to sealed without anybody noticing."""

import json
import os
import socket
import stat
import struct
import threading
import unittest

from cluster import PATIENCE, ClusterTest, main, wait_for

KEY = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
OTHER = "/wECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
SECRET = "what-the-agents-whisper"


class Listener:
    """Everything that passes on loopback between the agents' own ports of one network."""

    def __init__(self, prefix):
        self.prefix = socket.inet_aton(prefix + ".0")[:3]
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800))
        self.socket.bind(("lo", 0))
        self.socket.settimeout(0.2)
        self.bytes = {8300: bytearray(), 8301: bytearray()}
        self.datagrams = []  # of gossip: (to, bytes)
        self.stops = threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        while not self.stops.is_set():
            try:
                packet = self.socket.recv(65535)[14:]
            except socket.timeout:
                continue
            head = (packet[0] & 15) * 4
            if packet[16:19] != self.prefix or packet[9] not in (6, 17):
                continue
            ports = struct.unpack("!HH", packet[head:head + 4])
            if packet[9] == 17 and ports[1] == 8301:
                self.datagrams.append((socket.inet_ntoa(packet[16:20]), packet[head + 8:]))
            for port in self.bytes:
                if port in ports:
                    self.bytes[port] += packet[head:]

    def stop(self):
        self.stops.set()
        self.thread.join()
        self.socket.close()
        return self.bytes


class Sealed(ClusterTest):
    @unittest.skipUnless(os.geteuid() == 0, "listening to the wire needs root")
    def test_nothing_is_to_be_read_on_the_wire(self):
        heard = {}
        for key in (None, KEY):
            cluster = self.cluster(servers=3, clients=1, args=["-encrypt", key] if key else [])
            listener = Listener(cluster.prefix)
            cluster.start().wait_ready()
            cluster.agents["k1"].ok("PUT", "/v1/kv/secret", SECRET)
            heard[key] = listener.stop()
            for agent in cluster.agents.values():
                agent.kill()
        for port in (8300, 8301):
            self.assertGreater(len(heard[KEY][port]), 1000)
            for word in (b"consul", b"muster.peer", SECRET.encode()):
                self.assertNotIn(word, heard[KEY][port])
        self.assertIn(SECRET.encode(), heard[None][8300])  # so the listener does hear
        self.assertIn(b"consul", heard[None][8301])

    def test_strangers_stay_out_and_are_told_why(self):
        cluster = self.cluster(servers=1, clients=1, args=["-encrypt", KEY])
        cluster.start().wait_ready()
        join = ["-retry-join", cluster.agents["s1"].address]
        for name, args, why in (
                ("clear", [], "Remote state is encrypted and encryption is not configured"),
                ("other", ["-encrypt", OTHER], "No installed keys could decrypt the message")):
            stranger = cluster.add(name, args=join + args).start()
            wait_for("the reason in its log", lambda s=stranger, w=why: w in s.log_text())
        self.assertEqual(sorted(cluster.agents["s1"].members()), ["k1", "s1"])
        self.assertIn("encrypted = true", cluster.agents["k1"].cli("info", check=0).stdout)

    @unittest.skipUnless(os.geteuid() == 0, "listening to the wire needs root")
    def test_what_strangers_send_is_counted_and_said_once(self):
        """Datagrams that are foreign, forged, changed, played again, by the hundred; connections
        that are held without a word."""
        cluster = self.cluster(servers=1, clients=1, args=["-encrypt", KEY])
        listener = Listener(cluster.prefix)
        cluster.start().wait_ready()
        s1, k1 = cluster.agents["s1"], cluster.agents["k1"]
        seen = wait_for("a sealed datagram to k1",
                        lambda: [d for to, d in listener.datagrams if to == k1.address][:1])[0]
        listener.stop()
        kinds = (  # what is sent, how it is counted, what is said of it
            (b"no gossip" * 9, "magic", "it is no gossip of muster"),
            (seen[:2] + b"\x09" + seen[3:], "version", "of a version that this node does not"),
            (seen[:4] + b"elsewher" + seen[12:], "label_mismatch", "it is of another cluster"),
            (seen[:16] + b"keys" + seen[20:], "unknown_key", "sealed with a key that this node"),
            (seen[:-1] + bytes([seen[-1] ^ 1]), "auth_failure", "changed on the way or forged"),
            (seen[:30], "malformed", "it cannot be read"),
            (seen, "replay", "it came before"))

        def counted(kind):
            name = "consul.memberlist.dropped." + kind
            return sum(c["Count"] for c in k1.get("/v1/agent/metrics").json()["Counters"]
                       if c["Name"] == name)

        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            stranger.bind((cluster.address(), 0))
            for datagram, kind, _ in kinds:
                for _ in range(300):
                    stranger.sendto(datagram, (k1.address, 8301))
                wait_for(f"{kind} to be counted", lambda k=kind: counted(k) > 100)
        log = k1.log_text()
        for _, kind, text in kinds:
            self.assertEqual(len([line for line in log.splitlines() if text in line]), 1, kind)

        held = []
        for _ in range(200):  # more than are served at once
            connection = socket.create_connection((k1.address, 8301), PATIENCE)
            self.addCleanup(connection.close)
            held.append(connection)
        k2 = cluster.add("k2", args=["-encrypt", KEY, "-retry-join", k1.address]).start()
        wait_for("who has something to say to be let in", lambda: len(k2.members()) == 3)
        for agent in (s1, k1):
            self.assertNotIn("EventMemberFailed", agent.log_text())

    def test_the_keyring_file_outlives_the_flag(self):
        cluster = self.cluster(servers=1, clients=1, args=["-encrypt", KEY])
        cluster.start().wait_ready()
        agent = cluster.agents["k1"]
        path = os.path.join(agent.data, "gossip", "keyring")
        self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o600)
        with open(path) as f:
            self.assertIn(KEY, f.read())
        agent.kill()
        agent.args = [a for a in agent.args if a not in ("-encrypt", KEY)] + ["-encrypt", OTHER]
        agent.start()
        wait_for("it to be back", lambda: agent.leader())
        self.assertIn("LAN keyring doesn't include key provided with -encrypt, using keyring",
                      agent.log_text())
        agent.kill()
        with open(path, "w") as f:
            f.write("[\"nothing\"]")
        agent.start()
        self.assertEqual(agent.wait(), 1)
        self.assertIn("gossip/keyring: item 0: ", agent.log_text())

    def test_from_clear_to_sealed_one_by_one(self):
        cluster = self.cluster(servers=3, clients=1)
        cluster.start().wait_ready()
        steps = (["-encrypt", KEY, "-hcl", "encrypt_verify_incoming = false",
                  "-hcl", "encrypt_verify_outgoing = false"],
                 ["-encrypt", KEY, "-hcl", "encrypt_verify_incoming = false"],
                 ["-encrypt", KEY])
        plain = {a.name: list(a.args) for a in cluster.agents.values()}
        for number, step in enumerate(steps):
            for agent in cluster.agents.values():
                agent.kill()
                agent.args = plain[agent.name] + step
                agent.start()
                wait_for(f"{agent.name} to be back",
                         lambda a=agent, n=number: a.put(f"/v1/kv/{n}/{a.name}", "x").status == 200)
                for other in cluster.agents.values():
                    wait_for("all alive again",
                             lambda o=other: sorted(o.members().values()) == [1] * 4)
        keys = cluster.agents["k1"].ok("GET", "/v1/kv/?keys").json()
        self.assertEqual(len(keys), 3 * 4)

    @unittest.skipUnless(os.geteuid() == 0, "listening to the wire needs root")
    def test_steps_by_reload(self):
        """From clear to sealed and back needs no restart once there is a key; the last step waits."""
        cluster = self.cluster(servers=3, clients=1, args=["-encrypt", KEY])
        files = {}
        for agent in cluster.agents.values():
            files[agent] = os.path.join(cluster.dir, agent.name + ".json")
            agent.args += ["-config-file", files[agent]]

        def take(agents, incoming, outgoing, check=0):
            said = ""
            for agent in agents:
                with open(files[agent], "w") as f:
                    json.dump({"encrypt_verify_incoming": incoming, "encrypt_verify_outgoing": outgoing}, f)
                if agent.running():
                    said += agent.cli("reload", check=check).stderr
            return said

        def heard(key):
            """What passes while a client agent writes."""
            listener = Listener(cluster.prefix)
            wait_for("a write", lambda: k1.put("/v1/kv/" + key, SECRET).status == 200)
            return listener.stop()[8300]

        def clear():
            gauges = s1.get("/v1/agent/metrics").json()["Gauges"]
            return next(g["Value"] for g in gauges if g["Name"] == "consul.memberlist.mixed")

        take(files, False, True)
        cluster.start().wait_ready()
        s1, k1 = cluster.agents["s1"], cluster.agents["k1"]
        pids = [a.process.pid for a in files]
        self.assertEqual(clear(), 0)
        self.assertEqual(take(files, True, True), "")  # nobody was heard in clear
        self.assertEqual(take(files, False, True), "")
        self.assertEqual(take(files, False, False), "")
        for agent in files:  # sealed connections stay; the next ones are in clear
            agent.kill()
            agent.start()
        cluster.wait_ready()
        pids = [a.process.pid for a in files]
        self.assertIn(SECRET.encode(), heard("clear"))  # so the listener does hear
        wait_for("them to be counted", lambda: clear() == 3)
        self.assertIn("encrypt_verify_incoming: 3 members sent in clear", take([s1], True, True, check=1))
        self.assertEqual(take(files, False, True), "")
        sealed = heard("sealed")
        self.assertGreater(len(sealed), 300)  # a request and its answer, if not more
        self.assertNotIn(SECRET.encode(), sealed)  # also where connections had begun in clear
        self.assertEqual([a.process.pid for a in files if a.running()], pids)
        for agent in files:
            self.assertEqual(sorted(agent.members().values()), [1] * 4)

    def test_keygen_makes_a_key(self):
        agent = self.cluster().add("nobody")
        first = agent.cli("keygen", check=0).stdout.strip()
        second = agent.cli("keygen", check=0).stdout.strip()
        self.assertEqual(len(first), 44)
        self.assertNotEqual(first, second)


if __name__ == "__main__":
    main()
