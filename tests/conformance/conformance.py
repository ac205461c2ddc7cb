#!/usr/bin/env python3
"""conformance.py - plays recorded requests against an agent and compares the answers.

    conformance.py [--http2] HOST:PORT [FILE...]    against an agent that runs already
    conformance.py --start WAY [FILE...]            starts agents of its own; WAY is server-http1,
                                                    server-http2 or client-http1

A transcript (http/*.txt) is a list of blocks, separated by lines of ====:

    # Why this answer matters.
    PUT /v1/kv/a?flags=1
    > X-Consul-Token: anything          a header of the request
    < hello                             a line of its body
    ----
    200                                 the status
    Content-Type: application/json      a header: name with its casing, and its value
    -X-Consul-Index                     a header that must not be there

    true                                the body; a line that begins with two blanks (not more)
                                        continues the one before it, an empty line at the end is a
                                        line end

In expected values <?> is any text, <#> a number; <name=?> and <name=#> are what later requests and
answers may use as {name}. {node}, {address} and {client} are set. `wait: 300 1000` in front of the status
says within how many milliseconds the answer has to come (at least, at most); `async: NAME` starts a
request whose answer is looked at by a later block `join: NAME`.
"""

import argparse
import os
import re
import socket
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
PATIENCE = float(os.environ.get("MUSTER_TEST_PATIENCE", "30"))


class Block:
    def __init__(self, file, line):
        self.file, self.line = file, line
        self.why = []
        self.method = self.target = None
        self.headers, self.body = [], []
        self.start = self.join = self.within = None
        self.status = None
        self.wanted, self.unwanted = [], []
        self.expected = ""

    def where(self):
        return f"{self.file}:{self.line}: {' '.join(self.why) or self.target}"


def read_block(file, number, lines):
    block = Block(file, number)
    at = 0
    while at < len(lines) and lines[at] != "----":
        text = lines[at]
        if text.startswith("#"):
            block.why.append(text[1:].strip())
        elif text.startswith("> "):
            block.headers.append(tuple(text[2:].split(": ", 1)))
        elif text.startswith("<"):
            block.body.append(text[2:])
        elif text.startswith("async: "):
            block.start = text[7:]
        elif text.startswith("join: "):
            block.join = text[6:]
        elif text.strip():
            block.method, block.target = text.split(" ", 1)
        at += 1
    at += 1
    while at < len(lines) and lines[at]:
        text = lines[at]
        if text.startswith("wait: "):
            block.within = tuple(int(n) for n in text[6:].split())
        elif block.status is None:
            block.status = int(text)
        elif text.startswith("-"):
            block.unwanted.append(text[1:])
        else:
            block.wanted.append(tuple(text.split(": ", 1)) if ": " in text else (text[:-1], ""))
        at += 1
    block.expected = re.sub(r"\n  (?=[^ ])", "", "\n".join(lines[at + 1:]))
    return block


def read_file(path):
    blocks, lines, first = [], [], 1
    with open(path, encoding="utf-8") as f:
        for number, line in enumerate(f.read().split("\n"), 1):
            if line == "====":
                blocks.append(read_block(os.path.basename(path), first, lines))
                lines, first = [], number + 1
            else:
                lines.append(line)
    if any(line.strip() for line in lines):
        blocks.append(read_block(os.path.basename(path), first, lines))
    return blocks


# -- two ways to ask ---------------------------------------------------------------------------------


def parse_head(text):
    lines = text.split("\r\n")
    return int(lines[0].split(" ")[1]), [tuple(line.split(": ", 1)) for line in lines[1:] if line]


def ask_http1(host, port, method, target, headers, body):
    """A plain socket, so that the casing of names on the wire is seen."""
    head = f"{method} {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n"
    for name, value in headers:
        head += f"{name}: {value}\r\n"
    if body or method in ("PUT", "POST"):
        head += f"Content-Length: {len(body)}\r\n"
    with socket.create_connection((host, port), PATIENCE) as s:
        s.sendall(head.encode() + b"\r\n" + body)
        data = b""
        while True:
            part = s.recv(65536)
            if not part:
                break
            data += part
    if not data:
        raise AssertionError("the connection was closed without an answer")
    head, _, rest = data.partition(b"\r\n\r\n")
    status, got = parse_head(head.decode("latin-1"))
    length = [int(v) for n, v in got if n.lower() == "content-length"]
    if not length or (length[0] != len(rest) and method != "HEAD"):
        raise AssertionError(f"Content-Length {length}, body of {len(rest)} bytes")
    return status, got, rest


def ask_http2(host, port, method, target, headers, body):
    """curl with prior knowledge; names are in lower case there."""
    command = ["curl", "-s", "--http2-prior-knowledge", "--path-as-is", "-D", "/dev/stderr",
               "--max-time", str(PATIENCE)]
    command += ["--head"] if method == "HEAD" else ["-X", method]
    for name, value in headers:
        command += ["-H", f"{name}: {value}"]
    if body or method in ("PUT", "POST"):
        command += ["-H", "Content-Type: application/octet-stream", "--data-binary", "@-"]
    run = subprocess.run(command + [f"http://{host}:{port}{target}"], input=body,
                         capture_output=True, timeout=PATIENCE * 2)
    if run.returncode != 0:
        raise AssertionError(f"curl: exit {run.returncode}")
    status, got = parse_head(run.stderr.decode("latin-1"))
    return status, got, b"" if method == "HEAD" else run.stdout


# -- comparing ---------------------------------------------------------------------------------------


def pattern(text, names):
    """A regular expression for an expected value; fills in {name}."""
    out = ""
    for part in re.split(r"(<[a-z0-9_]*=?[#?]>|\{[a-z0-9_]+\})", text):
        if part == "<?>":
            out += ".*?"
        elif part == "<#>":
            out += "[0-9]+"
        elif re.fullmatch(r"<[a-z0-9_]+=#>", part):
            out += f"(?P<{part[1:-3]}>[0-9]+)"
        elif re.fullmatch(r"<[a-z0-9_]+=\?>", part):
            out += f"(?P<{part[1:-3]}>.*?)"
        elif re.fullmatch(r"\{[a-z0-9_]+\}", part) and part[1:-1] in names:
            out += re.escape(str(names[part[1:-1]]))
        else:
            out += re.escape(part)
    return out


def fill(text, names):
    return re.sub(r"\{([a-z0-9_]+)\}",
                  lambda m: str(names.get(m.group(1), m.group(0))), text)


class Player:
    def __init__(self, host, port, names, http2):
        self.host, self.port, self.names = host, port, names
        self.ask = ask_http2 if http2 else ask_http1
        self.fold = http2
        self.running = {}
        self.played, self.failures = 0, []

    def request(self, block):
        began = time.monotonic()
        try:
            answer = self.ask(self.host, self.port, block.method, fill(block.target, self.names),
                              [(n, fill(v, self.names)) for n, v in block.headers],
                              fill("\n".join(block.body), self.names).encode())
        except (OSError, AssertionError, subprocess.SubprocessError) as error:
            answer = error
        return answer, (time.monotonic() - began) * 1000

    def start(self, block):
        slot = {}
        thread = threading.Thread(target=lambda: slot.update(answer=self.request(block)))
        self.running[block.start] = (thread, slot)
        thread.start()

    def compare(self, block, answer, ms):
        if isinstance(answer, Exception):
            return f"no answer: {answer}"
        status, headers, body = answer
        wrong = []
        if status != block.status:
            wrong.append(f"status {status}, expected {block.status}")
        names = [n.lower() if self.fold else n for n, _ in headers]
        for name, value in block.wanted:
            name = name.lower() if self.fold else name
            got = [v for (_, v), n in zip(headers, names) if n == name]
            found = re.fullmatch(pattern(value, self.names), got[0]) if got else None
            if not found:
                wrong.append(f"header {name}: {got}, expected {value!r}")
            else:
                self.names.update(found.groupdict())
        for name in block.unwanted:
            if name.lower() in [n.lower() for n in names]:
                wrong.append(f"header {name} is there")
        text = body.decode("utf-8", "backslashreplace")
        found = re.fullmatch(pattern(block.expected, self.names), text, re.DOTALL)
        if not found:
            wrong.append(f"body {text!r}\n      expected {fill(block.expected, self.names)!r}")
        else:
            self.names.update(found.groupdict())
        if block.within and not block.within[0] <= ms <= block.within[1]:
            wrong.append(f"took {ms:.1f} ms, expected {block.within[0]} to {block.within[1]}")
        return "\n    ".join(wrong)

    def play(self, block):
        if block.start:
            self.start(block)
            return
        if block.join:
            thread, slot = self.running.pop(block.join)
            thread.join()
            answer, ms = slot["answer"]
        else:
            answer, ms = self.request(block)
        self.played += 1
        wrong = self.compare(block, answer, ms)
        if wrong:
            self.failures.append(f"{block.where()}\n    {wrong}")

    def finish(self):
        for thread, _ in self.running.values():
            thread.join()


def play_files(host, port, names, http2, files):
    player = Player(host, port, names, http2)
    for file in files:
        for block in read_file(file):
            player.play(block)
    player.finish()
    for failure in player.failures:
        print(f"FAILED {failure}")
    print(f"{player.played} requests, {len(player.failures)} failed")
    return not player.failures and player.played > 0


def start_and_play(way, files):
    sys.path.insert(0, os.path.join(HERE, "..", "integration"))
    from cluster import Cluster, wait_for  # pylint: disable=import-outside-toplevel

    cluster = Cluster()
    try:
        cluster.make(servers=1, clients=1)
        cluster.start().wait_ready()
        asked = cluster.agents["k1" if way.startswith("client") else "s1"]
        for agent in cluster.agents.values():  # what the transcripts take for granted
            wait_for("serfHealth of each", lambda a=agent: a.get(
                f"/v1/health/node/{a.name}").json()[0]["Status"] == "passing")
            wait_for("each to have synced its node", lambda a=agent: a.get(
                f"/v1/catalog/node/{a.name}").json()["Node"]["Meta"])
        names = {"node": asked.name, "address": asked.address,
                 "server": cluster.agents["s1"].address, "client": cluster.agents["k1"].address}
        ok = play_files(asked.address, 8500, names, way.endswith("http2"), files)
        if not ok:
            print(asked.log_text()[-4000:])
        return ok
    finally:
        cluster.close()


def main():
    parser = argparse.ArgumentParser(description="play recorded HTTP requests")
    parser.add_argument("--http2", action="store_true")
    parser.add_argument("--start", choices=["server-http1", "server-http2", "client-http1"])
    parser.add_argument("words", nargs="*")
    args = parser.parse_args()
    words = args.words
    where = None if args.start else words.pop(0)
    files = words or sorted(os.path.join(HERE, "http", f)
                            for f in os.listdir(os.path.join(HERE, "http")) if f.endswith(".txt"))
    if args.start:
        ok = start_and_play(args.start, files)
    else:
        host, _, port = where.rpartition(":")
        ok = play_files(host, int(port), {"node": "<?>"}, args.http2, files)
    sys.exit(0 if ok else 1)


main()
