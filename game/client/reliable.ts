// Sequence numbers of frames that must arrive, in both directions. No clock, no socket: what it is told, it counts.

/** Bounds of what waits to be confirmed: more than that means that nobody answers. */
export const unconfirmedMax = 1024;
export const unconfirmedBytesMax = 1 << 20;

/** How many frames are taken before they are confirmed without waiting for the time to pass. */
export const ackEvery = 32;

/** A frame that was given a number. */
export interface Numbered {
  seq: number;
  command: number;
  body: Uint8Array;
  /** Whether it went onto a link: if so, the server may have it. */
  sent: boolean;
  /** What the caller needs when it is known that the frame is lost. */
  tag?: unknown;
}

export class Reliable {
  private next = 1;
  private bytes = 0;
  private waiting: Numbered[] = [];
  /** Number of the last frame that was received. */
  received = 0;
  private confirmed = 0;

  /** Gives a frame its number, and keeps it until it is confirmed; null: too much waits. */
  number(command: number, body: Uint8Array, tag?: unknown): Numbered | null {
    if (this.waiting.length >= unconfirmedMax || this.bytes + body.length > unconfirmedBytesMax) return null;
    const frame: Numbered = { seq: this.next++, command, body, sent: false, tag };
    this.waiting.push(frame);
    this.bytes += body.length;
    return frame;
  }

  /** The server has everything up to a number. */
  ack(seq: number): void {
    let n = 0;
    while (n < this.waiting.length && this.waiting[n]!.seq <= seq) this.bytes -= this.waiting[n++]!.body.length;
    this.waiting.splice(0, n);
  }

  /** Judges a frame from the server: take it, drop it because it came before, or give up because one is missing. */
  take(seq: number): "take" | "again" | "gap" {
    if (seq <= this.received) return "again";
    if (seq !== this.received + 1) return "gap";
    this.received = seq;
    return "take";
  }

  /** Whether so many frames were taken that the server should know now. */
  get due(): boolean {
    return this.received - this.confirmed >= ackEvery;
  }
  /** Whether any was taken that the server has not been told of. */
  get owed(): boolean {
    return this.received > this.confirmed;
  }
  /** The server was told of all that was taken. */
  told(): void {
    this.confirmed = this.received;
  }

  /** The lost connection goes on: gives the frames that the server has not got, in order. */
  resume(serverReceived: number): Numbered[] {
    this.ack(serverReceived);
    this.confirmed = 0; // the ack may have been lost with the link
    return this.waiting;
  }

  /** A new connection begins with 1 again: gives what was never confirmed, so that somebody decides what becomes of it. */
  reset(): Numbered[] {
    const left = this.waiting;
    this.waiting = [];
    this.bytes = this.received = this.confirmed = 0;
    this.next = 1;
    return left;
  }
}
