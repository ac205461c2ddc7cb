"""Networks that part, lose and come back, between real agents: who is cut off is missed, nobody else
is, and he blames nobody; all find together again by themselves."""

import os
import re
import signal
import time

from cluster import main, wait_for
from wires import Wires

EVENTS = 20
HARD_S = int(os.environ.get("MUSTER_TEST_HARD_SECONDS", "20"))  # 300 are what wish 10 asks for


class Isolation(Wires):
    names = ["s1", "s2", "s3", "s4", "s5"]

    def start_all(self):
        self.start("s1", "-server", "-bootstrap-expect", "1")
        for name in self.names[1:]:
            self.start(name)
        wait_for("all to know all", self.all_alive)

    def failed(self, name):
        """Whom it has declared failed so far, in order."""
        return re.findall(r"EventMemberFailed: (\S+)", self.log(name))

    def cut(self, some, faults="cut"):
        """All ways between these and the others."""
        for a in some:
            for b in set(self.names) - set(some):
                self.switch.wire(a, b, faults)
                self.switch.wire(b, a, faults)

    def test_who_is_cut_off_blames_nobody(self):
        self.start_all()
        self.cut(["s5"])
        others = self.names[:4]
        wait_for("the others to miss it", lambda: all(self.failed(n) for n in others))
        self.cut(["s5"], "")
        wait_for("all to know all again", self.all_alive)
        self.assertEqual([self.failed(n) for n in others], [["s5"]] * 4)
        self.assertEqual(self.failed("s5"), [])

    def test_two_parts_miss_each_other_only(self):
        self.start_all()
        left, right = self.names[:3], self.names[3:]
        self.cut(right)
        for here, there in ((left, right), (right, left)):
            wait_for("each to miss the other part", lambda h=here, t=there: all(
                set(self.failed(n)) >= set(t) for n in h))
        self.cut(right, "")
        wait_for("all to know all again", self.all_alive)
        for here, there in ((left, right), (right, left)):
            self.assertEqual([sorted(self.failed(n)) for n in here], [there] * len(here))

    def test_a_quarter_lost_everywhere(self):
        """Events get to all meanwhile, and nobody is declared failed."""
        self.start_all()
        self.switch.wire("*", "*", "loss=25")
        for i in range(EVENTS):
            sender = self.names[i % len(self.names)]
            wait_for("an event to be taken",
                     lambda s=sender, i=i: self.cli(s, "event", "-name", f"lost-{i}")[0] == 0)
            wait_for(f"event {i} to get to all", lambda i=i: all(
                f'"Name":"lost-{i}"' in self.get(n, "/v1/event/list") for n in self.names))
        self.assertEqual([self.failed(n) for n in self.names], [[]] * 5)

    def test_who_lives_is_not_called_dead_and_who_is_dead_is(self):
        """Wish 10: a fifth of all packets is lost, and one stands still for a second, again and
        again. Then some are killed for good: what is dead already does not slow that down."""
        self.start_all()
        self.switch.wire("*", "*", "loss=20")
        stopped = self.processes["s5"]
        ends_at = time.monotonic() + HARD_S
        while time.monotonic() < ends_at:
            stopped.send_signal(signal.SIGSTOP)
            time.sleep(1)  # how long it stands still
            stopped.send_signal(signal.SIGCONT)
            time.sleep(2)
        self.assertEqual([self.failed(n) for n in self.names], [[]] * 5)
        self.switch.wire("*", "*")
        alive = list(self.names)
        for dead in ("s5", "s4", "s3"):
            alive.remove(dead)
            killed_at = time.monotonic()
            self.processes[dead].kill()
            wait_for(f"{dead} to be missed", lambda d=dead: all(d in self.failed(n) for n in alive))
            print(f"{dead} missed after {time.monotonic() - killed_at:.1f} s")
        self.assertEqual([self.failed(n) for n in alive], [["s5", "s4", "s3"]] * 2)


if __name__ == "__main__":
    main()
