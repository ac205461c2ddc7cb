"""The data directory of a server does not grow with what was ever written: the log is compacted behind
the state, and the state gives back what is free of its file."""

import os

from cluster import PATIENCE, ClusterTest, main, wait_for

MIB = 1024 * 1024
# The state is flushed when its WAL holds 32 MiB, or in a quiet moment; until then the log is what
# is durable: three of these values fit a segment of 1 MiB, which makes 44 of them. Beside that:
# ballast, a spare, and what is written while a flush lasts, on a machine that may have much to do.
BUSY_MAX = 64 * MIB
QUIET_MAX = 10 * MIB


def directory_bytes(path):
    total = 0
    for name in os.listdir(path):
        try:
            total += os.stat(os.path.join(path, name)).st_blocks * 512
        except FileNotFoundError:
            pass  # recycled in between
    return total


class Compaction(ClusterTest):
    def test_the_log_stays_bounded_under_load(self):
        cluster = self.cluster()
        agent = cluster.add("solo", True, ["-dev", "-hcl", "raft_trailing_logs = 8"]).start()
        wait_for("a leader", agent.leader)
        log = os.path.join(agent.data, "consensus")
        value = os.urandom(256 * 1024)
        highest = 0
        for i in range(500):
            agent.ok("PUT", f"/v1/kv/big/{i % 16}", value[i % 256:])
            highest = max(highest, directory_bytes(log))
        self.assertLess(highest, BUSY_MAX, "while 125 MiB were written")
        wait_for("a quiet log to be small", lambda: directory_bytes(log) < QUIET_MAX)
        agent.kill()
        agent.start()
        wait_for("a leader again", agent.leader)
        for i in range(484, 500):
            got = agent.ok("GET", f"/v1/kv/big/{i % 16}?raw").body
            self.assertEqual(got, value[i % 256:])

    def test_all_of_it_is_small_again_after_overwrites(self):
        cluster = self.cluster()
        agent = cluster.add("solo", True, ["-dev"]).start()
        wait_for("a leader", agent.leader)
        value = os.urandom(200_000)
        live = 60
        state = os.path.join(agent.data, "state")
        log = os.path.join(agent.data, "consensus")
        for i in range(400):
            agent.ok("PUT", f"/v1/kv/big/{i % live}", value[i:])
        # Versions that were overwritten lie in the file until then, and its WAL beside it.
        self.assertGreater(directory_bytes(state), 2 * live * len(value))
        # All that is left is what lives, and of the log as much, in whole segments of 1 MiB.
        # Beside that: ballast, a spare, the current segment and the next.
        # Fewer versions than a step of compaction takes are looked at each half minute.
        wait_for("the state to be small",
                 lambda: directory_bytes(state) < 1.6 * live * len(value), PATIENCE * 3)
        wait_for("all of it to be small",
                 lambda: directory_bytes(state) + directory_bytes(log) - 4 * MIB
                 < 3 * live * len(value))


if __name__ == "__main__":
    main()
