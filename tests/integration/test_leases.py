"""Reads by lease: no round for them, and never an old answer from who led until now."""

import signal

from cluster import ClusterTest, main, wait_for


class Leases(ClusterTest):
    def counts(self, agent):
        raft = agent.ok("GET", "/v1/agent/self").json()["Stats"]["raft"]
        return int(raft["reads_by_round"]), int(raft["reads_by_lease"])

    def form(self, *args):
        cluster = self.cluster(servers=3, clients=0, args=args)
        cluster.start().wait_ready()
        cluster.leader().put("/v1/kv/k", "0")
        return cluster

    def test_reads_need_no_round(self):
        cluster = self.form("-hcl", "reads { lease = true }")
        leader = cluster.leader()

        def leased():
            _, before = self.counts(leader)
            for agent in cluster.servers():  # followers ask the leader, which asks nobody
                self.assertEqual(agent.get("/v1/kv/k?raw").text, "0")
            return self.counts(leader)[1] >= before + 3

        wait_for("all reads of a moment to be answered by lease", leased)

    def test_off_unless_asked_for(self):
        cluster = self.form()
        leader = cluster.leader()
        rounds, _ = self.counts(leader)
        for agent in cluster.servers():
            self.assertEqual(agent.get("/v1/kv/k?raw").text, "0")
        after, leased = self.counts(leader)
        self.assertGreaterEqual(after, rounds + 3)
        self.assertEqual(leased, 0)

    def test_who_stood_still_answers_nothing_old(self):
        cluster = self.form("-hcl", "reads { lease = true }")
        for turn in range(1, 4):
            old = cluster.leader()
            others = [s for s in cluster.servers() if s is not old]
            old.send(signal.SIGSTOP)
            try:
                wait_for("another leader", lambda o=others: all(
                    s.leader() and s.leader().split(":")[0] != old.address for s in o))
                wait_for("a write", lambda o=others, t=turn: o[0].put(
                    "/v1/kv/k", str(t), timeout=5).text == "true")
            finally:
                old.send(signal.SIGCONT)
            # its first answer, to a question that may have waited in its socket
            answer = wait_for("an answer", lambda s=old: (
                lambda a: a if a.status == 200 else None)(s.get("/v1/kv/k?raw")))
            self.assertEqual(answer.text, str(turn))


if __name__ == "__main__":
    main()
