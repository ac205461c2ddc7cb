"""coverage.py - what the simulators reach of consensus/, and what they do not (tests/sim/run --coverage).

Counted are the lines and branches of the files that simulated servers run, compiled without optimisation. Not
counted are, by the text of the source: what only a failed assertion reaches, of a switch the arm that is one, and of
a switch without `default` the branch of a value that its enumeration does not have (-Wswitch-enum lists all others).
Whatever else was never reached is listed, in ranges.
"""
import json
import os
import re
import subprocess

# Files by part. Each .c of consensus/ is in here or in ELSEWHERE, or the run fails.
PARTS = {
    "core": "append bootstrap bootstrap_record change commit compact config election install lease log options "
            "progress propose read replicate snapshot status step sums trace transfer write",
    "server": "node node_apply node_bootstrap node_effects node_inbox node_snapshot node_store pool tickets "
              "transport transport_body",
    "log": "ballast journal journal_bridge journal_files journal_open journal_read journal_scan log_thread meta "
           "record scrub segment store store_segment",
}
# What simulated servers do not run, and what does.
ELSEWHERE = {
    "disk_posix": "system calls; the simulators put their own disk in its place: unit tests, real processes",
    "driver_uv": "the loop of libuv: unit tests, real processes",
    "recover": "the command of an operator at a stopped server: unit and integration tests",
    "store_sqlite": "the second opinion of the tests about the store, not in the daemon",
}
# Functions of the files above that only real threads run.
THREADS = {"log_thread": "after_ms mail_wait log_thread thread_now_ns thread_start thread_mail thread_join".split()}

# spec/consensus.md 4.5, in percent
LINES_GOAL, BRANCHES_GOAL = 95, 90

ASSERTION = re.compile(r"\bMU_(ASSERT|UNREACHABLE_CODE)\(")


def asserting_lines(text):
    """Numbers of the lines that belong to an assertion, which may be of several."""
    lines, open_count = set(), 0
    for number, line in enumerate(text, 1):
        found = ASSERTION.search(line)
        if open_count > 0 or found:
            part = line if open_count > 0 else line[found.start():]
            open_count += part.count("(") - part.count(")")
            lines.add(number)
    return lines


def complete_switches(text):
    """Numbers of lines with a switch that has no `default`."""
    lines = set()
    for at, line in enumerate(text):
        if not re.match(r"\s*switch \(", line):
            continue
        indent = len(line) - len(line.lstrip())
        body = []
        for below in text[at + 1:]:
            if below.startswith(" " * indent + "}"):
                break
            body.append(below)
        if not any(re.match(r" {%d}default:" % indent, b) for b in body):
            lines.add(at + 1)
    return lines


def dead_arms(text):
    """What only asserts, as an arm of a switch: numbers of its labels, and of the switches that have such an arm."""
    labels, switches = set(), set()
    for at, line in enumerate(text):
        if not re.search(r"^\s*case \w+: MU_UNREACHABLE_CODE\(", line):
            continue
        above = at - 1
        while re.match(r"\s*case \w+:$", text[above]):
            labels.add(above + 1)
            above -= 1
        indent = len(line) - len(line.lstrip())
        while not re.match(r" {%d}switch \(" % indent, text[above]):
            above -= 1
        switches.add(above + 1)
    return labels, switches


class File:
    """What was reached of one."""

    def __init__(self, top, build, name, skipped=()):
        self.name = name + ".c"
        with open(os.path.join(top, "consensus", self.name)) as f:
            self.text = f.read().split("\n")
        self.lines, self.branches = {}, {}
        self.skipped = set(skipped)
        objects = os.path.join(build, "consensus", "CMakeFiles", "muster_consensus.dir")
        done = subprocess.run(["gcov", "--json-format", "--branch-probabilities", "--stdout", "-o", objects,
                               os.path.join(objects, self.name + ".gcda")],
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True)
        for f in json.loads(done.stdout.splitlines()[0])["files"]:
            if f["file"].endswith("/" + self.name):
                self.read(f["lines"])

    def read(self, lines):
        asserting, complete = asserting_lines(self.text), complete_switches(self.text)
        labels, switches = dead_arms(self.text)
        for line in lines:
            number = line["line_number"]
            if line.get("function_name") in self.skipped or "MU_UNREACHABLE_CODE" in self.text[number - 1]:
                continue
            if number in labels:
                continue
            self.lines[number] = max(self.lines.get(number, 0), line["count"])
            taken = [b["count"] for b in line["branches"]]
            if number in asserting:
                continue
            taken = taken[:-1] if number in complete else taken
            if number in switches and 0 in taken:
                taken.remove(0)  # who had gone there would have died
            for i, count in enumerate(taken):
                self.branches[number, i] = max(self.branches.get((number, i), 0), count)

    def missed(self):
        return sorted(n for n, count in self.lines.items() if count == 0)

    def untaken(self):
        return sorted(at for at, count in self.branches.items() if count == 0)

    def counts(self):
        return len(self.lines), len(self.missed()), len(self.branches), len(self.untaken())

    def print_rest(self):
        """Ranges of lines never run; then, of lines that were, each branch never taken."""
        missed, known = self.missed(), sorted(self.lines)
        start = None
        for n in known + [None]:
            if n in missed:
                start, last = start or n, n
            elif start is not None:
                span = "%d" % start if start == last else "%d-%d" % (start, last)
                print("  %s:%s not run: %s" % (self.name, span, self.text[start - 1].strip()))
                start = None
        for n in known:
            of = [i for at, i in self.untaken() if at == n]
            if of and n not in missed:
                total = sum(at == n for at, _ in self.branches)
                print("  %s:%d branch %s of %d: %s" % (self.name, n, ", ".join(str(i + 1) for i in of), total,
                                                       self.text[n - 1].strip()))


def percent(of, without):
    return 100 - 100 * without / of if of else 100


def row(name, counts):
    lines, missed, branches, untaken = counts
    return "%-22s %5.1f %% of %4d lines, %5.1f %% of %4d branches" % (
        name, percent(lines, missed), lines, percent(branches, untaken), branches)


def check_places(top):
    """Before anything is built: each file has its place."""
    all_names = {n[:-2] for n in os.listdir(os.path.join(top, "consensus")) if n.endswith(".c")}
    placed = set(" ".join(PARTS.values()).split()) | set(ELSEWHERE)
    if placed != all_names:
        raise SystemExit("coverage.py does not know what to make of: %s" % " ".join(sorted(all_names ^ placed)))


def files_of(top, build):
    return {part: [File(top, build, n, THREADS.get(n, ())) for n in names.split()]
            for part, names in PARTS.items()}


def total(files):
    return tuple(sum(column) for column in zip(*(f.counts() for f in files)))


def print_totals(top, build, what):
    """One line for each part. What the whole is: (percent of lines, percent of branches)."""
    files = files_of(top, build)
    everything = total([f for group in files.values() for f in group])
    print("%s:" % what)
    for part, group in files.items():
        print("  " + row(part, total(group)))
    print("  " + row("consensus/", everything), flush=True)
    return percent(*everything[:2]), percent(*everything[2:])


def print_tested(top, build):
    """File by file, all that ships, its threads too, after the unit tests. (percent of lines, percent of branches)."""
    names = sorted(set(" ".join(PARTS.values()).split()) | set(ELSEWHERE) - {"store_sqlite"})
    files = [File(top, build, n) for n in names]
    print("with the unit tests, all that ships:")
    for f in files:
        print("  " + row(f.name, f.counts()))
    everything = total(files)
    print("  " + row("consensus/", everything), flush=True)
    return percent(*everything[:2]), percent(*everything[2:])


def print_report(top, build):
    """The table, file by file, what is left out, and all that was not reached."""
    files = files_of(top, build)
    for part, group in files.items():
        print("-- %s" % part)
        for f in group:
            print(row(f.name, f.counts()))
    print("-- not run by simulated servers")
    for name, why in sorted(ELSEWHERE.items()):
        print("%-22s %s" % (name + ".c", why))
    for name, functions in THREADS.items():
        print("%-22s %s: only real threads" % (name + ".c", ", ".join(functions)))
    print("-- never reached")
    for group in files.values():
        for f in group:
            f.print_rest()
