"""cluster.py - real muster processes on loopback for the integration tests.

Every cluster lives on addresses of its own below 127.0.0.0/8 (drawn at random, tried by binding),
so that default ports can be used and nothing depends on what else runs. Waiting is always for a
condition, with a deadline that only decides when to give up.
"""

import http.client
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest
from concurrent.futures import ThreadPoolExecutor

MUSTER = os.environ.get("MUSTER", "muster")
NEXT = os.environ.get("MUSTER_NEXT", "muster_next")  # one kind of command has a level of its own there
# Sanitizers and two busy cores make everything slower: deadlines are generous, bounds that the
# product promises are asserted as ratios or much later than promised.
PATIENCE = float(os.environ.get("MUSTER_TEST_PATIENCE", "30"))


# What is to be done when this process is told to end in the middle of a test: see main().
at_end = []


class GaveUp(AssertionError):
    pass


class Told(KeyboardInterrupt):
    """To end, by a signal. It ends the test where it is, and releases what that had locked."""


def tell(number, frame):
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, signal.SIG_IGN)  # once is enough
    raise Told(number)


def end(number):
    """Neither tearDown nor cleanups run when a signal ends a test: it would leave all it has."""
    for undo in reversed(list(at_end)):
        undo()
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


def wait_for(what, condition, seconds=PATIENCE, pause=0.02):
    """Poll until condition() is truthy; returns its value."""
    deadline = time.monotonic() + seconds
    last = None
    while True:
        try:
            value = condition()
            if value:
                return value
            last = value
        except (OSError, http.client.HTTPException, ValueError, KeyError, IndexError) as error:
            last = error
        if time.monotonic() > deadline:
            raise GaveUp(f"gave up after {seconds} s waiting for {what}; last: {last!r}")
        time.sleep(pause)


def flip(path, offset):
    """A bit of a file goes bad."""
    with open(path, "r+b") as f:
        f.seek(offset)
        byte = f.read(1)
        f.seek(offset)
        f.write(bytes([byte[0] ^ 0x10]))


def network():
    """A prefix like 127.93.17 whose addresses have our ports free."""
    while True:
        prefix = f"127.{random.randint(1, 254)}.{random.randint(0, 254)}"
        try:
            for port in (8300, 8301, 8500, 8600):
                with socket.socket() as s:
                    s.bind((f"{prefix}.1", port))
            return prefix
        except OSError:
            continue


def wait_equal(what, expected, get, seconds=PATIENCE):
    """Poll until get() gives what is expected; what it gives last is shown when it does not."""
    return wait_for(f"{what}: {expected!r}", lambda: Match(expected, get()), seconds)


class Match:
    """True when both are equal; shows what came instead."""

    def __init__(self, expected, value):
        self.is_equal = expected == value
        self.value = value

    def __bool__(self):
        return self.is_equal

    def __repr__(self):
        return repr(self.value)


class Answer:
    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def text(self):
        return self.body.decode("utf-8", "replace")

    def json(self):
        return json.loads(self.body)

    @property
    def index(self):
        return int(self.headers["X-Consul-Index"])


class Agent:
    def __init__(self, cluster, name, address, server, args):
        self.cluster = cluster
        self.name = name
        self.address = address
        self.server = server
        self.args = args
        self.program = MUSTER
        self.data = os.path.join(cluster.dir, name)
        self.log = os.path.join(cluster.dir, name + ".log")
        self.process = None

    # -- life --

    def command(self):
        base = [self.program, "agent", "-node", self.name, "-bind", self.address, "-client",
                self.address, "-data-dir", self.data]
        if self.server:
            base += ["-server"]
        return base + self.args

    def start(self):
        assert self.process is None or self.process.poll() is not None
        with open(self.log, "ab") as out:  # what it leaves in TMPDIR when it is killed goes, too
            self.process = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=out,
                                            stderr=subprocess.STDOUT,
                                            env={**os.environ, "TMPDIR": self.cluster.dir})
        return self

    def running(self):
        return self.process is not None and self.process.poll() is None

    def send(self, number):
        self.process.send_signal(number)

    def meets_a_crowd(self, port, count, request):
        """Its first answer to one who asks behind `count` that came while it stood still, and went."""
        self.send(signal.SIGSTOP)
        for _ in range(count):
            with socket.create_connection((self.address, port)):
                pass
        with socket.create_connection((self.address, port)) as client:
            client.settimeout(PATIENCE)
            client.sendall(request)
            self.send(signal.SIGCONT)
            return client.recv(65536)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def wait(self, seconds=PATIENCE):
        return self.process.wait(seconds)

    def terminate(self, number=signal.SIGINT, seconds=PATIENCE):
        self.send(number)
        return self.wait(seconds)

    def log_text(self):
        with open(self.log, errors="replace") as f:
            return f.read()

    def segments(self):
        """The files of its log, the oldest first."""
        where = os.path.join(self.data, "consensus")
        return sorted(os.path.join(where, n) for n in os.listdir(where) if n.startswith("log-"))

    def is_log_compacted(self):
        """It begins behind the first segment."""
        return os.path.basename(self.segments()[0]) > "log-0000000000000001.seg"

    # -- clients --

    def http(self, method, path, body=None, timeout=PATIENCE, headers=None):
        connection = http.client.HTTPConnection(self.address, 8500, timeout=timeout)
        try:
            if isinstance(body, (dict, list)):
                body = json.dumps(body)
            connection.request(method, path, body=body, headers=headers or {})
            reply = connection.getresponse()
            return Answer(reply.status, dict(reply.getheaders()), reply.read())
        finally:
            connection.close()

    def get(self, path, **more):
        return self.http("GET", path, **more)

    def put(self, path, body=None, **more):
        return self.http("PUT", path, body, **more)

    def ok(self, method, path, body=None, **more):
        answer = self.http(method, path, body, **more)
        if answer.status != 200:
            raise AssertionError(f"{self.name}: {method} {path}: {answer.status} {answer.text}")
        return answer

    def dig(self, name, kind="A", *options):
        run = subprocess.run(["dig", "+short", "+time=5", "+tries=3", "-p", "8600",
                              "@" + self.address, name, kind, *options],
                             capture_output=True, text=True, timeout=PATIENCE)
        return sorted(line for line in run.stdout.splitlines() if line and line[0] != ";")

    def rcode(self, name, kind="A"):
        run = subprocess.run(["dig", "+time=5", "+tries=3", "-p", "8600", "@" + self.address,
                              name, kind], capture_output=True, text=True, timeout=PATIENCE)
        found = re.search(r"status: (\w+)", run.stdout)
        return found.group(1) if found else None

    def leader(self):
        return self.get("/v1/status/leader", timeout=2).json()

    def members(self):
        return {m["Name"]: m["Status"] for m in self.get("/v1/agent/members").json()}

    def catalog_nodes(self, more=""):
        return [n["Node"] for n in self.ok("GET", "/v1/catalog/nodes" + more).json()]

    def cli(self, *words, check=None, input=None, env=None):
        run = subprocess.run([MUSTER, *words[:1], *words[1:]], capture_output=True, text=True,
                             input=input, timeout=PATIENCE,
                             env={**os.environ, "CONSUL_HTTP_ADDR": f"{self.address}:8500",
                                  **(env or {})})
        if check is not None and run.returncode != check:
            raise AssertionError(f"muster {' '.join(words)}: exit {run.returncode}\n"
                                 f"{run.stdout}{run.stderr}")
        return run


class Cluster:
    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="muster-test-")
        self.prefix = network()
        self.agents = {}
        self.count = 0
        at_end.append(self.close)

    def address(self):
        self.count += 1
        return f"{self.prefix}.{self.count}"

    def add(self, name, server=False, args=(), address=None):
        agent = Agent(self, name, address or self.address(), server, list(args))
        self.agents[name] = agent
        return agent

    def servers(self):
        return [a for a in self.agents.values() if a.server]

    def make(self, servers=3, clients=2, args=()):
        """Describe a cluster: every agent is told every server; nothing is started yet."""
        first = self.count + 1
        joins = []
        for i in range(servers):
            joins += ["-retry-join", f"{self.prefix}.{first + i}"]
        for i in range(servers):
            self.add(f"s{i + 1}", True, ["-bootstrap-expect", str(servers), *joins, *args])
        for i in range(clients):
            # Not "c1": DNS and the API also take hex digits for the start of a node id.
            self.add(f"k{i + 1}", False, [*joins, *args])
        return self

    def start(self, names=None):
        for name in names or list(self.agents):
            self.agents[name].start()
        return self

    def wait_ready(self, seconds=PATIENCE * 2):
        """Every running agent answers and sees a leader; every one of them is in the catalog."""
        running = [a for a in self.agents.values() if a.running()]
        for agent in running:
            wait_for(f"{agent.name} to see a leader", agent.leader, seconds)
        names = {a.name for a in running}
        wait_for("all nodes in the catalog",
                 lambda: names <= set(running[0].catalog_nodes()), seconds)
        return self

    def leader(self):
        """The server that leads, as the others say."""
        def find():
            for agent in self.servers():
                if not agent.running():
                    continue
                where = agent.leader()
                for other in self.servers():
                    host = f"[{other.address}]" if ":" in other.address else other.address
                    if other.running() and where == f"{host}:8300":
                        return other
            return None
        return wait_for("a leader that runs", find)

    def close(self):
        for agent in self.agents.values():
            if agent.running():
                agent.send(signal.SIGCONT)
                agent.kill()
        with open("/proc/self/mounts") as mounts:
            for where in [line.split()[1] for line in mounts]:
                if where.startswith(self.dir + "/"):
                    subprocess.run(["umount", "--lazy", where], check=True)
        shutil.rmtree(self.dir, ignore_errors=True)
        at_end.remove(self.close)


class ClusterTest(unittest.TestCase):
    """A test with clusters that are always ended; logs are shown when it fails."""

    def setUp(self):
        self.clusters = []

    def cluster(self, *args, **more):
        cluster = Cluster()
        self.clusters.append(cluster)
        if args or more:
            cluster.make(*args, **more)
        return cluster

    def sanitizer_reports(self):
        found = []
        for cluster in self.clusters:
            for agent in cluster.agents.values():
                if os.path.exists(agent.log):
                    text = agent.log_text()
                    for mark in ("Sanitizer", "runtime error", "assertion failed"):
                        if mark in text:
                            found.append(f"{agent.name}: {text[text.index(mark) - 200:][:4000]}")
        return found

    def tearDown(self):
        outcome = self._outcome.result
        failed = any(test is self for test, _ in outcome.failures + outcome.errors)
        reports = self.sanitizer_reports()
        for cluster in self.clusters:
            if failed:
                for agent in cluster.agents.values():
                    if os.path.exists(agent.log):
                        sys.stderr.write(f"--- {agent.name} ({agent.address})\n")
                        sys.stderr.write(agent.log_text()[-6000:])
            cluster.close()
        self.assertEqual(reports, [], "a sanitizer or an assertion spoke")


def main(at_once=1):
    """The cases of a file, or those that are named on the command line. `at_once`: so many, each in
    a process of its own; for files whose cases mostly wait, one after the other."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, tell)
    try:
        if at_once == 1 or len(sys.argv) > 1:
            unittest.main(verbosity=2)
        all_apart(at_once)
    except Told as told:
        end(told.args[0])


def all_apart(at_once):
    names = [case.id().removeprefix("__main__.") for case in cases_of(
        unittest.defaultTestLoader.loadTestsFromModule(sys.modules["__main__"]))]
    with ThreadPoolExecutor(at_once) as pool:
        try:
            goods = list(pool.map(run_apart, names))
        except Told as told:
            pool.shutdown(wait=False, cancel_futures=True)
            end(told.args[0])
    failed = [name for name, is_good in zip(names, goods) if not is_good]
    print(f"{len(names) - len(failed)} of {len(names)} cases passed", *failed, sep="\n")
    sys.exit(1 if failed or not names else 0)


def cases_of(suite):
    return [case for part in suite
            for case in (cases_of(part) if isinstance(part, unittest.TestSuite) else [part])]


def run_apart(name):
    def undo():
        run.terminate()
        run.wait()

    run = subprocess.Popen([sys.executable, sys.argv[0], name], stdin=subprocess.DEVNULL,
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                           errors="replace")
    at_end.append(undo)
    print(run.communicate()[0], end="", flush=True)
    at_end.remove(undo)
    return run.returncode == 0
