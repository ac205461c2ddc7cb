"""small_disk.py - file systems of a few megabytes for the integration tests.

Mounts live in a mount namespace of the test's own: nothing of them is left when it ends, however it
ends. Where the user may not make one, a user namespace is made around it.
"""

import os
import subprocess
import sys

INSIDE = "MUSTER_TEST_MOUNTS"


def in_own_namespace():
    """Call first: starts this program again inside of a mount namespace, unless it is in one."""
    if os.environ.get(INSIDE):
        return
    ways = [["unshare", "--mount"], ["unshare", "--user", "--map-root-user", "--mount"]]
    for way in ways:
        if subprocess.run([*way, "true"], capture_output=True).returncode == 0:
            os.environ[INSIDE] = "yes"
            os.execvp(way[0], [*way, sys.executable, *sys.argv])
    sys.exit("this test mounts small file systems, and may not: run it as root or allow user "
             "namespaces")


def mount_tmpfs(path, size):
    os.makedirs(path, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", path], check=True)


def remount(path, options):
    subprocess.run(["mount", "-o", f"remount,{options}", path], check=True)


def unmount(path):
    subprocess.run(["umount", "--lazy", path], check=True)


def free_bytes(path):
    st = os.statvfs(path)
    return st.f_bavail * st.f_frsize
