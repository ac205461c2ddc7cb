"""`muster serf ...` says what Debian's serf command says, and both say what the transcripts of
Serf's users hold, asked of the same agents: the acceptance list of the control port, row by row."""

import base64
import os
import re
import subprocess
import threading

from cluster import MUSTER, PATIENCE, ClusterTest, main, wait_for

ENVIRONMENT = {k: v for k, v in os.environ.items() if not k.startswith("SERF_")}
STOCK, OURS = ["serf"], [MUSTER, "serf"]
HANDLER = r"""*=case "$SERF_QUERY_NAME" in
load) echo "load from $SERF_SELF_NAME" ;; stderr) echo out; echo err >&2 ;;
big) head -c 2000 /dev/zero | tr '\0' x ;; fail) echo nope; exit 3 ;; esac"""


def run(program, address, words, env=None):
    rpc = ["-rpc-addr", f"{address}:7373"] if words[0] not in ("keygen", "version") else []
    done = subprocess.run([*program, words[0], *rpc, *words[1:]], capture_output=True, text=True,
                          timeout=PATIENCE, env={**ENVIRONMENT, **(env or {})})
    return done.returncode, done.stdout, done.stderr


def gather(stream, into):
    for line in stream:
        into.append(line.rstrip("\n"))


def lines(text):
    return sorted(text.splitlines())


def rows(text):
    """The stock command prints tags in no order."""
    return re.sub(r"(?m)^(\S+ +\S+ +\S+ +)(.*?)(?=  |$)",
                  lambda m: m.group(1) + ",".join(sorted(m.group(2).split(","))), text)


class Command(ClusterTest):
    def both(self, address, *words, code=0, same=lines, env=None):
        """Both programs, with equal words; what ours said."""
        theirs = run(STOCK, address, words, env)
        ours = run(OURS, address, words, env)
        self.assertEqual((ours[0], same(ours[1])), (theirs[0], same(theirs[1])), words)
        self.assertEqual(ours[0], code, words)
        return ours[1]

    def both_query(self, address, *words, same=lines):
        """With more time when it was too short for somebody: a handler is a process."""
        for seconds in (0.7, 3, PATIENCE / 2):
            try:
                return self.both(address, "query", f"-timeout={seconds}s", *words, same=same)
            except AssertionError:
                if seconds > 3:
                    raise
        return None

    def usage(self, address, *words, first=None, error=""):
        """A sentence and an empty line, then the help, whose words are each program's own."""
        for program in (STOCK, OURS):
            code, out, err = run(program, address, words)
            self.assertEqual(code, 1, words)
            if first is not None:
                self.assertEqual(out.split("\n")[:2], [first, ""], words)
            self.assertIn(f"Usage: {'muster ' if program is OURS else ''}serf {words[0]}", out)
            self.assertEqual(err.split("\n")[0], error, words)

    def start(self):
        cluster = self.cluster(servers=1, clients=2, args=["-event-handler", HANDLER])
        cluster.start().wait_ready()
        self.all = cluster
        self.n1, self.n2, self.n3 = (cluster.agents[n] for n in ("s1", "k1", "k2"))
        for agent in cluster.agents.values():
            wait_for("all to see all", lambda a=agent: len(a.members()) == 3)
        return self.n1.address

    def test_members_and_info(self):
        at = self.start()
        self.both(self.n2.address, "tags", "-set", "colour=red", "-set", "we ird-k.ey=v 1")
        wait_for("the tag everywhere", lambda: "colour=red" in run(STOCK, at, ["members"])[1])
        out = self.both(at, "members", same=rows)
        self.assertRegex(out, r"(?m)^s1  127\.\S+:8301  alive  .*role=consul")
        self.assertIn("we ird-k.ey=v 1", out)
        out = self.both(at, "members", "-detailed", same=rows)
        self.assertIn("  Protocol Version: 5  Available Protocol Range: [2, 5]\n", out)
        self.assertEqual(self.both(at, "members", "-tag", "colour=red", same=rows).split()[0], "k1")
        self.assertEqual(self.both(at, "members", "-tag", "colour=re", same=rows), "\n")
        self.assertEqual(self.both(at, "members", "-status=failed", same=rows), "\n")
        self.both(at, "members", "-name=k[12]", same=rows)
        self.both(at, "members", "-role=node", same=rows)
        for words, error in ((["-detailed=maybe"],
                              'invalid boolean value "maybe" for -detailed: parse error'),
                             (["-name"], "flag needs an argument: -name"),
                             (["-bogus"], "flag provided but not defined: -bogus")):
            self.usage(at, "members", *words, error=error)
        self.both(at, "members", "-format=json", same=rows)
        # the stock command of Debian says null
        self.assertEqual(run(OURS, at, ["members", "-format=json", "-name=nobody"])[1],
                         '{\n  "members": []\n}\n')
        self.assertEqual(self.both(at, "members", "-format=xml", code=1, same=rows),
                         'Encoding error: Invalid output format "xml"\n')
        self.assertEqual(self.both(at, "members", "-tag", "bad", code=1, same=rows),
                         "Error: Invalid tag: 'bad'\n")
        self.assertEqual(self.both(at, "members", "-name=(", code=1, same=rows),
                         "Error retrieving members: client closed\n")

        def steady(text):  # queues and clocks move while both ask
            return re.sub(r"= \d+|: \"\d+\"", "= #", text)
        out = self.both(at, "info", same=steady)
        self.assertIn("\tmembers = 3\n", out)
        self.both(at, "info", "-format=json", same=steady)
        self.both(at, "members", "-status=alive", "extra", same=rows)  # a word too many is dropped
        self.both(at, "info", "extra", same=steady)
        for words in (["keygen", "extra"], ["version", "extra"]):
            self.assertEqual([run(program, at, words)[0] for program in (STOCK, OURS)], [0, 0])

        def way(text):  # it is measured on and on
            return re.sub(r"rtt: \d+\.\d{3} ms", "rtt: # ms", text)
        for name in ("k1", "k2"):
            wait_for(f"a coordinate of {name}",
                     lambda n=name: run(STOCK, at, ["rtt", n])[0] == 0)
        self.assertEqual(way(self.both(at, "rtt", "k2", same=way)),
                         "Estimated k2 <-> s1 rtt: # ms\n")
        self.both(at, "rtt", "k2", "k1", same=way)
        self.both(at, "rtt", "s1", "nope", code=1, same=str)
        self.usage(at, "rtt", first="One or two node names must be specified")

    def test_events_tags_and_going(self):
        at = self.start()
        self.assertEqual(self.both(at, "event", "deploy", "123abc", same=str),
                         "Event 'deploy' dispatched! Coalescing enabled: true\n")
        self.both(at, "event", "-coalesce=false", "deploy", same=str)
        self.usage(at, "event", first="An event name must be specified.")
        self.usage(at, "event", "a", "b", "c", first="Too many command line arguments. Only a name "
                                                     "and payload must be specified.")
        self.both(at, "event", "a", "a" * 512, code=1, same=str)
        self.both(at, "event", "abcd", "a" * 508, code=1, same=str)
        self.both(at, "tags", "-set", "k=v", same=str)
        self.both(at, "tags", "-delete", "k", same=str)
        self.usage(at, "tags")
        self.both(at, "tags", "-set", "bad", code=1, same=str)
        self.both(at, "tags", "-set", "=v", code=1, same=str)
        self.both(at, "tags", "-set", "big=" + "a" * 600, code=1, same=str)
        self.both(at, "join", self.n2.address, same=str)
        self.both(at, "join", f"{self.all.prefix}.99", code=1, same=str)
        self.both(at, "join", f"{self.all.prefix}.99", self.n2.address, same=str)
        self.usage(at, "join", first="At least one address to join must be specified.")
        self.usage(at, "force-leave", first="A node name must be specified to force leave.")
        self.assertEqual(self.both(at, "force-leave", "nope", same=str), "")
        for program in (STOCK, OURS):
            code, out, _ = run(program, at, ["keygen"])
            self.assertEqual((code, len(base64.b64decode(out))), (0, 32))
        self.assertEqual(run(OURS, at, ["leave"])[:2], (0, "Graceful leave complete\n"))
        self.assertEqual(self.n1.wait(), 0)
        self.assertEqual(run(OURS, at, ["members"])[:2], (1, (
            f"Error connecting to Serf agent: dial tcp {at}:7373: connect: connection refused\n")))
        self.both(at, "members", code=1, same=str)

    def test_queries(self):
        at = self.start()
        out = self.both(at, "query", "load")
        self.assertEqual(lines(out), sorted(
            ["Query 'load' dispatched", "Total Acks: 3", "Total Responses: 3",
             *(f"Ack from '{n}'" for n in ("s1", "k1", "k2")),
             *(f"Response from '{n}': load from {n}" for n in ("s1", "k1", "k2"))]))
        self.both_query(at, "-format=json", "load",
                        same=lambda t: sorted(t.replace(",", "").split("\n")))
        for words in (["-no-ack", "load", "pay"], ["-node=k1", "load"], ["-tag", "role=node", "load"],
                      ["-tag", "role=nod", "load"], ["big"], ["fail"], ["empty"], ["stderr"],
                      ["-relay-factor=2", "load"]):
            self.both_query(at, *words)
        self.usage(at, "query", first="A query name must be specified.")
        self.both(at, "query", "_serf_foo", code=1, same=str)
        self.both(at, "query", "-format=xml", "load", code=1, same=str)
        self.both(at, "query", "-relay-factor=300", "load", code=1, same=str)
        self.usage(at, "query", "-timeout=banana", "load",
                   error='invalid value "banana" for flag -timeout: parse error')
        self.both(at, "query", "q", "a" * 1024, code=1, same=str)
        self.assertEqual(lines(self.both(at, "reachability")), sorted(
            ["Total members: 3, live members: 3", "Starting reachability test...",
             "Successfully contacted all live nodes"]))
        self.both(at, "reachability", "-verbose",
                  same=lambda t: lines(re.sub(r"[\d.]+ sec", "# sec", t)))

    def test_the_log_is_followed(self):
        at = self.start()
        event = {"Event Info:", '\tName: "deploy"', "\tPayload: []byte{0x70, 0x6c}",
                 "\tCoalesce: false", '\tEvent: "user"'}
        for program in (STOCK, OURS):
            monitor = subprocess.Popen([*program, "monitor", "-rpc-addr", f"{self.n2.address}:7373",
                                        "-log-level", "info"], stdout=subprocess.PIPE, text=True,
                                       env=ENVIRONMENT)
            said = []
            reader = threading.Thread(target=gather, args=(monitor.stdout, said))
            reader.start()
            try:
                wait_for("the event in its output", lambda s=said: run(STOCK, at, [
                    "event", "-coalesce=false", "deploy", "pl"])[0] == 0 and event <= set(s))
                started = wait_for("the log before it came", lambda s=said: [
                    line for line in s if "agent: Consul agent running!" in line])
                self.assertRegex(started[0], r"^\d{4}/\d\d/\d\d \d\d:\d\d:\d\d \[INFO\] agent: ")
            finally:
                monitor.kill()
                monitor.wait()
                reader.join()
                monitor.stdout.close()

    def test_keys(self):
        at = self.start()
        self.usage(at, "keys")
        self.usage(at, "keys", "-install", "")
        self.both(at, "keys", "-list", code=1)
        self.both(at, "keys", "-install=ZZZZ", code=1)
        self.both(at, "keys", "-install=abc", code=1, same=str)
        self.assertEqual(self.both(at, "keys", "-install=abc", "-list", code=1, same=str),
                         "Only one of -install, -use, -remove, or -list allowed\n")
        key = base64.b64encode(bytes(32)).decode()
        sealed = self.cluster(servers=1, clients=0, args=["-encrypt", key])
        sealed.start().wait_ready()
        at = sealed.agents["s1"].address
        self.assertEqual(self.both(at, "keys", "-list", "extra", same=str).split("\n")[-2], f"{key}  [1/1]")
        other = base64.b64encode(bytes([1]) * 16).decode()
        self.both(at, "keys", "-install", other)
        self.assertEqual(sorted(self.both(at, "keys", "-list").split("\n")[3:5]),
                         [f"{key}  [1/1]", f"{other}                      [1/1]"])
        for words in (["-install", other], ["-use", other], ["-remove", other], ["-remove", key],
                      ["-install", "c2hvcnQ="]):
            self.both(at, "keys", *words, code=int(words[-1] in ("c2hvcnQ=",) or
                                                   words == ["-remove", other]))

    def test_the_program(self):
        at = "127.0.0.1"
        self.assertEqual(run(OURS, at, ["version"])[1].split("\n")[1],
                         "Agent Protocol: 5 (Understands back to: 2)")
        for words in ([], ["nonsense"]):
            self.assertEqual(subprocess.run([*OURS, *words], capture_output=True).returncode, 127)
        said = "serf: unknown command: nonsense\n"
        refused = subprocess.run([*OURS, "nonsense"], capture_output=True, text=True)
        self.assertEqual(refused.stderr[:len(said)], said)
        link = os.path.join(self.cluster().dir, "serf")
        os.symlink(os.path.realpath(MUSTER), link)
        done = subprocess.run([link, "version"], capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stdout.split("\n")[0]), (0, "0.8.2-dev"))
        for words in (["join"], ["agent"]):
            helped = subprocess.run([link, *words, "-h"], capture_output=True, text=True)
            self.assertEqual(helped.stderr.split(" [")[0], "Usage: serf " + words[0])

if __name__ == "__main__":
    main()
