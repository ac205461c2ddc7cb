"""Agents of `muster serf agent` with Debian's serf command against them, for the tests of either."""

import json
import os
import socket
import subprocess

from cluster import MUSTER, PATIENCE, Agent, Cluster, ClusterTest, wait_for

ENVIRONMENT = {k: v for k, v in os.environ.items() if not k.startswith("SERF_")}

HANDLER = ('case "$SERF_EVENT:$SERF_QUERY_NAME" in query:load) echo "load from $SERF_SELF_NAME";; '
           "query:stderr) echo out; echo err >&2;; query:big) head -c 2000 /dev/zero | tr '\\0' x;; "
           "query:fail) echo nope; exit 3;; esac")


class SerfAgent(Agent):
    def command(self):
        return [MUSTER, "serf", "agent", "-node", self.name, "-bind",
                f"{self.address}:{self.cluster.port}", "-rpc-addr", f"{self.address}:7373"] + self.args

    def serf(self, *words, env=None):
        run = subprocess.run(["serf", words[0], f"-rpc-addr={self.address}:7373", *words[1:]],
                             capture_output=True, text=True, timeout=PATIENCE,
                             env={**ENVIRONMENT, **(env or {})})
        return run.returncode, run.stdout

    def rows(self, *filters):
        code, out = self.serf("members", *filters)
        if code != 0:
            raise ValueError(out)
        return {f[0]: f[2] for f in (line.split() for line in out.splitlines() if line.strip())}


def gossip_port():
    while True:
        with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
            tcp.bind(("0.0.0.0", 0))
            try:
                udp.bind(("0.0.0.0", tcp.getsockname()[1]))
                return tcp.getsockname()[1]
            except OSError:
                continue


class SerfAgentsTest(ClusterTest):
    def setUp(self):
        super().setUp()
        self.all = Cluster()
        self.all.port = gossip_port()  # not 7946: somebody may hold it on all addresses
        self.clusters.append(self.all)

    def agent(self, name, *args, start=True):
        agent = SerfAgent(self.all, name, self.all.address(), False, ["-profile", "local", *args])
        self.all.agents[name] = agent
        if start:
            agent.start()
            wait_for(f"{name} to answer", lambda: name in agent.rows())
        return agent

    def three(self, *args):
        n1 = self.agent("n1", "-tag", "role=web", "-tag", "dc=east", "-tag", "we ird-k.ey=v 1",
                        "-event-handler", "*=" + HANDLER, *args)
        n2 = self.agent("n2", "-tag", "role=db", "-event-handler", "*=" + HANDLER, "-join",
                        n1.address, *args)
        n3 = self.agent("n3", "-retry-join", n1.address, *args)
        for n in (n1, n2, n3):
            wait_for("all to see all", lambda n=n: len(n.rows()) == 3)
        return n1, n2, n3

    def read(self, path):
        with open(path) as f:
            return f.read()

    def file(self, name, value):
        path = os.path.join(self.all.dir, name)
        with open(path + ".new", "w") as f:
            f.write(value if isinstance(value, str) else json.dumps(value))
        os.rename(path + ".new", path)
        return path
