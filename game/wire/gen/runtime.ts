
/** Bytes that are no frame, or no body of their command; or a value that does not fit its field. */
export class WireError extends Error {}

const EMPTY = new Uint8Array(0);
const utf8 = new TextEncoder();
const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Writer collects bytes. */
export class Writer {
  private b = new Uint8Array(64);
  private n = 0;

  /** What was written so far, as a copy. */
  done(): Uint8Array {
    return this.b.slice(0, this.n);
  }

  private room(n: number): void {
    if (this.n + n <= this.b.length) return;
    const b = new Uint8Array(Math.max(this.n + n, 2 * this.b.length));
    b.set(this.b.subarray(0, this.n));
    this.b = b;
  }

  raw(bytes: Uint8Array): void {
    this.room(bytes.length);
    this.b.set(bytes, this.n);
    this.n += bytes.length;
  }

  /** A little-endian number of 1, 2, 4 or 8 bytes. */
  fixed(v: number, bytes: number): void {
    if (!Number.isSafeInteger(v) || v < 0 || (bytes < 8 && v >= 2 ** (8 * bytes))) throw new WireError(`${v} does not fit into ${bytes} bytes`);
    this.room(bytes);
    for (let i = 0; i < bytes; i++) {
      this.b[this.n++] = v % 256;
      v = Math.floor(v / 256);
    }
  }

  /** A varint: 0 to 2^53-1. */
  varint(v: number): void {
    if (!Number.isSafeInteger(v) || v < 0) throw new WireError(`${v} is no number from 0 to 2^53-1`);
    this.room(8);
    while (v >= 128) {
      this.b[this.n++] = (v % 128) | 128;
      v = Math.floor(v / 128);
    }
    this.b[this.n++] = v;
  }

  private bigVarint(v: bigint): void {
    this.room(10);
    while (v >= 128n) {
      this.b[this.n++] = Number(v & 127n) | 128;
      v >>= 7n;
    }
    this.b[this.n++] = Number(v);
  }

  // Fields of a message. tag: number of the field * 8 + wire type.

  uint32(tag: number, v: number): void {
    if (!Number.isInteger(v) || v < 0 || v > 0xffffffff) throw new WireError(`${v} is no number from 0 to 2^32-1`);
    this.varint(tag);
    this.varint(v);
  }

  uint64(tag: number, v: number): void {
    this.varint(tag);
    this.varint(v);
  }

  int64(tag: number, v: number): void {
    if (!Number.isSafeInteger(v)) throw new WireError(`${v} is no number within 2^53`);
    this.varint(tag);
    if (v >= 0) this.varint(v);
    else this.bigVarint(BigInt.asUintN(64, BigInt(v)));
  }

  uid(tag: number, v: string): void {
    if (!/^[0-9]{1,20}$/.test(v) || BigInt(v) >= 1n << 64n) throw new WireError(`${v.slice(0, 40)} is no user id`);
    this.varint(tag);
    this.bigVarint(BigInt(v));
  }

  bool(tag: number, v: boolean): void {
    this.varint(tag);
    this.varint(v ? 1 : 0);
  }

  bytes(tag: number, v: Uint8Array): void {
    this.varint(tag);
    this.varint(v.length);
    this.raw(v);
  }

  string(tag: number, v: string): void {
    this.bytes(tag, utf8.encode(v));
  }
}

/** Reader reads a body. What it returns does not share bytes with the body. */
export class Reader {
  private at = 0;
  constructor(private b: Uint8Array) {}

  more(): boolean {
    return this.at < this.b.length;
  }

  private byte(): number {
    if (this.at >= this.b.length) throw new WireError("the body is not whole");
    return this.b[this.at++]!;
  }

  private view(n: number): Uint8Array {
    if (n > this.b.length - this.at) throw new WireError("the body is not whole");
    this.at += n;
    return this.b.subarray(this.at - n, this.at);
  }

  fixed(bytes: number): number {
    const b = this.view(bytes);
    let v = 0;
    for (let i = bytes - 1; i >= 0; i--) v = v * 256 + b[i]!;
    if (!Number.isSafeInteger(v)) throw new WireError("a number above 2^53");
    return v;
  }

  /** A varint as in a message: at most ten bytes. */
  private varint(): bigint | number {
    let v = 0;
    for (let i = 0, scale = 1; i < 7; i++, scale *= 128) {
      const c = this.byte();
      v += (c & 127) * scale;
      if (c < 128) return v;
    }
    let big = BigInt(v);
    for (let i = 7n; i < 10n; i++) {
      const c = this.byte();
      if (i === 9n && c > 1) break;
      big |= BigInt(c & 127) << (7n * i);
      if (c < 128) return big;
    }
    throw new WireError("a varint that is too long");
  }

  /** A varint of a frame: no byte more than it needs. */
  minimal(): number {
    const from = this.at;
    const v = this.uint64();
    if (this.at - from > 1 && this.b[this.at - 1] === 0) throw new WireError("a varint that is too long");
    return v;
  }

  rest(): Uint8Array {
    return this.view(this.b.length - this.at);
  }

  tag(): number {
    const v = Number(this.varint());
    if (v < 8 || v > 0xffffffff) throw new WireError("no field");
    return v;
  }

  uint32(): number {
    return Number(BigInt.asUintN(32, BigInt(this.varint())));
  }

  enumeration(): number {
    return Number(BigInt.asIntN(32, BigInt(this.varint())));
  }

  uint64(): number {
    const v = Number(this.varint());
    if (!Number.isSafeInteger(v)) throw new WireError("a number above 2^53");
    return v;
  }

  int64(): number {
    const v = Number(BigInt.asIntN(64, BigInt(this.varint())));
    if (!Number.isSafeInteger(v)) throw new WireError("a number beyond 2^53");
    return v;
  }

  uid(): string {
    return this.varint().toString();
  }

  bool(): boolean {
    return Number(this.varint()) !== 0;
  }

  bytes(): Uint8Array {
    return this.view(this.uint64()).slice();
  }

  string(): string {
    const b = this.view(this.uint64());
    try {
      return text.decode(b);
    } catch {
      throw new WireError("a text that is not UTF-8");
    }
  }

  sub(): Reader {
    return new Reader(this.view(this.uint64()));
  }

  /** Passes over a field that is not known. */
  skip(tag: number, depth = 0): void {
    switch (tag & 7) {
      case 0:
        this.varint();
        return;
      case 1:
        this.view(8);
        return;
      case 2:
        this.view(this.uint64());
        return;
      case 5:
        this.view(4);
        return;
      case 3:
        if (depth > 100) throw new WireError("groups that are too deep");
        for (let inner = this.tag(); inner !== tag + 1; inner = this.tag()) {
          if ((inner & 7) === 4) throw new WireError("the end of another group");
          this.skip(inner, depth + 1);
        }
        return;
      default:
        throw new WireError("no field");
    }
  }
}

/** A command with its body. For a reliable command the body begins with the sequence number: splitSeq. */
export interface Frame {
  command: number;
  /** Lies in what was split. */
  body: Uint8Array;
}

/** Whether frames of a command, also of one that is not known, have a sequence number. */
export function isReliable(command: number): boolean {
  return (command >= 7 && command <= 15) || (command >= 68 && command <= 511);
}

/** Makes a frame. seq: of a reliable command, from 1; else absent. */
export function frame(command: number, body: Uint8Array, seq?: number): Uint8Array {
  if (!Number.isInteger(command) || command < 1 || command > COMMAND_MAX) throw new WireError(`${command} is no command`);
  const inside = new Writer();
  inside.varint(command);
  if (seq !== undefined) inside.varint(seq);
  inside.raw(body);
  const b = inside.done();
  const w = new Writer();
  w.varint(b.length);
  w.raw(b);
  return w.done();
}

/** Parts the body of a reliable frame. */
export function splitSeq(body: Uint8Array): { seq: number; body: Uint8Array } {
  const r = new Reader(body);
  const seq = r.minimal();
  if (seq === 0) throw new WireError("no sequence number");
  return { seq, body: r.rest() };
}

/** A varint of a frame at b[at]; undefined: b ends within it. */
function headVarint(b: Uint8Array, at: number, end: number, bytesMax: number): { v: number; at: number } | undefined {
  let v = 0;
  for (let i = 0; i < bytesMax; i++) {
    if (at + i >= end) return undefined;
    const c = b[at + i]!;
    if (i > 0 && c === 0) break;
    v += (c & 127) * 128 ** i;
    if (c < 128) return { v, at: at + i + 1 };
  }
  throw new WireError("a varint that is too long");
}

/** Cuts the frame at b[at]; undefined: b ends within it. */
function cut(b: Uint8Array, at: number, limit: number): { frame: Frame; at: number } | undefined {
  const length = headVarint(b, at, b.length, 4);
  if (length === undefined) return undefined;
  if (length.v === 0 || length.v > limit) throw new WireError("a frame of no bytes, or of too many");
  const end = length.at + length.v;
  const command = headVarint(b, length.at, Math.min(end, b.length), 2);
  if (command === undefined ? b.length >= end : command.v === 0 || command.v > COMMAND_MAX) throw new WireError("no command");
  if (command === undefined || b.length < end) return undefined;
  return { frame: { command: command.v, body: b.subarray(command.at, end) }, at: end };
}

/** Splits a WebSocket message, which holds whole frames. */
export function splitMessage(b: Uint8Array, limit = LIMIT_SERVER): Frame[] {
  const list: Frame[] = [];
  for (let at = 0; at < b.length; ) {
    const next = cut(b, at, limit);
    if (next === undefined) throw new WireError("the frame is not whole");
    list.push(next.frame);
    at = next.at;
  }
  return list;
}

/** Cuts frames out of a stream that comes in pieces. */
export class Splitter {
  private kept: Uint8Array = EMPTY;
  constructor(private limit = LIMIT_SERVER) {}

  /** The frames that the piece completes. */
  push(piece: Uint8Array): Frame[] {
    let b = piece;
    if (this.kept.length > 0) {
      b = new Uint8Array(this.kept.length + piece.length);
      b.set(this.kept);
      b.set(piece, this.kept.length);
    }
    const list: Frame[] = [];
    let at = 0;
    for (let next = cut(b, at, this.limit); next !== undefined; next = cut(b, at, this.limit)) {
      list.push(next.frame);
      at = next.at;
    }
    this.kept = b.slice(at);
    return list;
  }
}

/** The body of ack: the last reliable frame that was got. */
export function encodeAck(seq: number): Uint8Array {
  const w = new Writer();
  w.varint(seq);
  return w.done();
}

export function decodeAck(body: Uint8Array): number {
  const r = new Reader(body);
  const seq = r.minimal();
  if (r.more()) throw new WireError("ack has bytes behind its number");
  return seq;
}
