"""Transactions over the catalog, by curl: nodes, services and checks with keys, all or none, on any
agent; readers that wait are woken as by a registration, and what gossip knows is put right again."""

import base64
import json
import subprocess
import threading

from cluster import PATIENCE, ClusterTest, main, wait_for


def node(verb, name, **more):
    return {"Node": {"Verb": verb, "Node": {"Node": name, **more}}}


def service(verb, on, **more):
    return {"Service": {"Verb": verb, "Node": on, "Service": more}}


def check(verb, on, check_id, **more):
    return {"Check": {"Verb": verb, "Check": {"Node": on, "CheckID": check_id, **more}}}


def key(verb, name, **more):
    return {"KV": {"Verb": verb, "Key": name, **more}}


class Txn(ClusterTest):
    def setUp(self):
        super().setUp()
        self.all = self.cluster(servers=3, clients=1)
        self.all.start().wait_ready()
        self.k1 = self.all.agents["k1"]

    def curl(self, agent, ops, query=""):
        run = subprocess.run(
            ["curl", "-sS", "-X", "PUT", "--data-binary", json.dumps(ops), "-w", "\n%{http_code}",
             f"http://{agent.address}:8500/v1/txn{query}"],
            capture_output=True, text=True, timeout=PATIENCE, check=True)
        text, code = run.stdout.rsplit("\n", 1)
        return int(code), json.loads(text)

    def waiting(self, agent, path, is_it):
        """A blocking read that has begun, and is asked again when something else woke it; what it
        returns gives its answer."""
        first = agent.get(path)
        self.assertFalse(is_it(first.json()))
        box = []

        def read():
            answer = first
            while not is_it(answer.json()):
                answer = agent.get(f"{path}?index={answer.index}&wait=120s", timeout=PATIENCE)
            box.append(answer.json())

        thread = threading.Thread(target=read, daemon=True)
        thread.start()

        def end():
            thread.join(PATIENCE)
            self.assertTrue(box, f"{path} was not woken")
            return box[0]
        return end

    def test_an_instance_comes_and_goes_whole(self):
        follower = next(s for s in self.all.servers() if s is not self.all.leader())
        ends = {path: self.waiting(follower, path, is_it) for path, is_it in (
            ("/v1/health/service/web", bool), ("/v1/health/checks/web", bool),
            ("/v1/catalog/nodes", lambda all: any(n["Node"] == "ext" for n in all)))}
        code, answer = self.curl(self.k1, [
            node("set", "ext", Address="10.1.0.1", Meta={"rack": "7"}),
            service("set", "ext", ID="web1", Service="web", Port=80, Tags=["blue"]),
            check("set", "ext", "c1", Name="alive", Status="passing", ServiceID="web1"),
            key("set", "config/web", Value=base64.b64encode(b"on").decode())])
        self.assertEqual((code, answer["Errors"]), (200, None), answer)
        self.assertEqual([list(r) for r in answer["Results"]],
                         [["Node"], ["Service"], ["Check"], ["KV"]])
        indexes = {next(iter(r.values()))["ModifyIndex"] for r in answer["Results"]}
        self.assertEqual(len(indexes), 1, "one entry")
        entry = ends["/v1/health/service/web"]()[0]
        self.assertEqual((entry["Service"]["ID"], entry["Node"]["Meta"]), ("web1", {"rack": "7"}))
        self.assertEqual(entry["Checks"][0]["ServiceTags"], ["blue"])
        ends["/v1/catalog/nodes"]()
        self.assertEqual(ends["/v1/health/checks/web"]()[0]["CheckID"], "c1")

        # It goes by the index it was read with, and only by that.
        index = indexes.pop()
        end = self.waiting(follower, "/v1/health/service/web", lambda all: all == [])
        code, answer = self.curl(self.k1, [
            key("delete", "config/web"), node("delete-cas", "ext", ModifyIndex=index + 1)])
        self.assertEqual((code, answer["Results"]), (409, None))
        self.assertEqual(answer["Errors"], [
            {"OpIndex": 1, "What": 'failed to delete node "ext", index is stale'}])
        self.assertEqual(self.k1.get("/v1/kv/config/web?raw").text, "on")
        code, answer = self.curl(self.k1, [
            key("delete", "config/web"), node("delete-cas", "ext", ModifyIndex=index)])
        self.assertEqual((code, answer), (200, {"Results": [], "Errors": None}))
        self.assertEqual(end(), [])
        self.assertEqual(self.k1.get("/v1/kv/config/web").status, 404)

    def test_only_reads_are_a_read(self):
        self.curl(self.k1, [node("set", "ext", Address="10.1.0.1"),
                            service("set", "ext", ID="web1", Service="web")])
        for query in ("", "?stale", "?consistent"):
            def seen(q=query):
                return self.curl(self.k1, [node("get", "EXT"), service("get", "ext", ID="web1")], q)
            # A read that may be stale may be asked of a server that has not heard of it yet.
            wait_for("it to be there", lambda: seen()[0] == 200)
            code, answer = seen()
            self.assertTrue(answer["KnownLeader"])
            self.assertEqual(answer["Results"][0]["Node"]["Address"], "10.1.0.1")
            self.assertIsNone(answer["Results"][1]["Service"]["Tags"])
            self.assertEqual(answer["Results"][1]["Service"]["Service"], "web")
        code, answer = self.curl(self.k1, [node("get", "none"), check("get", "ext", "none")])
        self.assertEqual((code, [e["What"] for e in answer["Errors"]]), (
            409, ['node "none" doesn\'t exist', 'check "none" on node "ext" doesn\'t exist']))

    def test_what_gossip_knows_is_put_right(self):
        """A living member that a transaction deletes is registered again, as after any other
        deregistration."""
        code, _ = self.curl(self.k1, [node("delete", "k1")])
        self.assertEqual(code, 200)
        wait_for("k1 to be back", lambda: any(
            c["CheckID"] == "serfHealth" and c["Status"] == "passing"
            for c in self.k1.get("/v1/health/node/k1").json()))

    def test_all_servers_hold_the_same(self):
        for n in range(8):
            code, answer = self.curl(self.k1, [
                node("set", f"n{n}", Address="10.1.0.1"),
                *[service("set", f"n{n}", ID=f"s{i}", Service="web") for i in range(31)],
                *[check("set", f"n{n}", f"c{i}", Status="warning", ServiceID=f"s{i}")
                  for i in range(31)]])
            self.assertEqual(code, 200, answer)
            self.assertEqual(len(answer["Results"]), 63)
        self.curl(self.k1, [node("delete", "n0"), service("delete", "n1", ID="s0", Service="web")])
        for server in self.all.servers():
            wait_for(f"{server.name} to have it", lambda s=server: len(
                s.get("/v1/health/service/web?stale").json()) == 8 * 31 - 32)


if __name__ == "__main__":
    main()
