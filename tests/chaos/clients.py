"""clients.py - clients that write and read through HTTP all the while, and what they saw.

Every value is written once in the life of a history, so that it says who wrote it. An operation is
recorded before its request is sent. What surely had no effect is taken back; any other answer but
the expected ones leaves the outcome open.
"""

import base64
import http.client
import json
import random
import threading
import time

KEYS = 6           # live at a time
KEY_OPS = 200      # then the key gets a new name: short histories are decided fast
LOCKS = 3
PATIENCE_S = 6.0   # of a client; behind it the outcome is open
PAUSE_S = 0.002    # between two operations: more clients, not a busier machine, make the races

PAD = "~"          # behind a value, and not part of it
PAD_MAX = 16384

NEVER_HAPPENED = ("No cluster leader",)


class History:
    """The file of events (tests/lib/history.h)."""

    def __init__(self, path):
        self.file = open(path, "w")
        self.lock = threading.Lock()
        self.count = 0
        self.done = 0
        self.open = 0
        self.keys = {}      # every name a key ever had -> operations
        self.generation = {}

    def key(self, noun, number):
        with self.lock:
            slot = f"{noun}{number}"
            name = f"{slot}.{self.generation.get(slot, 0)}"
            self.keys[name] = self.keys.get(name, 0) + 1
            if self.keys[name] >= KEY_OPS:
                self.generation[slot] = self.generation.get(slot, 0) + 1
            return name

    def call(self, kind, key, words, since_ns=None):
        """since_ns: it may have begun as early as then."""
        with self.lock:
            self.count += 1
            number = self.count
            began = time.monotonic_ns() if since_ns is None else since_ns
            self.file.write(f"call {number} {began} {kind} {key}{words}\n")
            return number

    def end(self, number, event, words=""):
        now = time.monotonic_ns()
        with self.lock:
            self.file.write(f"{event} {number} {now}{words}\n")
            self.done += event in ("done", "refused")
            self.open += event == "unknown"

    def opened(self, when_ns, kind, key, words):
        """Something that may happen at any time from then on, or never."""
        with self.lock:
            self.count += 1
            self.file.write(f"call {self.count} {when_ns} {kind} {key}{words}\n")

    def fresh_value(self, client):
        with self.lock:
            self.count += 1
            return f"v{self.count}.{client}"

    def close(self):
        self.file.close()


class Lost(Exception):
    """No answer; `sent` says whether the request may have arrived."""

    def __init__(self, sent):
        super().__init__("lost")
        self.sent = sent


class Connection:
    """Keep-alive to one server; a new one after each trouble."""

    def __init__(self, address, patience=PATIENCE_S):
        self.address = address
        self.patience = patience
        self.http = None

    def request(self, method, path, body=None):
        if self.http is None:
            http_new = http.client.HTTPConnection(self.address, 8500, timeout=self.patience)
            try:
                http_new.connect()
            except OSError:
                http_new.close()
                raise Lost(sent=False) from None
            self.http = http_new
        try:
            self.http.request(method, path, body=body)
            answer = self.http.getresponse()
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException):
            self.close()
            raise Lost(sent=True) from None

    def close(self):
        if self.http is not None:
            self.http.close()
            self.http = None


class Session:
    def __init__(self, id):
        self.id = id
        self.alive_ns = time.monotonic_ns()  # it surely existed then
        self.keys = set()


class Client(threading.Thread):
    def __init__(self, number, lab, history, seed, nodes_leave=False):
        super().__init__(name=f"client{number}", daemon=True)
        self.number = number
        self.history = history
        self.random = random.Random(seed * 1000 + number)
        self.connections = [Connection(s.address) for s in lab.servers]
        self.at = self.random.choice(self.connections)
        self.seen = {}     # key -> (value or None, ModifyIndex) as last read
        self.session = None
        self.nodes_leave = nodes_leave
        self.last_done = time.monotonic()
        self.is_ending = False
        self.failure = None

    # -- one operation ---------------------------------------------------------------------------

    def ask(self, method, path, body=None):
        return self.at.request(method, path, body)

    def record(self, kind, key, words, method, path, body, conclude):
        """Do it, and say how it ended: conclude(status, body) gives (event, words) or None (open).
        """
        number = self.history.call(kind, key, words)
        try:
            status, answer = self.ask(method, path, body)
        except Lost as lost:
            self.history.end(number, "unknown" if lost.sent else "drop")
            self.at = self.random.choice(self.connections)
            return None
        ended = conclude(status, answer)
        if ended is None and any(text in answer.decode() for text in NEVER_HAPPENED):
            self.history.end(number, "drop")
        elif ended is None:
            self.history.end(number, "unknown")
        else:
            self.history.end(number, *ended)
            self.last_done = time.monotonic()
        if ended is None or self.random.random() < 0.05:
            self.at = self.random.choice(self.connections)
        return ended

    @staticmethod
    def said(status, answer):
        if status == 200 and answer in (b"true", b"false"):
            return ("done",) if answer == b"true" else ("refused",)
        return None

    def get(self, key, mode=""):
        def conclude(status, answer):
            if status == 404:
                self.seen[key] = (None, 0)
                return "done", ""
            if status != 200:
                return None
            pair = json.loads(answer)[0]
            value = base64.b64decode(pair["Value"] or "").decode().rstrip(PAD)
            self.seen[key] = (value, pair["ModifyIndex"])
            holder = f" session={pair['Session']}" if pair.get("Session") else ""
            return "done", f" value={value}{holder} modified={pair['ModifyIndex']}"

        return self.record("get", key, " stale" if mode == "?stale" else "", "GET",
                           f"/v1/kv/{key}{mode}", None, conclude)

    def body(self, value):
        """Some are large, so that logs and disks fill up."""
        return value + PAD * (self.random.randrange(PAD_MAX) if self.random.random() < 0.2 else 0)

    def put(self, key):
        value = self.history.fresh_value(self.number)
        return self.record("put", key, f" value={value}", "PUT", f"/v1/kv/{key}", self.body(value),
                           self.said)

    def cas(self, key):
        value = self.history.fresh_value(self.number)
        expected, index = self.seen.get(key, (None, 0))
        words = f" value={value}" + (f" expected={expected}" if expected else "")
        return self.record("cas", key, words, "PUT", f"/v1/kv/{key}?cas={index}", self.body(value),
                           self.said)

    def delete(self, key):
        return self.record("delete", key, "", "DELETE", f"/v1/kv/{key}", None, self.said)

    def delete_cas(self, key):
        expected, index = self.seen.get(key, (None, 0))
        if expected is None:
            return self.get(key)
        return self.record("delete-cas", key, f" expected={expected}", "DELETE",
                           f"/v1/kv/{key}?cas={index}", None, self.said)

    # -- locks -----------------------------------------------------------------------------------

    def session_open(self):
        try:
            # No checks: it ends when it is destroyed, not with the server it was made at.
            status, answer = self.ask("PUT", "/v1/session/create", json.dumps(
                {"LockDelay": "0s", "Behavior": "release", "Checks": [], "NodeChecks": []}))
        except Lost:
            self.at = self.random.choice(self.connections)
            return
        if status == 200:
            self.session = Session(json.loads(answer)["ID"])

    def session_is_there(self):
        """True: surely, seen at a moment behind this call's begin."""
        began = time.monotonic_ns()
        try:
            status, answer = self.ask("GET", f"/v1/session/info/{self.session.id}?consistent")
        except Lost:
            self.at = self.random.choice(self.connections)
            return None
        if status != 200:
            return None
        if json.loads(answer):
            self.session.alive_ns = began
            return True
        return False

    def session_end(self):
        """It may have ended since it was last seen, on every key it was used with."""
        for key in self.session.keys:
            self.history.opened(self.session.alive_ns, "expire", key, f" session={self.session.id}")
        self.session = None

    def session_destroy(self):
        # A server that leaves takes the sessions of its node with it: then it may be gone already.
        since_ns = self.session.alive_ns if self.nodes_leave else None
        calls = [self.history.call("expire", key, f" session={self.session.id}", since_ns)
                 for key in self.session.keys]
        try:
            ended = self.said(*self.ask("PUT", f"/v1/session/destroy/{self.session.id}"))
        except Lost:
            ended = None
        for call in calls:
            self.history.end(call, "done" if ended == ("done",) else "unknown")
        self.session = None

    def lock(self, verb):
        key = self.history.key("lock", self.random.randrange(LOCKS))
        value = self.history.fresh_value(self.number)
        self.session.keys.add(key)
        ended = self.record(verb, key, f" value={value} session={self.session.id}", "PUT",
                            f"/v1/kv/{key}?{verb}={self.session.id}", value, self.said)
        if ended is None and self.session_is_there() is False:
            self.session_end()

    def lock_step(self):
        if self.session is None:
            self.session_open()
        elif self.random.random() < 0.03:
            self.session_destroy()
        elif self.random.random() < 0.2:
            self.get(self.history.key("lock", self.random.randrange(LOCKS)))
        else:
            self.lock(self.random.choice(("acquire", "release")))

    # -- life ------------------------------------------------------------------------------------

    def register_step(self):
        key = self.history.key("reg", self.random.randrange(KEYS))
        dice = self.random.random()
        if dice < 0.30:
            self.get(key)
        elif dice < 0.35:
            self.get(key, "?consistent")
        elif dice < 0.42:
            self.get(key, "?stale")
        elif dice < 0.65:
            self.put(key)
        elif dice < 0.92:
            self.cas(key)
        elif dice < 0.96:
            self.delete_cas(key)
        else:
            self.delete(key)

    def run(self):
        try:
            while not self.is_ending:
                if self.random.random() < 0.3:
                    self.lock_step()
                else:
                    self.register_step()
                time.sleep(self.random.random() * PAUSE_S * 2)
            if self.session is not None and self.session_is_there() is not True:
                self.session_end()
        except Exception as error:  # an answer nobody foresaw: the run fails with it
            self.failure = error
        finally:
            for connection in self.connections:
                connection.close()
