// Sessions that were recorded, and are played again. With a RecordedTransport a client works with no server; a Recorder
// makes the recording. The same file is played the other way round against a server (game/plaza/plazatest).
//
// A recording is JSON: {"version": 1, "frames": [{"at": 12, "from": "server", "data": "base64"}, …]}. at is milliseconds from the
// beginning; data is one message of whole frames, the client's first one with the magic.

import type { Hearing, Link, Transport } from "./transport";
import * as wire from "./zwire";
import { Cmd } from "./zwire";

export interface RecordedFrame {
  at: number;
  from: "client" | "server";
  data: string;
}

export interface Recording {
  version: 1;
  frames: RecordedFrame[];
}

/** Most messages of a recording. */
export const recordedMax = 100_000;

/** Reads a recording; an error says what is wrong with it. */
export function parseRecording(text: string): Recording {
  const r = JSON.parse(text) as Recording;
  if (r?.version !== 1 || !Array.isArray(r.frames) || r.frames.length > recordedMax) throw new Error("this is no recording of version 1");
  for (const f of r.frames) if (typeof f.at !== "number" || (f.from !== "client" && f.from !== "server") || typeof f.data !== "string") throw new Error("a frame of the recording is none");
  return r;
}

const decode = (data: string): Uint8Array => Uint8Array.from(atob(data), (c) => c.charCodeAt(0));

function encode(bytes: Uint8Array): string {
  let s = "";
  for (let i = 0; i < bytes.length; i += 8192) s += String.fromCharCode(...bytes.subarray(i, i + 8192));
  return btoa(s);
}

/** Wraps a transport, and writes down what travels. Secrets are in it: tokens and guest secrets; do not hand it on as it is. */
export class Recorder implements Transport {
  readonly recording: Recording = { version: 1, frames: [] };
  private readonly start = Date.now();

  constructor(private readonly inner: Transport) {}

  private note(from: "client" | "server", message: Uint8Array): void {
    if (this.recording.frames.length < recordedMax) this.recording.frames.push({ at: Date.now() - this.start, from, data: encode(message) });
  }

  open(url: string, hearing: Hearing): Link {
    const link = this.inner.open(url, {
      opened: () => hearing.opened(),
      closed: () => hearing.closed(),
      received: (message) => {
        this.note("server", message);
        hearing.received(message);
      },
    });
    return {
      send: (message) => {
        this.note("client", message);
        link.send(message);
      },
      close: () => link.close(),
      get waiting() {
        return link.waiting;
      },
    };
  }

  toString(): string {
    return JSON.stringify(this.recording);
  }
}

interface Timed {
  at: number;
  frame: wire.Frame;
}

/** One area of a recording: what the server told from Join on. */
interface Scene {
  area: string;
  from: number;
  told: Timed[];
}

/** What a recording holds, by what makes the server tell it. */
interface Script {
  greeting: wire.Frame[];
  scenes: Scene[];
  /** Answers by method, in the order in which they were given. */
  answers: Map<string, wire.Answer[]>;
}

function framesOf(f: RecordedFrame): wire.Frame[] {
  let bytes = decode(f.data);
  if (f.from === "client" && wire.MAGIC.every((c, i) => bytes[i] === c)) bytes = bytes.subarray(wire.MAGIC.length);
  return wire.splitMessage(bytes, wire.LIMIT_SERVER);
}

const bodyOf = (f: wire.Frame): Uint8Array => (wire.isReliable(f.command) ? wire.splitSeq(f.body).body : f.body);

function scriptOf(recording: Recording): Script {
  const script: Script = { greeting: [], scenes: [], answers: new Map() };
  const methods = new Map<number, string>();
  for (const r of recording.frames) {
    for (const f of framesOf(r)) {
      if (r.from === "client") {
        if (f.command === Cmd.Join) script.scenes.push({ area: wire.decodeJoin(bodyOf(f)).area, from: r.at, told: [] });
        if (f.command === Cmd.Call) {
          const call = wire.decodeCall(bodyOf(f));
          methods.set(call.id, call.method);
        }
        continue;
      }
      switch (f.command) {
        case Cmd.Welcome:
          script.greeting.push(f);
          break;
        case Cmd.Answer: {
          const answer = wire.decodeAnswer(bodyOf(f)), method = methods.get(answer.id) ?? "";
          script.answers.set(method, [...(script.answers.get(method) ?? []), answer]);
          break;
        }
        case Cmd.Ack:
        case Cmd.Ping:
        case Cmd.Pong:
        case Cmd.Renewed:
        case Cmd.Expiring:
        case Cmd.Closing:
          break; // of that connection
        default:
          script.scenes.at(-1)?.told.push({ at: r.at, frame: f });
      }
    }
  }
  return script;
}

/** Plays a recording. It greets who says Hello; who joins an area is told what was told in the recording when it was
 * joined, in the same rhythm; a call is answered as the first (second …) call of that method was. What the client does
 * otherwise has no effect. */
export class RecordedTransport implements Transport {
  private readonly script: Script;
  private readonly timers = new Set<ReturnType<typeof setTimeout>>();
  private readonly answered = new Map<string, number>();
  private readonly joined = new Map<string, number>();

  /** speed: 2 is twice as fast; 0: at once. */
  constructor(
    recording: Recording,
    private readonly speed = 1,
  ) {
    this.script = scriptOf(recording);
  }

  open(_url: string, hearing: Hearing): Link {
    let seq = 0, over = false, received = 0;
    const tell = (f: wire.Frame | { command: number; body: Uint8Array }, plain: Uint8Array) => {
      if (over) return;
      hearing.received(wire.isReliable(f.command) ? wire.frame(f.command, plain, ++seq) : wire.frame(f.command, plain));
    };
    const later = (ms: number, f: () => void) => {
      const timer = setTimeout(() => {
        this.timers.delete(timer);
        if (!over) f();
      }, this.speed > 0 ? ms / this.speed : 0);
      this.timers.add(timer);
    };
    const hush = () => {
      for (const timer of this.timers) clearTimeout(timer);
      this.timers.clear();
    };
    const heard = (f: wire.Frame) => {
      let body = f.body;
      if (wire.isReliable(f.command)) {
        const s = wire.splitSeq(body);
        if (s.seq <= received) return;
        received = s.seq;
        body = s.body;
      }
      switch (f.command) {
        case Cmd.Hello:
        case Cmd.SignIn:
          if (f.command === Cmd.SignIn || wire.decodeHello(body).token) for (const g of this.script.greeting.slice(0, 1)) later(0, () => tell(g, g.body));
          break;
        case Cmd.Ping:
          later(0, () => tell({ command: Cmd.Pong, body }, body));
          break;
        case Cmd.Join: {
          hush();
          const { area } = wire.decodeJoin(body);
          const scenes = this.script.scenes.filter((s) => s.area === area), nth = this.joined.get(area) ?? 0;
          this.joined.set(area, nth + 1);
          const scene = scenes[Math.min(nth, scenes.length - 1)];
          if (!scene) {
            tell({ command: Cmd.Refused, body }, wire.encodeRefused({ command: Cmd.Join, seq: received, fault: { kind: "not found", detail: `the recording was never in ${area}`, doubt: false, retryMs: 0 } }));
            break;
          }
          for (const t of scene.told) later(t.at - scene.from, () => tell(t.frame, bodyOf(t.frame)));
          break;
        }
        case Cmd.Call: {
          const call = wire.decodeCall(body), all = this.script.answers.get(call.method) ?? [], nth = this.answered.get(call.method) ?? 0;
          this.answered.set(call.method, nth + 1);
          const found = all[Math.min(nth, all.length - 1)];
          const answer: Partial<wire.Answer> = found
            ? { ...found, id: call.id }
            : { id: call.id, fault: { kind: "not found", detail: `the recording never called ${call.method}`, doubt: false, retryMs: 0 } };
          queueMicrotask(() => tell({ command: Cmd.Answer, body }, wire.encodeAnswer(answer)));
          break;
        }
      }
    };
    queueMicrotask(() => over || hearing.opened());
    return {
      waiting: 0,
      send: (message) => {
        let bytes = message;
        if (wire.MAGIC.every((c, i) => bytes[i] === c)) bytes = bytes.subarray(wire.MAGIC.length);
        for (const f of wire.splitMessage(bytes, wire.LIMIT_CLIENT)) heard(f);
      },
      close: () => {
        if (over) return;
        over = true;
        hush();
        queueMicrotask(() => hearing.closed());
      },
    };
  }
}
