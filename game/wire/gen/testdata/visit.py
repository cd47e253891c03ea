"""Two people meet, as docs/protocol/game.md has it: one comes over TCP, one over WebSocket. Usage: visit.py TCP_PORT HTTP_PORT"""
import base64
import os
import socket
import struct
import sys

from client import MAGIC, decode, encode, put_varint, reliable, varint

HELLO, SIGN_IN, CALL, JOIN, LEAVE, SAY, MOVE, MOVES, PING, PONG = 1, 2, 7, 8, 9, 10, 16, 32, 4, 5
WELCOME, CLOSING, ANSWER, REFUSED, ENTERED, APPEARED, SAID = 64, 65, 68, 69, 70, 71, 76


def text(value):
    return value.encode().hex()


class Client:
    def __init__(self, port, websocket):
        self.port, self.websocket = port, websocket
        self.seq = self.received = 0
        self.sent = []

    def connect(self):
        self.sock = socket.create_connection(("127.0.0.1", self.port), timeout=20)
        self.buffer, self.frames = b"", b""
        if self.websocket:
            key = base64.b64encode(os.urandom(16)).decode()
            self.sock.sendall(
                f"GET /v1/socket HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode()
            )
            while b"\r\n\r\n" not in self.buffer:
                self.read()
            head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
            assert head.startswith(b"HTTP/1.1 101"), head

    def read(self):
        piece = self.sock.recv(4096)
        if not piece:
            raise EOFError("the connection has ended")
        self.buffer += piece

    def need(self, n):
        while len(self.buffer) < n:
            self.read()

    def write(self, b):
        if self.websocket:
            mask = os.urandom(4)
            assert len(b) < 126
            b = bytes([0x82, 0x80 | len(b)]) + mask + bytes(c ^ mask[i % 4] for i, c in enumerate(b))
        self.sock.sendall(b)

    def message(self):
        """More bytes of the stream of frames."""
        if not self.websocket:
            if not self.buffer:
                self.read()
            self.frames, self.buffer = self.frames + self.buffer, b""
            return
        self.need(2)
        size, at = self.buffer[1], 2
        if size == 126:
            self.need(4)
            size, at = struct.unpack(">H", self.buffer[2:4])[0], 4
        self.need(at + size)
        if self.buffer[0] == 0x82:
            self.frames += self.buffer[at : at + size]
        self.buffer = self.buffer[at + size :]

    def send(self, command, value, magic=b""):
        seq = 0
        if reliable(command):
            self.seq += 1
            seq = self.seq
        b = encode(command, seq, value)
        if seq:
            self.sent.append((seq, b))
        self.write(magic + b)

    def whole(self):
        """How long the first frame is, if all of it came; else 0."""
        try:
            length, at = varint(self.frames, 0)
        except IndexError:
            return 0
        return at + length if len(self.frames) >= at + length else 0

    def next(self):
        """The next frame that is not one of those that keep the connection."""
        while True:
            while not (size := self.whole()):
                self.message()
            b, self.frames = self.frames[:size], self.frames[size:]
            command, seq, value = decode(b)
            if seq:
                if seq <= self.received:
                    continue
                assert seq == self.received + 1, "a reliable frame is missing"
                self.received = seq
            if command == PING:
                self.write(put_varint(9) + bytes([PONG]) + b[-8:])
                continue
            return command, value

    def until(self, command, ok=lambda value: True):
        while True:
            got, value = self.next()
            assert got not in (CLOSING, REFUSED), value
            if got == command and ok(value):
                return value

    def enter(self, token):
        self.connect()
        self.send(HELLO, [[1, 1]] + ([[3, text(token)]] if token else []), MAGIC)
        if not token:
            self.send(SIGN_IN, [[1, ""]])
        self.welcome = dict(self.until(WELCOME))
        self.send(JOIN, [[1, text("plaza")], [3, text("visitor")]])
        entered = dict(self.until(ENTERED))
        self.avatar = entered[3]

    def resume(self, token):
        self.sock.close()
        self.connect()
        self.send(HELLO, [[1, 1], [3, text(token)], [4, self.welcome[3]], [5, self.received]], MAGIC)
        welcome = dict(self.until(WELCOME))
        assert welcome.get(4) == 1, "it was not resumed"
        return welcome.get(5, 0)


a, b = Client(int(sys.argv[1]), False), Client(int(sys.argv[2]), True)
a.enter("TOKEN")
b.enter("")
assert b.welcome[13] and b.welcome[15], "sign_in of a new guest brings a token and a secret"
a.until(APPEARED)

a.send(MOVE, [{"x": 300, "y": 200, "facing": 64, "gait": 1, "step": 1}])
pose = {"avatar": a.avatar, "x": 300, "y": 200, "facing": 64, "gait": 1, "step": 1}
for c in (a, b):  # the mover too
    c.until(MOVES, lambda rows: pose in rows)

b.send(SAY, [[1, text("広場 hi")]])
for c in (a, b):
    c.until(SAID, lambda m: dict(m)[4] == text("広場 hi") and dict(m)[1] == b.avatar)

a.send(SAY, [[1, text("one")]])
b.until(SAID, lambda m: dict(m)[4] == text("one"))
got = a.resume("TOKEN")
assert got == a.seq, "the server has what it told the other one"
for seq, frame in a.sent:  # all of it again: duplicates are dropped
    a.write(frame)
a.send(SAY, [[1, text("two")]])
said = [bytes.fromhex(dict(b.until(SAID))[4]).decode()]
assert said == ["two"], said

a.send(CALL, [[1, 5], [2, text("areas.list")]])
answer = dict(a.until(ANSWER, lambda m: dict(m)[1] == 5))
assert 3 not in answer and answer[2], answer
a.send(LEAVE, [])
b.until(72)  # gone
print("met")
