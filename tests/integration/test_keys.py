"""Gossip keys are changed on all members at once, by HTTP, by the command line and by Serf's own
command, and who was away meanwhile comes back without anybody's hands."""

import base64
import os
import signal
import stat
import subprocess
import threading

from cluster import PATIENCE, ClusterTest, main, wait_equal, wait_for
from test_sealed import Listener

ENVIRONMENT = {k: v for k, v in os.environ.items() if not k.startswith("SERF_")}


def key(number, size=32):
    return base64.b64encode(bytes([number]) * size).decode()


K1, K2, K3 = key(1), key(2), key(3, 16)
PATH = "/v1/operator/keyring"


def serf_keys(agent, *words):
    run = subprocess.run(["serf", "keys", "-rpc-addr", f"{agent.address}:7373", *words],
                         capture_output=True, text=True, timeout=PATIENCE, env=ENVIRONMENT)
    return run.returncode, run.stdout


def keyring(agent):
    return agent.ok("GET", PATH).json()[-1]


def counts(agent):
    return keyring(agent)["Keys"]


def change(agent, method, text):
    """Ask until every member has answered: a loaded machine may miss the time of a query."""
    return wait_for(f"{method} of a key", lambda: agent.http(method, PATH, {"Key": text}).status == 200)


def says(what, expected, get):
    """Ask until the answer is this one: a member of a loaded machine may miss the time of a query."""
    wait_equal(what, expected, get)


def sorted_lines(answer):
    return answer[0], sorted(answer[1].splitlines())


def ring_file(agent):
    return os.path.join(agent.data, "gossip", "keyring")


class Keys(ClusterTest):
    def sealed(self, servers=1, clients=2, args=()):
        cluster = self.cluster(servers=servers, clients=clients, args=["-encrypt", K1, *args])
        cluster.start().wait_ready()
        everybody = sorted(cluster.agents)
        for agent in cluster.agents.values():
            wait_for("all to see all", lambda a=agent: sorted(a.members()) == everybody)
        return cluster

    def test_a_key_is_changed_everywhere(self):
        cluster = self.sealed()
        agents = list(cluster.agents.values())
        s1, k1 = cluster.agents["s1"], cluster.agents["k1"]
        says("the keyring", {"WAN": False, "Datacenter": "dc1", "Segment": "", "Keys": {K1: 3},
                             "PrimaryKeys": {K1: 3}, "NumNodes": 3}, lambda: keyring(s1))
        change(k1, "POST", K2)  # through a client agent as well
        says("the keys", {K1: 3, K2: 3}, lambda: counts(s1))
        change(s1, "PUT", K2)
        says("the primary key", {K2: 3}, lambda: keyring(s1)["PrimaryKeys"])

        def refused():
            answer = s1.http("DELETE", PATH, {"Key": K2})
            lines = answer.text.split("\n")
            return answer.status, lines[:2], sorted(lines[2:5])

        says("the refusal", (500, [
            "4 errors occurred:", "\t* dc1 (LAN) error: 3/3 nodes reported failure"], sorted(
                f"\t* {a.name}: Removing the primary key is not allowed" for a in agents)), refused)
        change(s1, "DELETE", K1)
        says("the keys", {K2: 3}, lambda: counts(s1))
        for agent in agents:
            self.assertEqual(stat.S_IMODE(os.stat(ring_file(agent)).st_mode), 0o600)
            with open(ring_file(agent)) as f:
                self.assertEqual(f.read(), f'[\n  "{K2}"\n]\n')
            for text in (K1, K2):
                self.assertNotIn(text, agent.log_text())
        # RPC goes on under the new key, also on connections made from now on
        k1.kill()
        k1.start()
        wait_for("k1 to be back", lambda: k1.put("/v1/kv/back", "x").status == 200)
        self.assertIn("LAN keyring doesn't include key provided with -encrypt", k1.log_text())

    def test_what_is_refused(self):
        cluster = self.sealed(clients=0)
        s1 = cluster.agents["s1"]
        for method, body, status, text in (
                ("POST", '{"Key":"zz"}', 500, "1 error occurred:\n\t* dc1 (LAN) error: illegal "
                                              "base64 data at input byte 0\n\n"),
                ("POST", "{}", 500, "2 errors occurred:\n\t* dc1 (LAN) error: 1/1 nodes reported "
                 "failure\n\t* s1: key size must be 16, 24 or 32 bytes\n\n"),
                ("POST", '{"Key":"c2hvcnQ="}', 500, "2 errors occurred:\n\t* dc1 (LAN) error: 1/1 "
                 "nodes reported failure\n\t* s1: key size must be 16, 24 or 32 bytes\n\n"),
                ("PUT", {"Key": K3}, 500, "2 errors occurred:\n\t* dc1 (LAN) error: 1/1 nodes "
                 "reported failure\n\t* s1: Requested key is not in the keyring\n\n"),
                ("PUT", "", 400, "Bad request: Request decode failed: EOF")):
            answer = s1.http(method, PATH, body)
            self.assertEqual((answer.status, answer.text), (status, text))
        self.assertEqual(s1.http("DELETE", PATH, {"Key": K3}).status, 200)  # nobody has it: fine
        self.assertEqual(s1.get(PATH + "?relay-factor=6").text,
                         "Bad request: Invalid relay-factor: Relay factor must be in range: [0, 5]")
        self.assertEqual(s1.http("POST", PATH + "?local-only=true", {"Key": K2}).status, 400)
        with open(ring_file(s1)) as f:
            self.assertEqual(f.read(), f'[\n  "{K1}"\n]\n')

    def test_the_command_line(self):
        cluster = self.sealed()
        s1 = cluster.agents["s1"]
        def told(*words):
            run = s1.cli("keyring", *words)
            return run.returncode, run.stdout

        says("the installation", (0, "==> Installing new gossip encryption key...\n"),
             lambda: told("-install", K2))

        def listed():
            lines = told("-list")[1].split("\n")
            return lines[:3], sorted(lines[3:5])

        says("the list", (["==> Gathering installed encryption keys...", "", "dc1 (LAN):"],
                          sorted([f"  {K1} [3/3]", f"  {K2} [3/3]"])), listed)
        wait_for("the use", lambda: told("-use", K2)[0] == 0)
        wait_for("the removal", lambda: told("-remove", K1)[0] == 0)
        says("the primary key", (0, "==> Gathering installed primary encryption keys...\n\n"
                                    f"dc1 (LAN):\n  {K2} [3/3]\n"), lambda: told("-list-primary"))
        wait_for("the refusal", lambda: "error: Unexpected response code: 500 (4 errors occurred:"
                 in s1.cli("keyring", "-remove", K2, check=1).stderr)
        self.assertIn("Only a single action is allowed",
                      s1.cli("keyring", "-list", "-use", K2, check=1).stderr)

    def test_serf_keys(self):
        cluster = self.sealed()
        s1, k2 = cluster.agents["s1"], cluster.agents["k2"]
        names = ("k1", "k2", "s1")
        says("the list", (0, (
            "==> Asking all members for installed keys...\n==> Keys gathered, listing cluster "
            f"keys...\n\n{K1}  [3/3]\n")), lambda: serf_keys(k2, "-list"))
        says("the installation", (0, (
            "==> Installing key on all members...\n==> Successfully installed key!\n")),
             lambda: serf_keys(k2, "-install", K2))
        says("the refusal", (1, sorted(
            ["==> Changing primary key on all members...",
             *(f"failed:  {n}  Requested key is not in the keyring" for n in names), "",
             "Error changing primary key: 3/3 nodes reported failure"])),
             lambda: sorted_lines(serf_keys(s1, "-use", K3)))
        says("the use", (0, (
            "==> Changing primary key on all members...\n==> Successfully changed primary key!\n")),
             lambda: serf_keys(s1, "-use", K2))
        says("the refusal", (1, sorted(
            ["==> Removing key on all members...",
             *(f"failed:  {n}  Removing the primary key is not allowed" for n in names), "",
             "Error removing key: 3/3 nodes reported failure"])),
             lambda: sorted_lines(serf_keys(s1, "-remove", K2)))
        for _ in range(2):
            says("the removal", (0, (
                "==> Removing key on all members...\n==> Successfully removed key!\n")),
                 lambda: serf_keys(s1, "-remove", K1))
        code, out = serf_keys(k2, "-install", "abc")
        self.assertEqual((code, out), (1, (
            "==> Installing key on all members...\n\nError installing key: illegal base64 data at "
            "input byte 0\n")))

    def test_serf_keys_without_encryption(self):
        cluster = self.cluster(servers=1, clients=1)
        cluster.start().wait_ready()
        s1, k1 = cluster.agents["s1"], cluster.agents["k1"]
        for agent in (s1, k1):
            wait_for("both to see both", lambda a=agent: len(a.members()) == 2)
        says("the refusal", (1, sorted(
            ["==> Asking all members for installed keys...",
             *(f"failed:  {n}  Keyring is empty (encryption not enabled)" for n in ("k1", "s1")), "",
             "Failed to gather member keys: 2/2 nodes reported failure"])),
             lambda: sorted_lines(serf_keys(s1, "-list")))
        says("the refusal", (1, sorted(
            ["==> Installing key on all members...",
             *(f"failed:  {n}  No keyring to modify (encryption not enabled)"
               for n in ("k1", "s1")), "",
             "Error installing key: 2/2 nodes reported failure"])),
             lambda: sorted_lines(serf_keys(s1, "-install", K1)))
        self.assertIn("Keyring is empty", s1.get(PATH).text)

    def rotate(self, agent):
        change(agent, "POST", K2)
        change(agent, "PUT", K2)
        change(agent, "DELETE", K1)

    def test_who_was_off_meanwhile_comes_back(self):
        cluster = self.sealed(clients=3)
        s1, k1 = cluster.agents["s1"], cluster.agents["k1"]
        listener = Listener(cluster.prefix) if os.geteuid() == 0 else None
        k1.kill()
        wait_for("s1 to see the crash", lambda: s1.members()["k1"] == 4)
        self.rotate(s1)
        with open(ring_file(k1)) as f:
            self.assertIn(K1, f.read())
        k1.start()
        wait_for("k1 to be a member again", lambda: s1.members()["k1"] == 1)
        wait_for("k1 to say why", lambda: "Gossip keys were changed while this node was away"
                 in k1.log_text())
        wait_for("its ring to be the others'", lambda: counts(s1) == {K2: 4})
        with open(ring_file(k1)) as f:
            self.assertEqual(f.read(), f'[\n  "{K2}"\n]\n')
        wait_for("k1 to write", lambda: k1.put("/v1/kv/back", "x").status == 200)
        if listener is not None:  # keys travel under keys alone
            heard = listener.stop()
            self.assertGreater(len(heard[8301]), 1000)
            for port in (8300, 8301):
                for word in (bytes([2]) * 16, bytes([1]) * 16, K2.encode(), b"_serf_", b"consul"):
                    self.assertNotIn(word, heard[port])

    def test_rotation_in_one_go(self):
        """Wish 20: under events, with one of five stopped, which fetches the key when it is back;
        broken off in the middle, it goes on with the key."""
        cluster = self.sealed(clients=4)
        s1, k1, k4 = (cluster.agents[n] for n in ("s1", "k1", "k4"))
        listener = Listener(cluster.prefix) if os.geteuid() == 0 else None
        k4.kill()
        wait_for("s1 to see the crash", lambda: s1.members()["k4"] == 4)
        talks = threading.Event()

        def talk():
            while not talks.is_set():
                k1.cli("event", "-name", "busy", "payload-in-clear", check=0)

        talker = threading.Thread(target=talk)
        talker.start()
        try:
            run = k1.cli("keys", "rotate", check=0)
        finally:
            talks.set()
            talker.join()
        new = run.stdout.splitlines()[-1]
        self.assertEqual(run.stdout.splitlines(), [
            "==> Installing the new key...", "==> Sealing with the new key...",
            "==> Removing the other keys...",
            "Away, and told when they come back within 72 hours: k4",
            "==> Done. The key, for the configuration of nodes to come:", new])
        self.assertEqual(len(base64.b64decode(new)), 32)
        says("the keys", {new: 4}, lambda: counts(s1))
        k4.start()
        wait_for("k4 to be a member again", lambda: s1.members()["k4"] == 1)
        wait_for("its ring to be the others'", lambda: counts(s1) == {new: 5})
        if listener is not None:
            heard = listener.stop()
            for port in (8300, 8301):
                for word in (base64.b64decode(new), b"payload-in-clear", new.encode()):
                    self.assertNotIn(word, heard[port])

        change(s1, "POST", K2)  # as if broken off behind the first step
        run = s1.cli("keys", "rotate", "-key", K2, check=0)
        self.assertEqual(run.stdout.splitlines()[-1], K2)
        says("the keys", {K2: 5}, lambda: counts(s1))
        again = s1.cli("keys", "rotate", "-key", K2, check=0)  # and when all is done
        self.assertEqual(again.stdout, run.stdout)

    def test_rotation_that_is_refused_changes_nothing(self):
        cluster = self.sealed(clients=0)
        s1 = cluster.agents["s1"]
        for words, text in (
                (("-key", "zz"), 'invalid value "zz" for flag -key: illegal base64 data at input byte 0'),
                (("-key", "c2hvcnQ="),
                 'invalid value "c2hvcnQ=" for flag -key: key size must be 16, 24 or 32 bytes'),
                (("-timeout", "soon"), 'invalid value "soon" for flag -timeout: '),
                (("now",), "Too many arguments (expected 0, got 1)")):
            run = s1.cli("keys", "rotate", *words, check=1)
            self.assertIn(text, run.stderr)
        self.assertEqual(counts(s1), {K1: 1})
        s1.kill()
        unreached = s1.cli("keys", "rotate", check=1).stderr
        self.assertIn("connection refused", unreached)
        self.assertNotIn("to go on", unreached)
        clear = self.cluster(servers=1, clients=0)
        clear.start().wait_ready()
        for words in (("keys", "rotate"), ("keyring", "-list"), ("keyring", "-install", K1)):
            self.assertEqual(
                clear.agents["s1"].cli(*words, check=1).stderr,
                "error: encryption is not enabled, so there are no keys: it is switched on by the same "
                'encrypt = "KEY" in the configuration of every agent, with a KEY of muster keygen\n')
        self.assertIn("Keyring is empty (encryption not enabled)",
                      clear.agents["s1"].get("/v1/operator/keyring").text)
        self.assertEqual(clear.agents["s1"].cli("doctor").stdout, "1 member answered, no other is alive.\n")

    def test_rotation_waits_for_who_does_not_answer(self):
        cluster = self.sealed(clients=1)
        s1, k1 = cluster.agents["s1"], cluster.agents["k1"]
        k1.send(signal.SIGSTOP)
        run = s1.cli("keys", "rotate", "-key", K2, "-timeout", "0s", check=1)
        self.assertIn("1/2 nodes reported success\n\t* k1: no answer\n", run.stderr)
        self.assertNotIn("to go on", run.stderr)  # nothing was asked for
        for words in (("-list",), ("-install", K3)):
            k1.send(signal.SIGCONT)
            says("k1", 1, lambda: s1.members()["k1"])
            k1.send(signal.SIGSTOP)
            run = s1.cli("keyring", *words, check=1)
            self.assertIn("2 errors occurred:\n\t* dc1 (LAN) error: 1/2 nodes reported success\n"
                          "\t* k1: no answer\n", run.stderr)
        k1.send(signal.SIGCONT)
        says("k1", 1, lambda: s1.members()["k1"])
        run = s1.cli("keys", "rotate", "-key", K2, check=0)
        says("the keys", {K2: 2}, lambda: counts(s1))

    def test_a_stranger_with_the_old_key_is_told_nothing(self):
        cluster = self.sealed(clients=1)
        s1 = cluster.agents["s1"]
        self.rotate(s1)
        stranger = cluster.add("k9", args=["-encrypt", K1, "-retry-join", s1.address]).start()
        wait_for("its failure", lambda: "No installed keys could decrypt the message"
                 in stranger.log_text() or "EOF" in stranger.log_text())
        self.assertNotIn("Gossip keys were changed", stranger.log_text())
        with open(ring_file(stranger)) as f:
            self.assertNotIn(K2, f.read())
        self.assertNotIn("k9", s1.members())


if __name__ == "__main__":
    main()
