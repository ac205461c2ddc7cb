"""muster serf agent: how agents come, go and return, and what handlers are told of it, by set-up C
of spec/serf-surface.md 11. Numbers in comments are its rows."""

import os
import signal
import subprocess
import time

from cluster import PATIENCE, main, wait_equal, wait_for
from serf_agents import ENVIRONMENT, SerfAgent, SerfAgentsTest


class Life(SerfAgentsTest):
    def listener(self, name, *args, words="$SERF_EVENT:$SERF_USER_EVENT"):
        """An agent whose handler keeps each run's words, and first words of its lines; where."""
        out = os.path.join(self.all.dir, f"heard-{name}")
        open(out, "w").close()
        script = f"h=$(cut -f1 | tr '\\n' ' '); echo \"{words} $h\" >>{out}"
        return self.agent(name, "-event-handler", "*=" + script, *args), lambda: self.read(out)

    def test_going(self):
        n1, heard = self.listener("n1")
        n2 = self.agent("n2", "-join", n1.address)
        n3 = self.agent("n3", "-join", n1.address)
        wait_for("all", lambda: len(n1.rows()) == len(n2.rows()) == 3)
        n3.kill()  # 70
        self.assertIn("connection refused", n3.serf("members")[1])
        wait_for("n3 to be failed", lambda: n1.rows()["n3"] == "failed")
        wait_for("its handler", lambda: "member-failed: n3 \n" in heard())
        self.assertEqual(n1.serf("force-leave", "n3"), (0, ""))  # 72
        wait_for("n3 to be left", lambda: n2.rows()["n3"] == "left")
        wait_for("its handler", lambda: "member-leave: n3 \n" in heard())
        self.assertEqual(n1.serf("force-leave", "-prune", "n3"), (0, ""))
        wait_for("n3 to be forgotten", lambda: "n3" not in n2.rows())
        wait_for("its handler", lambda: "member-reap: n3 \n" in heard())
        self.assertEqual(n2.terminate(signal.SIGINT), 0)  # 74
        self.assertEqual([line for line in n2.log_text().splitlines() if line[:3] == "==>"][-2:],
                         ["==> Caught signal: interrupt", "==> Gracefully shutting down agent..."])
        wait_for("n2 to be left", lambda: n1.rows()["n2"] == "left")
        self.assertRegex(n2.log_text(), r"(?s)requesting graceful leave from Serf\n.*serf: EventMemberLeave: "
                                        r"n2 .*\n.*agent: Received event: member-leave\n"
                                        r".*agent: requesting serf shutdown\n.*agent: shutdown complete\n")
        n2.start()
        wait_for("n2 to be back", lambda: n1.rows()["n2"] == "alive")
        self.assertEqual(n2.terminate(signal.SIGTERM), 1)  # 75
        wait_for("n2 to be failed", lambda: n1.rows()["n2"] == "failed")
        n2.args += ["-config-file", self.file("n2.json", {"leave_on_terminate": True})]
        n2.start()
        wait_for("n2 to be back", lambda: n1.rows()["n2"] == "alive")
        self.assertEqual(n2.terminate(signal.SIGTERM), 0)
        wait_for("n2 to be left", lambda: n1.rows()["n2"] == "left")
        stays = self.agent("stays", "-config-file",
                           self.file("stays.json", {"skip_leave_on_interrupt": True}))
        self.assertEqual(stays.terminate(signal.SIGINT), 1)
        self.assertIn("serf: Shutdown without a Leave\n", stays.log_text())
        self.assertNotIn("Gracefully", stays.log_text())
        self.assertEqual(n1.serf("leave"), (0, "Graceful leave complete\n"))  # 76
        self.assertEqual(n1.wait(), 0)

    def test_the_dead_do_not_hide_who_dies(self):
        """Wish 10: the first to die is missed, nineteen at once are, and so is one among twenty dead."""
        first = self.agent("n1")
        others = [self.agent(f"n{i}", "-join", first.address) for i in range(2, 26)]
        lives = [first, *others[:3]]
        for n in lives:
            wait_for("all to know all", lambda n=n: list(n.rows().values()) == ["alive"] * 25)
        took = []
        for dead in (others[-1:], others[4:-1], others[3:4]):  # one; nineteen; one among twenty
            killed_at = time.monotonic()
            for n in dead:
                n.kill()
            for n in lives:
                wait_for("them to be missed", lambda n=n: all(
                    n.rows()[d.name] == "failed" for d in dead))
            took.append(time.monotonic() - killed_at)
        print("missed after %.1f s; nineteen after %.1f; among twenty dead after %.1f" % tuple(took))
        self.assertEqual([n for n, status in first.rows().items() if status == "alive"],
                         [n.name for n in lives])

    def test_who_leaves_runs_its_own_handlers(self):
        n1 = self.agent("n1")
        n2, heard = self.listener("n2", "-join", n1.address)
        wait_for("the two", lambda: len(n1.rows()) == len(n2.rows()) == 2)
        self.assertEqual(n2.terminate(signal.SIGINT), 0)
        self.assertEqual(heard().splitlines()[-1], "member-leave: n2 ")
        alone, heard = self.listener("alone")
        self.assertEqual(alone.serf("leave"), (0, "Graceful leave complete\n"))
        self.assertEqual(alone.wait(), 0)
        self.assertEqual(heard().splitlines()[-1], "member-leave: alone ")
        n3 = self.agent("n3", "-event-handler", "member-leave=exec sleep 1000")
        self.assertEqual(n3.terminate(signal.SIGINT), 0)
        self.assertIn("Script 'exec sleep 1000' still runs while the agent ends: killed\n", n3.log_text())

    def test_who_lives_is_not_forced_out(self):
        n1, heard = self.listener("n1")
        n2 = self.agent("n2", "-log-level", "DEBUG", "-join", n1.address)
        wait_for("the two", lambda: len(n1.rows()) == len(n2.rows()) == 2)
        self.assertEqual(n1.serf("force-leave", "n2"), (0, ""))  # 73
        wait_for("n2 to hear of it", lambda: "refuting an older leave intent" in n2.log_text())
        for n in (n1, n2):
            wait_equal("all to be alive", {"n1": "alive", "n2": "alive"}, n.rows)
        self.assertNotIn("member-leave", heard())
        self.assertNotIn("member-failed", heard())

    def test_returning(self):
        n1 = self.agent("n1")
        snapshot = os.path.join(self.all.dir, "n2.snapshot")
        members = f"{snapshot}.muster/gossip/members"
        n2, heard = self.listener("n2", "-snapshot", snapshot, "-join", n1.address)
        wait_for("the two", lambda: len(n2.rows()) == 2)
        self.assertEqual(n1.serf("event", "-coalesce=false", "before")[0], 0)
        wait_for("the event", lambda: "user:before" in heard())
        wait_for("it to be kept", lambda: "event-clock 2 " in self.read(members))
        n2.kill()
        wait_for("n2 to be failed", lambda: n1.rows()["n2"] == "failed")
        n2.args = [word for word in n2.args if word not in ("-join", n1.address)]
        n2.start()  # 71: without -join
        wait_for("n2 to be back", lambda: n1.rows()["n2"] == "alive" and len(n2.rows()) == 2)
        self.assertEqual(n1.serf("event", "-coalesce=false", "after")[0], 0)
        wait_for("the next event", lambda: "user:after" in heard())
        self.assertEqual(heard().count("user:before"), 1)

    def alone(self, n1, n2):
        """Somebody else joins meanwhile: by then n2 would be back, too."""
        n2.start()
        wait_for("n2 to answer", lambda: n2.rows())
        other = self.agent(f"other{len(self.all.agents)}", "-join", n1.address)
        wait_for("the other one", lambda: len(other.rows()) > 1)
        self.assertEqual(n2.rows(), {"n2": "alive"})
        self.assertEqual(n1.rows()["n2"], "left")

    def test_rejoining_after_a_leave(self):
        """81: only who is told to; and whatever starts on its own came between, as with Serf."""
        n1 = self.agent("n1")
        plain = ["-profile", "local", "-snapshot", os.path.join(self.all.dir, "n2.snapshot")]
        n2 = self.agent("n2", *plain, "-join", n1.address)
        wait_for("the two", lambda: len(n1.rows()) == len(n2.rows()) == 2)
        for ends in ((), (signal.SIGINT,), (signal.SIGTERM, signal.SIGKILL), (signal.SIGKILL,)):
            self.assertEqual(n2.terminate(signal.SIGINT), 0)
            n2.args = plain
            for end in ends:
                self.alone(n1, n2)
                n2.terminate(end)
            n2.args = plain + ["-rejoin"]
            n2.start()
            wait_for(f"n2 to be back after {ends}",
                     lambda: n1.rows()["n2"] == "alive" and n2.rows().get("n1") == "alive")

    def says(self, agent, line):
        wait_for(f"{agent.name} to say {line!r}", lambda: line in agent.log_text())

    def test_a_snapshot_that_serf_left(self):
        """Whoever changes the program is back without -join, hears nothing twice, and can go back."""
        n1 = self.agent("n1")
        for name in ("before", "latest"):
            self.assertEqual(n1.serf("event", "-coalesce=false", name)[0], 0)
        lines = ["alive: n2 127.0.0.1:1", "alive: gone 127.0.0.1:1", f"alive: n1 {n1.address}:{self.all.port}",
                 "clock: 6", "event-clock: 1", 'coordinate: {"Vec":[0]}', "what: is this", "event-clock: 2",
                 "query-clock: 4", "not-alive: gone"]
        snapshot = self.file("n2.snapshot", "\n".join(lines) + "\n")
        members = f"{snapshot}.muster/gossip/members"
        n2, heard = self.listener("n2", "-snapshot", snapshot)
        wait_for("the two", lambda: len(n1.rows()) == len(n2.rows()) == 2)
        self.says(n2, f"[INFO] serf: Took over Serf's snapshot: file={snapshot} members=1 has_left=false\n")
        self.says(n2, f'[WARN] serf: Skipped what is unknown in Serf\'s snapshot: file={snapshot} lines=1 '
                      'first_line=7 begins="what: is this"\n')
        self.says(n2, f"Attempting re-join to previously known node: n1: {lines[2].split()[-1]}\n")
        self.assertNotIn("previously known node: gone", n2.log_text())
        self.assertEqual(n1.serf("event", "-coalesce=false", "after")[0], 0)
        wait_for("the next event", lambda: "user:after" in heard())
        self.assertEqual([line for line in heard().splitlines() if "user:" in line], ["user:after "])
        wait_for("it to be kept", lambda: "event-clock 4 " in self.read(members))
        self.assertRegex(self.read(members), r"\nquery-clock ([5-9]|\d\d+) ")
        self.assertEqual(self.read(snapshot), "\n".join(lines) + "\n")
        n2.kill()
        wait_for("n2 to be failed", lambda: n1.rows()["n2"] == "failed")
        n2.start()
        wait_for("n2 to be back", lambda: n1.rows()["n2"] == "alive" and len(n2.rows()) == 2)
        self.assertEqual(n2.log_text().count("Took over Serf's snapshot"), 1, "once")

    def test_who_left_serf_stays_alone(self):
        n1 = self.agent("n1")
        snapshot = self.file("n2.snapshot", f"alive: n1 {n1.address}:{self.all.port}\nclock: 3\nleave\nclock: 4\n")
        plain = ["-profile", "local", "-snapshot", snapshot]
        n2 = self.agent("n2", *plain)
        self.says(n2, "members=1 has_left=true\n")
        other = self.agent("other", "-join", n1.address)
        wait_for("the other one", lambda: len(other.rows()) > 1)  # by then n2 would be back, too
        self.assertEqual(n2.rows(), {"n2": "alive"})
        self.assertNotIn("n2", n1.rows())
        n2.terminate(signal.SIGTERM)
        n2.args = plain + ["-rejoin"]
        n2.start()
        wait_for("n2 to be back", lambda: n1.rows()["n2"] == "alive" and n2.rows().get("n1") == "alive")

    def test_a_snapshot_that_cannot_be_read(self):
        """No file of Serf's is worth not to start."""
        pipe = os.path.join(self.all.dir, "pipe")
        os.mkfifo(pipe)
        n1 = self.agent("n1", "-snapshot", pipe)
        self.says(n1, f"[WARN] serf: Cannot read Serf's snapshot, starting without it: file={pipe} ")
        n2 = self.agent("n2", "-snapshot", os.path.join(self.all.dir, "none"))
        self.says(n2, "agent: Serf agent starting\n")
        self.assertNotIn("Serf's snapshot", n2.log_text())

    def test_a_name_that_is_held(self):
        """80: the newcomer ends, and says who holds its name; it asks for a while before, for the
        holder may be itself, a moment ago."""
        n1 = self.agent("n1")
        n2 = self.agent("n2", "-join", n1.address)
        wait_for("the two", lambda: len(n1.rows()) == len(n2.rows()) == 2)
        late = SerfAgent(self.all, "n2", self.all.address(), False, ["-join", n1.address])
        run = subprocess.run(late.command(), capture_output=True, text=True, timeout=2 * PATIENCE)
        self.assertEqual(run.returncode, 1, run.stdout)
        self.assertRegex(run.stdout, rf"Giving up: .* held by 'n2' at {n2.address}:{self.all.port} ")
        self.assertIn("start this one with another -node (its id: without the .muster directory "
                      "of its -snapshot)", run.stdout)
        self.assertTrue(n2.running())
        self.assertIn(f"{n2.address}:{self.all.port}  alive", n1.serf("members", "-name=n2")[1])

    def test_nobody_to_join(self):
        """-join has one try, and says what Serf says; who came before it is not left waiting."""
        nobody = [self.all.address(), self.all.address()]
        refused = "".join(f"\t* Failed to join {ip}: dial tcp {ip}:{self.all.port}: connect: connection refused\n"
                          for ip in nobody)
        conf = self.file("start.json", {"start_join": [nobody[1]], "replay_on_join": True})
        alone = SerfAgent(self.all, "alone", self.all.address(), False,
                          ["-config-file", conf, "-join", nobody[0]])
        run = subprocess.run(alone.command(), capture_output=True, text=True, timeout=PATIENCE)
        self.assertEqual(run.returncode, 1, run.stdout)
        head, _, tail = run.stdout.partition("    Message Compression Enabled: true\n")
        self.assertEqual(tail.splitlines()[:2] + sorted(tail.splitlines()[2:4]) + tail.splitlines()[4:],
                         ["==> Joining cluster...(replay: true)", "==> 2 errors occurred:"]
                         + sorted(refused.splitlines()) + ["", ""], run.stdout)
        n1 = self.agent("n1")
        n2 = self.agent("n2", "-join", nobody[0], "-join", n1.address, "-retry-join", nobody[1])
        wait_for("the start's own", lambda: "\n==> Joining cluster...(replay: false)\n"
                 "    Join completed. Synced with 1 initial agents\n"
                 "\n==> Log data will now stream in as it occurs:\n\n" in n2.log_text())
        wait_for("the other list to be tried on its own", lambda: "agent: Join failed: 1 error occurred:"
                 f"  * Failed to join {nobody[1]}: " in n2.log_text())
        self.assertEqual(n2.rows(), {"n1": "alive", "n2": "alive"})

    def test_monitor_and_console_say_the_same(self):
        n1 = self.agent("n1")
        n2 = self.agent("n2", "-join", n1.address)
        monitor = subprocess.Popen(["serf", "monitor", f"-rpc-addr={n1.address}:7373"], text=True,
                                   stdout=subprocess.PIPE, env=ENVIRONMENT)
        line = next(line for line in monitor.stdout if "EventMemberJoin: n2" in line)
        monitor.terminate()
        monitor.wait()
        monitor.stdout.close()
        self.assertRegex(line, rf"^\d{{4}}/\S+ \S+ \[INFO\] serf: EventMemberJoin: n2 {n2.address}\n$")
        self.assertIn(line[20:], n1.log_text())  # behind the time

    def test_what_handlers_are_told(self):
        n1, heard = self.listener("n1", "-tag", "role=web", "-tag", "v=1")
        conf = self.file("n2.json", {"tags": {"role": "db"}})
        n2 = self.agent("n2", "-config-file", conf, "-join", n1.address)
        wait_for("n2", lambda: "member-join:" in heard() and "n2 " in heard())
        self.file("n2.json", {"tags": {"role": "cache"}})
        n2.send(signal.SIGHUP)  # 77
        wait_for("the update", lambda: "member-update: n2 \n" in heard())
        for payload in ("a", "b", "c"):  # 82: within one window
            self.assertEqual(n1.serf("event", "co", payload)[0], 0)
            self.assertEqual(n1.serf("event", "-coalesce=false", "each", payload)[0], 0)
        wait_for("each event", lambda: heard().count("user:each") == 3)
        wait_for("the last of those", lambda: "user:co c \n" in heard())
        self.assertEqual(heard().count("user:co "), 1, heard())

    def test_a_newcomer_hears_of_all_at_once(self):
        """The handler check: who is there is one run, with tags in columns and in the environment."""
        n1 = self.agent("n1")
        out = os.path.join(self.all.dir, "heard")
        script = ('(echo "$SERF_EVENT $SERF_SELF_NAME $SERF_SELF_ROLE $SERF_TAG_ROLE $SERF_TAG_V"; cat) '
                  f">>{out}")
        n4 = self.agent("n4", "-tag", "role=web", "-tag", "v=1", "-join", n1.address,
                        "-event-handler", f"member-join={script}")
        text = wait_for("its handler", lambda: os.path.exists(out) and self.read(out).count("\n") > 2
                        and self.read(out))
        runs = text.split("member-join n4 web web 1\n")
        rows = [sorted(run.splitlines()) for run in runs[1:]]
        self.assertEqual(runs[0], "")
        self.assertIn([f"n1\t{n1.address}\t\t", f"n4\t{n4.address}\tweb\trole=web,v=1"], rows)

    def test_a_query_takes_its_time(self):
        n1, n2, n3 = self.three()
        began = time.monotonic()
        code, out = n1.serf("query", "-timeout=500ms", "nothing")  # 41
        took = time.monotonic() - began
        self.assertEqual((code, out.splitlines()[-2:]), (0, ["Total Acks: 3", "Total Responses: 0"]))
        self.assertGreaterEqual(took, 0.5)
        self.assertLess(took, 5)  # and not as long as without: 15 s and more
        self.assertIn("\thealth_score = 0\n", n1.serf("info")[1])  # 11


if __name__ == "__main__":
    main()
