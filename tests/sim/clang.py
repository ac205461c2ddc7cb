"""clang.py - what another compiler makes of the simulators, and what it can show of memory.

A run that is decided by its seed is the same whoever compiled it; where it is not, the program has
left something open: the order in which arguments are evaluated, a value that nobody set.
"""
import os
import re
import subprocess


def build(top, name, targets, *settings):
    """Returns the folder."""
    folder = os.path.join(top, "build", name)
    subprocess.run(["cmake", "-S", top, "-B", folder, "-G", "Ninja", "-DCMAKE_C_COMPILER=clang",
                    "-DCMAKE_BUILD_TYPE=RelWithDebInfo", "-DMUSTER_TESTS=ON", "-DMUSTER_WERROR=OFF",
                    *settings], stdout=subprocess.DEVNULL, check=True)
    subprocess.run(["cmake", "--build", folder, "--target", *targets], stdout=subprocess.DEVNULL,
                   check=True)
    return folder


def hash_of(text):
    """Of all that happened in a run; None: it failed."""
    found = re.search(r"hash ([0-9a-f]{16})", text)
    return found and found.group(1)


def compare(simulators, folders, seeds, call):
    """True: a run is not the same in both folders, or failed."""
    failed = False
    for sim in simulators:
        bad = 0
        for seed in range(1, seeds + 1):
            hashes = [hash_of(call([sim.path(f)] + sim.one(str(seed)), timeout=600)[1])
                      for f in folders]
            if hashes[0] is None or hashes[0] != hashes[1]:
                print("FAILED %s %d: %s, %s" % (sim.name, seed, *hashes), flush=True)
                bad += 1
        print("%-10s %d of %d seeds are the same run" % (sim.name, seeds - bad, seeds), flush=True)
        failed = failed or bad > 0
    return failed


def memory(top, seeds, call):
    """True: the consensus core read what nobody had set. Its simulator alone has no libraries, which
    would have to be compiled so, too."""
    folder = build(top, "memory", ["sim_consensus"], "-DMUSTER_SANITIZE=memory")
    path = os.path.join(folder, "tests", "sim", "consensus", "sim_consensus")
    code, text, _ = call([path, "--seeds", str(seeds), "--fresh", "0"])
    print(text.strip()[-12000:], flush=True)
    return code != 0
