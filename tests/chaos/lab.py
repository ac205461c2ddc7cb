"""lab.py - servers in network namespaces, and the wires between them.

outer: make_namespaces() in the machine's own namespace, then `enter` the one of the clients; inside
it Lab starts the switch and the servers. What is mounted and made in there goes with the process;
the namespaces are removed by the outer one.
"""

import http.client
import json
import os
import signal
import subprocess
import time

SERVERS = 5
NETWORK = "10.231.7"  # inside namespaces of our own: nobody else sees it
CLIENTS = "clients"
SMALL_DISK_MB = 96


class Impossible(Exception):
    """This machine cannot hold the lab, and why."""


def server_names(count):
    return [f"s{i + 1}" for i in range(count)]


def address(name):
    return f"{NETWORK}.{100 if name == CLIENTS else int(name[1:])}"


def namespace(name, owner):
    return f"muster-chaos-{owner}-{name}"


def run(*words):
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode != 0:
        raise Impossible(f"{' '.join(words)}: {done.stderr.strip()}")


def make_namespaces(names, owner):
    if os.geteuid() != 0:
        raise Impossible("network namespaces need root")
    if not os.path.exists("/dev/net/tun"):
        raise Impossible("there is no /dev/net/tun")
    for name in names:
        run("ip", "netns", "add", namespace(name, owner))


def remove_namespaces(names, owner):
    for name in names:
        subprocess.run(["ip", "netns", "delete", namespace(name, owner)], capture_output=True)


class Switch:
    """The wires. Every direction between two names has its own faults."""

    def __init__(self, program, names, owner, seed):
        self.process = subprocess.Popen(
            [program, *(f"{n}={namespace(n, owner)}={address(n)}" for n in names)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1,
            env={**os.environ, "CHAOS_SEED": str(seed)})
        if self.process.stdout.readline() != "ready\n":
            raise Impossible("the switch does not start")
        for name in names:
            inside = ("ip", "-n", namespace(name, owner))
            run(*inside, "address", "add", f"{address(name)}/24", "dev", "wire")
            run(*inside, "link", "set", "wire", "up")
            run(*inside, "link", "set", "lo", "up")

    def wire(self, a, b, faults=""):
        self.process.stdin.write(f"wire {a} {b} {faults}".rstrip() + "\n")
        answer = self.process.stdout.readline()
        if answer != "ok\n":
            raise AssertionError(f"wire {a} {b} {faults}: {answer!r}")

    def close(self):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


class Server:
    def __init__(self, lab, name, small_disk):
        self.lab = lab
        self.name = name
        self.address = address(name)
        self.dir = os.path.join(lab.dir, name)
        self.data = os.path.join(self.dir, "data")
        self.log = os.path.join(lab.dir, name + ".log")
        self.process = None
        self.is_paused = False
        self.small_disk = small_disk
        os.mkdir(self.dir)
        if small_disk:
            run("mount", "-t", "tmpfs", "-o", f"size={SMALL_DISK_MB}m", "muster-chaos", self.dir)

    def start(self):
        words = [self.lab.muster, "agent", "-server", "-node", self.name, "-bind", self.address,
                 "-client", self.address, "-data-dir", self.data,
                 "-bootstrap-expect", str(len(self.lab.servers)),
                 # Who is gone for long keeps its place: this is about faults, not about leaving.
                 "-hcl", 'reconcile { remove_failed_after = "72h" }']
        for other in self.lab.servers:
            words += ["-retry-join", other.address]
        with open(self.log, "ab") as out:
            self.process = subprocess.Popen(
                ["ip", "netns", "exec", namespace(self.name, self.lab.owner), *words],
                stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT)
        self.is_paused = False

    def running(self):
        return self.process is not None and self.process.poll() is None

    def kill(self):
        self.process.kill()
        self.process.wait()

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)
        self.is_paused = True

    def resume(self):
        if self.running():
            self.process.send_signal(signal.SIGCONT)
        self.is_paused = False

    def get(self, path, seconds=2.0):
        """(status, body), or None when there is no answer in time."""
        connection = http.client.HTTPConnection(self.address, 8500, timeout=seconds)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()

    def ask(self, method, path, seconds=2.0):
        """What is said, in words."""
        connection = http.client.HTTPConnection(self.address, 8500, timeout=seconds)
        try:
            connection.request(method, path)
            answer = connection.getresponse()
            return f"{answer.status} {answer.read().decode(errors='replace')}".strip()
        except (OSError, http.client.HTTPException) as error:
            return repr(error)
        finally:
            connection.close()

    def raft(self):
        """What it says of its consensus; None: nothing."""
        answer = self.get("/v1/agent/self")
        if answer is None or answer[0] != 200:
            return None
        return json.loads(answer[1])["Stats"].get("raft")

    def log_text(self):
        with open(self.log, errors="replace") as f:
            return f.read()

    def last_line(self):
        lines = [line for line in self.log_text().splitlines() if line.strip()]
        return f"exit {self.process.returncode}: {lines[-1] if lines else 'no word'}"

    def files_open(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def is_sanitized(self):
        with open(f"/proc/{self.process.pid}/maps") as f:
            return "libasan" in f.read()

    def resident_mb(self):
        with open(f"/proc/{self.process.pid}/statm") as f:
            return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


class Lab:
    def __init__(self, directory, owner, muster, switch, seed, count=SERVERS):
        self.dir = directory
        self.owner = owner
        self.muster = muster
        self.began = time.monotonic()
        self.servers = []
        self.switch = Switch(switch, [*server_names(count), CLIENTS], owner, seed)
        try:
            self.servers = [Server(self, name, small_disk=i < 2)
                            for i, name in enumerate(server_names(count))]
        except Impossible:
            self.switch.close()
            raise

    def say(self, text):
        print(f"[{time.monotonic() - self.began:7.2f}] {text}", flush=True)

    def start(self):
        for server in self.servers:
            server.start()

    def leader(self):
        """The running server that leads, as far as a majority of the answers says; else None."""
        said = {}
        for server in self.servers:
            if server.running() and not server.is_paused:
                answer = server.get("/v1/status/leader", 0.5)
                if answer is not None and answer[0] == 200:
                    where = json.loads(answer[1]).rpartition(":")[0]
                    said[where] = said.get(where, 0) + 1
        for server in self.servers:
            if said.get(server.address, 0) * 2 > sum(said.values()) and server.running():
                return server
        return None

    def voters(self):
        """Names, as the leader says; empty: it says nothing. A new disk under an old id is none
        until it says itself that it has something of the cluster."""
        taken = {s.name for s in self.servers
                 if s.running() and not s.is_paused and (s.raft() or {}).get("last_log_index", "0") != "0"}
        leader = self.leader()
        answer = None if leader is None else leader.get("/v1/operator/raft/configuration")
        if answer is None or answer[0] != 200:
            return set()
        return taken & {s["Node"] for s in json.loads(answer[1])["Servers"] if s["Voter"]}

    def heal(self):
        self.switch.wire("*", "*")
        for server in self.servers:
            if server.is_paused:
                server.resume()
            if not server.running():
                server.start()

    def wait_for(self, what, condition, seconds):
        deadline = time.monotonic() + seconds
        while True:
            value = condition()
            if value:
                return value
            if time.monotonic() > deadline:
                raise AssertionError(f"gave up after {seconds} s waiting for {what}")
            time.sleep(0.05)

    def close(self):
        for server in self.servers:
            if server.running():
                server.process.kill()
                server.process.wait()
        self.switch.close()
