"""A reader and writer of the game protocol, made from docs/protocol/game.md alone.

Reads the examples out of that page, decodes each, encodes it again, and writes what it found as JSON lines.
"""
import json
import re
import struct
import sys

MAGIC = bytes([0x4B, 0x4D, 0x44, 0x31])
FIXED = {  # command: name and struct format of each field
    16: [("x", "H"), ("y", "H"), ("facing", "B"), ("gait", "B"), ("step", "H")],
    17: [("facing", "B"), ("gait", "B"), ("step", "H"), ("zero", "I")],
    18: [("emote", "H"), ("step", "H"), ("argument", "I")],
    32: [("avatar", "I"), ("x", "H"), ("y", "H"), ("facing", "B"), ("gait", "B"), ("step", "H")],
    4: [("mark", "Q")],
}


def reliable(command):
    return 7 <= command <= 15 or 68 <= command <= 511


def varint(b, at):
    value = shift = 0
    while True:
        value |= (b[at] & 0x7F) << shift
        shift += 7
        at += 1
        if b[at - 1] < 0x80:
            return value, at


def put_varint(value):
    out = b""
    while value >= 0x80:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def fields(b):
    out, at = [], 0
    while at < len(b):
        tag, at = varint(b, at)
        if tag & 7 == 0:
            value, at = varint(b, at)
        elif tag & 7 == 2:
            size, at = varint(b, at)
            value, at = b[at : at + size].hex(), at + size
        else:
            raise ValueError("a wire type that no field of the page has")
        out.append([tag >> 3, value])
    return out


def put_fields(list_):
    out = b""
    for number, value in list_:
        if isinstance(value, int):
            out += put_varint(number << 3) + put_varint(value)
        else:
            raw = bytes.fromhex(value)
            out += put_varint(number << 3 | 2) + put_varint(len(raw)) + raw
    return out


def decode(b):
    length, at = varint(b, 0)
    assert len(b) == at + length, "length"
    command, at = varint(b, at)
    seq = 0
    if reliable(command):
        seq, at = varint(b, at)
    body = b[at:]
    if command == 6:
        value = varint(body, 0)[0]
    elif command in FIXED:
        form = "<" + "".join(f for _, f in FIXED[command])
        value = [dict(zip([n for n, _ in FIXED[command]], row)) for row in struct.iter_unpack(form, body)]
    else:
        value = fields(body)
    return command, seq, value


def encode(command, seq, value):
    inside = put_varint(command) + (put_varint(seq) if seq else b"")
    if command == 6:
        inside += put_varint(value)
    elif command in FIXED:
        form = "<" + "".join(f for _, f in FIXED[command])
        inside += b"".join(struct.pack(form, *row.values()) for row in value)
    else:
        inside += put_fields(value)
    return put_varint(len(inside)) + inside


def main():
    for block in re.finditer(r"```frame (\w+)\n(.*?)```", open(sys.argv[1], encoding="utf-8").read(), re.S):
        rows = [re.match(r"(?:[0-9a-f]{2}(?: |$))+", line).group() for line in block.group(2).splitlines()]
        b = bytes.fromhex("".join(rows))
        magic = b.startswith(MAGIC)
        b = b[4:] if magic else b
        command, seq, value = decode(b)
        assert encode(command, seq, value) == b, block.group(1) + " encoded again is something else"
        print(json.dumps({"name": block.group(1), "magic": magic, "command": command, "seq": seq, "value": value}))


if __name__ == "__main__":
    main()
