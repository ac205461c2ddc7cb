"""own_network.py - a network of the test's own: addresses, multicast, wires that can be cut.

Lives in a network namespace of the test's own: nothing of it is left when it ends, however it ends.
Where the user may not make one, a user namespace is made around it.
"""

import os
import subprocess
import sys

INSIDE = "MUSTER_TEST_NETWORK"


def in_own_namespace():
    """Call first: starts this program again inside of a network namespace, unless it is in one."""
    if os.environ.get(INSIDE):
        return
    ways = [["unshare", "--net"], ["unshare", "--user", "--map-root-user", "--net"]]
    for way in ways:
        if subprocess.run([*way, "true"], capture_output=True).returncode == 0:
            os.environ[INSIDE] = "yes"
            os.execvp(way[0], [*way, sys.executable, *sys.argv])
    sys.exit("this test makes a network of its own, and may not: run it as root or allow user "
             "namespaces")


def ip(*words):
    run = subprocess.run(["ip", *words], capture_output=True, text=True)
    if run.returncode != 0:
        raise AssertionError(f"ip {' '.join(words)}: {run.stderr.strip()}")


def make_link(*addresses):
    """Loopback, and one interface, lan0, with these addresses ("10.77.0.1/24")."""
    ip("link", "set", "lo", "up")
    ip("link", "add", "lan0", "type", "veth", "peer", "name", "far0")
    ip("link", "set", "far0", "up")
    ip("link", "set", "lan0", "up")
    for address in addresses:
        words = ["nodad"] if ":" in address else []
        ip("address", "add", address, "dev", "lan0", *words)


def drop_link():
    subprocess.run(["ip", "link", "delete", "lan0"], capture_output=True)
