"""Why a node is held what it is: told by every member, and by the leader for the catalog."""

import signal

from cluster import ClusterTest, main, wait_equal, wait_for

ALIVE, FAILED = 1, 4  # Serf's numbers


def explained(agent, node):
    return agent.ok("GET", f"/v1/agent/explain/node/{node}").json()


def account(answer, seer):
    return next(a for a in answer["Accounts"] if a["SeenBy"] == seer)


def changes(answer, seer):
    return [c["Change"] for c in account(answer, seer)["Changes"]]


class Explain(ClusterTest):
    def test_killed(self):
        cluster = self.cluster(servers=1, clients=3,
                               args=["-hcl", 'reconcile { remove_failed_after = "1h" }'])
        cluster.start().wait_ready()
        s1, k1, k2, k3 = (cluster.agents[n] for n in ("s1", "k1", "k2", "k3"))
        wait_equal("what each says of k2", {n: "alive" for n in ("s1", "k1", "k2", "k3")},
                   lambda: {a["SeenBy"]: a["Status"] for a in explained(k1, "k2")["Accounts"]})
        wait_for("k2 to have answered a probe of k1",
                 lambda: account(explained(k1, "k2"), "k1")["AckedAgoMs"] is not None)
        answer = explained(k1, "k2")
        self.assertEqual(answer["Accounts"][0]["SeenBy"], "k1")
        self.assertGreater(answer["Accounts"][0]["RttUs"], 0)
        self.assertEqual((answer["Leader"]["Name"], answer["Leader"]["Check"],
                          answer["Leader"]["Plan"]), ("s1", "passing", "keep"))

        k2.kill()
        for agent in (s1, k1, k3):
            wait_for("k2 to be failed", lambda: agent.members()["k2"] == FAILED)
        wait_for("the catalog to say so",
                 lambda: explained(k1, "k2")["Leader"]["Check"] == "critical")

        def of_all():
            answer = explained(k1, "k2")
            return not answer["Silent"] and answer

        answer = wait_for("all to answer in time", of_all)
        for seer in ("s1", "k1", "k3"):
            a = account(answer, seer)
            self.assertEqual((a["Status"], a["State"]), ("failed", "dead"))
            last = a["Changes"][-1]
            self.assertEqual(last["Change"], "dead")
            self.assertIn(last["By"], ("s1", "k1", "k3"))
            begun = next(c for c in reversed(a["Changes"]) if c["Change"] == "suspected")
            self.assertEqual(begun["Evidence"], "refused")
            ages = [c["AgoMs"] for c in a["Changes"]]
            self.assertEqual(ages, sorted(ages, reverse=True), "oldest first")
        self.assertEqual(answer["Leader"]["Plan"], "critical")
        self.assertTrue(0 < answer["Leader"]["InMs"] <= 3600000)
        text = wait_for("all to answer in time", lambda: (
            lambda out: "0 do not answer" in out and out)(k1.cli("explain", "node", "k2").stdout))
        self.assertIn("k2 is failed, as k1 sees it: dead for ", text)
        self.assertRegex(text, r"declared dead by (s1|k1|k3)")
        self.assertIn("Of the others 2 see it alike, 0 otherwise, 0 do not answer.", text)
        self.assertRegex(text, r"by the leader s1: serfHealth critical; it is removed in \d+ s")

        k2.start()
        wait_for("k2 to be back", lambda: k1.members()["k2"] == ALIVE)
        self.assertEqual(changes(explained(k1, "k2"), "k1")[-1], "returned")

    def test_stopped_and_it_denies(self):
        cluster = self.cluster(servers=1, clients=2).start().wait_ready()
        s1, k1, k2 = (cluster.agents[n] for n in ("s1", "k1", "k2"))
        k2.send(signal.SIGSTOP)
        try:
            def suspected():
                answer = explained(s1, "k2")
                a = account(answer, "s1")
                return (a["Suspicion"] and a["Suspicion"]["Evidence"] == "stalled" and
                        answer["Silent"] == ["k2"] and answer)

            answer = wait_for("k2 to be suspected", suspected)
            a = account(answer, "s1")
            self.assertEqual((a["Status"], a["State"]), ("alive", "suspect"))
            self.assertGreater(a["Suspicion"]["DeadlineInMs"], 0)
        finally:
            k2.send(signal.SIGCONT)

        def denied():
            answer = explained(s1, "k2")
            own = [a for a in answer["Accounts"] if a["SeenBy"] == "k2"]
            return (own and account(answer, "s1")["State"] == "alive" and
                    [c for c in own[0]["Changes"] if c["Change"] == "refuted"])

        mine = wait_for("k2 to have denied it", denied)
        self.assertIn(mine[-1]["By"], ("s1", "k1"))  # it knows who accused it
        self.assertIn(changes(explained(s1, "k2"), "s1")[-1], ("refuted", "returned"))
        self.assertIn("k2 is alive, as it sees itself",
                      k1.cli("explain", "node", "k2", check=0).stdout)

    def test_removal_is_paused(self):
        cluster = self.cluster(servers=1, clients=4,
                               args=["-hcl", 'reconcile { remove_failed_after = "1h" }'])
        cluster.start().wait_ready()
        s1 = cluster.agents["s1"]
        dead = [cluster.agents[n] for n in ("k1", "k2", "k3")]
        for agent in dead:
            agent.kill()

        def paused():
            plan = explained(s1, "k1")["Leader"]
            return plan["Plan"] == "paused" and plan["Failed"] == 3 and plan

        plan = wait_for("removal to pause", paused)
        self.assertEqual(plan["Members"], 5)
        self.assertGreater(plan["InMs"], 0)
        self.assertRegex(s1.cli("explain", "node", "k1", check=0).stdout,
                         r"its removal is paused by self-preservation, 3 of 5 members are failed; "
                         r"for \d+ s at most")

    def test_unknown(self):
        cluster = self.cluster(servers=1, clients=0).start().wait_ready()
        s1 = cluster.agents["s1"]
        self.assertEqual(s1.get("/v1/agent/explain/node/nobody").status, 404)
        run = s1.cli("explain", "node", "nobody")
        self.assertEqual(run.returncode, 1)
        self.assertIn('No node of the name "nobody"', run.stderr)


if __name__ == "__main__":
    main()
