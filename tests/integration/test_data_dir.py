"""Data directories that are not what a server takes them for, and commands that end in the middle."""

import os
import re
import shutil
import signal
import subprocess

from cluster import MUSTER, PATIENCE, ClusterTest, main, wait_for

# A tracer hides what LeakSanitizer has to see.
os.environ["ASAN_OPTIONS"] = os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0"
OTHER_ID = "11111111-2222-3333-4444-555555555555"
EXPECTED = "has the format 'muster 2', this version reads 'muster 1'"


def muster(*words, input="", inject=None):
    """`inject`: what strace does to a system call: name:how:when."""
    tracer = []
    if inject is not None:
        tracer = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=" + inject.split(":")[0],
                  "-e", "inject=" + inject]
    return subprocess.run([*tracer, MUSTER, *words], capture_output=True, text=True, input=input,
                          timeout=PATIENCE)


def node_id(directory):
    with open(os.path.join(directory, "node-id")) as f:
        return f.read().strip()


class DataDir(ClusterTest):
    def stopped(self):
        """A server with some keys, at rest."""
        cluster = self.cluster(servers=1, clients=0)
        cluster.start().wait_ready()
        server = cluster.agents["s1"]
        for i in range(5):
            server.ok("PUT", f"/v1/kv/a/{i}", str(i))
        server.terminate()
        return cluster, server

    def refused(self, server, *args):
        """What it says when it does not start."""
        kept = server.args
        server.args = [*kept, *args]
        with open(server.log, "w"):
            pass
        server.start()
        self.assertEqual(server.wait(), 1)
        server.args = kept
        return server.log_text()

    def starts(self, cluster, server):
        server.start()
        cluster.wait_ready()
        self.assertEqual(len(server.ok("GET", "/v1/kv/a/?keys").json()), 5)

    def test_a_wrong_node_id_is_refused_and_changes_nothing(self):
        cluster, server = self.stopped()
        own = node_id(server.data)
        said = self.refused(server, "-node-id", OTHER_ID)
        self.assertIn(f"belongs to node {own}, this is node {OTHER_ID}", said)
        self.assertEqual(node_id(server.data), own)
        self.starts(cluster, server)
        # Without its node-id it would be somebody else; the way back is named.
        server.terminate()
        os.remove(os.path.join(server.data, "node-id"))
        self.assertIn(f"-node-id {own}", self.refused(server))
        server.args += ["-node-id", own]
        self.starts(cluster, server)
        self.assertEqual(node_id(server.data), own)

    def test_the_log_of_another_server_is_refused(self):
        _, server = self.stopped()
        _, other = self.stopped()
        shutil.rmtree(os.path.join(server.data, "consensus"))
        shutil.copytree(os.path.join(other.data, "consensus"),
                        os.path.join(server.data, "consensus"))
        said = f"belongs to node {node_id(other.data)}, this is node {node_id(server.data)}"
        self.assertIn(said, self.refused(server))
        for words in (["consensus", "inspect"], ["recover", "-yes"], ["recover", "-rejoin", "-yes"]):
            run = muster(*words, "-data-dir", server.data)
            self.assertEqual(run.returncode, 1)
            self.assertIn(said, run.stderr)

    def test_what_a_newer_version_has_written_is_left_alone(self):
        _, server = self.stopped()
        with open(os.path.join(server.data, "format"), "w") as f:
            f.write("muster 2\n")
        self.assertIn(EXPECTED, self.refused(server))
        for words in (["consensus", "inspect"], ["recover", "-yes"], ["recover", "-rejoin", "-yes"],
                      ["operator", "bootstrap-reset"]):
            run = muster(*words, "-data-dir", server.data)
            self.assertEqual((run.returncode, run.stdout), (1, ""), words)
            self.assertIn(EXPECTED, run.stderr)

    def test_a_disk_that_fails_is_not_called_damage(self):
        _, server = self.stopped()
        for inject in ("pwrite64:error=ENOSPC:when=1+", "fdatasync:error=EIO:when=1+"):
            run = muster("recover", "-yes", "-data-dir", server.data, inject=inject)
            self.assertEqual(run.returncode, 1, inject)
            self.assertNotIn("damaged", run.stderr)
            self.assertRegex(run.stderr, r"cannot be read: .*/state-1\.db: .*(full|I/O error)")
        run = muster("recover", "-yes", "-data-dir", server.data)
        self.assertEqual(run.returncode, 0, run.stderr)

    def test_a_recovery_that_was_killed_is_made_again(self):
        cluster, server = self.stopped()
        whole = os.path.join(cluster.dir, "whole")
        shutil.copytree(server.data, whole)
        epochs = []
        for call in ("pwrite64", "fdatasync", "ftruncate"):
            for when in range(1, 200, 3):
                shutil.rmtree(server.data)
                shutil.copytree(whole, server.data)
                run = muster("recover", "-yes", "-data-dir", server.data,
                             inject=f"{call}:signal=KILL:when={when}")
                if run.returncode == 0:
                    break
                self.assertEqual(run.returncode, -signal.SIGKILL, run.stderr)
                seen = muster("consensus", "inspect", "-data-dir", server.data)
                self.assertEqual(seen.returncode, 0, seen.stderr)
                epochs.append(int(re.search(r"^epoch (\d+)$", seen.stdout, re.M).group(1)))
                if epochs[-1] == 0:
                    again = muster("recover", "-yes", "-data-dir", server.data)
                    self.assertEqual(again.returncode, 0, again.stderr)
        self.assertEqual({e > 0 for e in epochs}, {False, True}) # killed before, and behind
        self.starts(cluster, server)

    def test_a_rejoin_that_was_killed_says_that_it_is_done(self):
        _, server = self.stopped()
        run = muster("recover", "-rejoin", "-yes", "-data-dir", server.data,
                     inject="rename:signal=KILL:when=2")
        self.assertEqual(run.returncode, -signal.SIGKILL)
        for _ in range(2):
            run = muster("recover", "-rejoin", "-yes", "-data-dir", server.data)
            self.assertEqual(run.returncode, 1)
            self.assertIn("holds nothing of a server; what it held is in aside-1: start it, and it "
                          "joins as a new one", run.stderr)
        self.assertTrue(os.path.isdir(os.path.join(server.data, "aside-1", "consensus")))
        self.assertFalse(os.path.exists(os.path.join(server.data, "consensus")))

    def test_wrong_words_are_told_apart(self):
        cluster, server = self.stopped()
        peers = os.path.join(cluster.dir, "peers.json")
        for text, why in (
                ("", "EOF"), ("{}", "it takes a list of 1 to 15 servers"),
                ('[{"id":"x","address":"10.0.0.1:8300"}]', "'x' at '10.0.0.1:8300' is no server"),
                ('[{"id":"%s"}]' % OTHER_ID, "an address like 10.0.0.1:8300"),
                ('[{"id":"%s","address":"10.0.0.1"}]' % OTHER_ID, "an address like 10.0.0.1:8300"),
                ('[{"id":"%s","address":"10.0.0.1:8300"}]' % OTHER_ID,
                 "is not among the voters to be")):
            with open(peers, "w") as f:
                f.write(text)
            run = muster("recover", "-data-dir", server.data, "-peers", peers)
            self.assertEqual(run.returncode, 1)
            self.assertIn(why, run.stderr)
        nowhere = os.path.join(cluster.dir, "nowhere")
        for words, why in (
                (["-data-dir", nowhere], f"Error: {nowhere}: No such file or directory\n"),
                (["-data-dir", peers], f"Error: {peers}: Not a directory\n"),
                (["-rejoin", "-data-dir", server.data, "-bundle", peers],
                 "Error: -rejoin takes neither -peers nor -bundle nor -force\n"),
                (["-rejoin", "-data-dir", server.data, "-force"],
                 "Error: -rejoin takes neither -peers nor -bundle nor -force\n"),
                (["-data-dir", server.data, "-bundle", nowhere],
                 f"Error: open {nowhere}: No such file or directory\n")):
            run = muster("recover", *words)
            self.assertEqual((run.returncode, run.stderr), (1, why))
        self.starts(cluster, server)


class Archives(ClusterTest):
    def saves_through_a_link(self, server, where, saved):
        link = os.path.join(where, "link")
        os.symlink("saved", link)
        os.truncate(saved, 0)
        server.cli("snapshot", "save", link, check=0)
        self.assertEqual(os.readlink(link), "saved")
        server.cli("snapshot", "inspect", saved, check=0)
        broken = os.path.join(where, "leads-nowhere")
        os.symlink("none", broken)
        run = server.cli("snapshot", "save", broken)
        self.assertEqual((run.returncode, run.stderr),
                         (1, f"Error creating snapshot file: {broken}: a symbolic link that leads "
                             "to no file: No such file or directory\n"))

    def test_files_that_cannot_be_are_named(self):
        cluster = self.cluster(servers=1, clients=0)
        cluster.start().wait_ready()
        server = cluster.agents["s1"]
        pipe = os.path.join(cluster.dir, "pipe")
        os.mkfifo(pipe)
        for path, why in ((cluster.dir, "Is a directory"), (cluster.dir + "/", "Is a directory"),
                          (pipe, "not a regular file"),
                          (cluster.dir + "/no/where", "No such file or directory")):
            run = server.cli("snapshot", "save", path)
            self.assertEqual((run.returncode, run.stdout), (1, ""))
            self.assertRegex(run.stderr, f"^Error creating snapshot file: {re.escape(path)}.*{why}\n$")
        self.assertTrue(os.path.exists(pipe))
        self.assertEqual([n for n in os.listdir(cluster.dir) if "unverified" in n], [])
        saved = os.path.join(cluster.dir, "saved")
        server.cli("snapshot", "save", saved, check=0)
        self.assertEqual(os.stat(saved).st_mode & 0o777, 0o600)
        self.saves_through_a_link(server, cluster.dir, saved)
        with open(saved, "rb") as f:
            bytes_ = f.read()
        broken = os.path.join(cluster.dir, "broken")
        for content, why in ((bytes_[:-20], "unexpected EOF"), (b"", "unexpected EOF"),
                             (b"text", "incorrect header check"),
                             (bytes_ + b"x", "bytes behind its end")):
            with open(broken, "wb") as f:
                f.write(content)
            run = server.cli("snapshot", "inspect", broken)
            self.assertEqual((run.returncode, run.stdout), (1, ""))
            self.assertRegex(run.stderr, f"^Error reading snapshot: {re.escape(broken)}: .*{why}\n$")
            run = server.cli("snapshot", "restore", broken)
            self.assertEqual((run.returncode, run.stdout), (1, ""))
            self.assertIn(why, run.stderr)
        for verb in ("inspect", "restore"):
            run = server.cli("snapshot", verb, cluster.dir)
            self.assertEqual((run.returncode, run.stderr), (
                1, f"Error opening snapshot file: {cluster.dir}: Is a directory\n"))
        wait_for("it to answer", server.leader)


if __name__ == "__main__":
    main()
