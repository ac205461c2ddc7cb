"""serf_port.py - a client of Serf's control port, which muster and serf both serve."""

import socket
import struct


def encode(value):
    """MessagePack of what requests are made of."""
    if value is None:
        return b"\xc0"
    if isinstance(value, bool):
        return b"\xc3" if value else b"\xc2"
    if isinstance(value, int):
        return bytes([value]) if value < 128 else b"\xcf" + struct.pack(">Q", value)
    if isinstance(value, str):
        data = value.encode()
        return b"\xda" + struct.pack(">H", len(data)) + data
    if isinstance(value, bytes):
        return b"\xc5" + struct.pack(">H", len(value)) + value
    if isinstance(value, list):
        return b"\xdc" + struct.pack(">H", len(value)) + b"".join(map(encode, value))
    return (b"\xde" + struct.pack(">H", len(value))
            + b"".join(encode(k) + encode(v) for k, v in value.items()))


class Short(Exception):
    """The object is not all there yet."""


def decode(data, at=0):
    """One object and where the next begins."""
    def take(count):
        nonlocal at
        if at + count > len(data):
            raise Short
        at += count
        return data[at - count:at]

    def many(count):
        nonlocal at
        items = []
        for _ in range(count):
            item, at = decode(data, at)
            items.append(item)
        return items

    def sized(format_):
        return struct.unpack(format_, take(struct.calcsize(format_)))[0]

    head = take(1)[0]
    if head < 0x80:
        return head, at
    if head >= 0xe0:
        return head - 256, at
    if head < 0x90 or head in (0xde, 0xdf):
        count = head & 15 if head < 0x90 else sized(">H" if head == 0xde else ">I")
        items = many(2 * count)
        return dict(zip(items[::2], items[1::2])), at
    if head < 0xa0 or head in (0xdc, 0xdd):
        count = head & 15 if head < 0xa0 else sized(">H" if head == 0xdc else ">I")
        return many(count), at
    if head < 0xc0:
        return take(head & 31).decode("utf-8", "replace"), at
    if head in (0xc0, 0xc2, 0xc3):
        return {0xc0: None, 0xc2: False, 0xc3: True}[head], at
    if 0xc4 <= head <= 0xc6:
        return bytes(take(sized(">" + "BHI"[head - 0xc4]))), at
    if 0xca <= head <= 0xd3:
        return sized(">" + "fdBHIQbhiq"[head - 0xca]), at
    if 0xd9 <= head <= 0xdb:
        return take(sized(">" + "BHI"[head - 0xd9])).decode("utf-8", "replace"), at
    raise ValueError(f"the server sent the MessagePack type {head:#x}")


class Port:
    """One connection, past its handshake."""

    def __init__(self, address, port, seconds=10):
        self.socket = socket.create_connection((address, port), seconds)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.seen = b""
        self.seq = 0
        self.ask("handshake", {"Version": 1})

    def send(self, command, body=None):
        self.seq += 1
        out = encode({"Command": command, "Seq": self.seq})
        self.socket.sendall(out + (encode(body) if body is not None else b""))

    def take(self):
        while True:
            try:
                value, at = decode(self.seen)
                self.seen = self.seen[at:]
                return value
            except Short:
                more = self.socket.recv(65536)
                if not more:
                    raise ConnectionError("the agent closed its control port") from None
                self.seen += more

    def ask(self, command, body=None, answers=False):
        self.send(command, body)
        head = self.take()
        value = self.take() if answers else None
        if head["Error"]:
            raise ValueError(f"{command}: {head['Error']}")
        return value

    def status(self, name):
        """How this agent sees one member; None: not at all."""
        members = self.ask("members-filtered", {"Name": name, "Status": "", "Tags": {}}, True)
        found = [m["Status"] for m in members["Members"] or [] if m["Name"] == name]
        return found[0] if found else None

    def alive(self):
        """How many; asked for as figures, lists of all from all would take longer than the rest."""
        found = self.ask("stats", None, True)["serf"]
        return int(found["members"]) - int(found["failed"]) - int(found["left"])

    def close(self):
        self.socket.close()
