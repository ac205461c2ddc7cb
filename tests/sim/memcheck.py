"""memcheck.py - simulators with all of their libraries, watched by valgrind: slow, but it needs no
other build, and SQLite's reads count, too."""
import os
import shutil
import subprocess
import sys
import tempfile

SHORTER = {"server": ["--until", "3"]}  # seconds of faults: it is some hundred times slower
FOUND = 9


def run(simulators, build, seeds, call):
    """True: memory was read that nobody had set, or that was not there."""
    if shutil.which("valgrind") is None:
        sys.exit("there is no valgrind")
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        for sim in simulators:
            program = os.path.join(folder, sim.name)
            # Of some compilers' debug information it dies; names are left.
            subprocess.run(["objcopy", "--strip-debug", sim.path(build), program], check=True)
            bad = [seed for seed in range(1, seeds + 1) if not is_clean(sim, program, seed, call)]
            print("%-10s %d of %d seeds are clean" % (sim.name, seeds - len(bad), seeds), flush=True)
            failed = failed or bool(bad)
    return failed


def is_clean(sim, program, seed, call):
    code, text, _ = call(["valgrind", "-q", "--error-exitcode=%d" % FOUND, program] +
                         sim.one(str(seed)) + SHORTER.get(sim.name, []), timeout=1200)
    if code != 0:
        print("FAILED %s %d: %s\n%s" % (sim.name, seed, code, text[-6000:]), flush=True)
    return code == 0
