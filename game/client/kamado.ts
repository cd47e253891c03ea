// The main module: it connects, signs in, keeps the connection, and tells a delegate what happens. What an
// application adds is loaded when it is needed (modules.ts).

import type { Connection, Delegate, SignedIn } from "./delegate";
import { KamadoError } from "./delegate";
import { Places, type Place } from "./places";
import { Reliable, type Numbered } from "./reliable";
import { httpOf, renew, signInOf, spareMs, tokensOf, type Credentials, type Tokens } from "./tokens";
import { WebSocketTransport, type Link, type Transport } from "./transport";
import * as wire from "./zwire";
import { Cmd, Reason } from "./zwire";

export { KamadoError, type Connection, type Delegate, type SignedIn, type ThingChange } from "./delegate";
export { Modules } from "./modules";
export { RecordedTransport, Recorder, parseRecording, type Recording, type RecordedFrame } from "./recorded";
export { WebSocketTransport, type Hearing, type Link, type Transport } from "./transport";
export type { Credentials, Tokens } from "./tokens";
export type { Away, Closing, Emoted, Entered, Event, Gone, Member, Moved, Notice, PointsChanged, Presence, Redirect, Refused, Said, Thing, Welcome, Whispered } from "./zwire";

/** Version of this client, major<<20 | minor<<10 | patch. */
export const clientVersion = (1 << 20) | (0 << 10) | 0;

/** Milliseconds: for a connection to be made and greeted, and for a call to be answered. */
export const greetTimeoutMs = 4_000;
export const callTimeoutMs = 20_000;
/** Time after which what was taken is confirmed. */
export const ackAfterMs = 5_000;
/** Unsent bytes above which moves are left out. */
export const waitingBytesMax = 64 << 10;

/** How often in a row a client goes where a server that does not let it in sends it: two of them may send it to each other. */
const sentOnMax = 4;

export interface Options {
  /** Where the world is: ws://HOST:PORT/v1/socket. */
  url: string;
  /** How to sign in; null: not at all, which ends the connection. failed: what the server said of the last one. */
  signIn: (failed?: wire.Closing) => Credentials | null | Promise<Credentials | null>;
  /** Tokens of an earlier sign-in. */
  tokens?: Tokens;
  /** What the client is, for people. */
  agent?: string;
  /** Language of texts for people. */
  language?: string;
  transport?: Transport;
  random?: () => number;
  now?: () => number;
  fetch?: typeof fetch;
}

/** Where an avatar stands, faces, and how it goes. */
export interface Pose {
  x: number;
  y: number;
  facing: number;
  gait: number;
}

export interface JoinOptions {
  copy?: number;
  name?: string;
  look?: Uint8Array;
  at?: { x: number; y: number };
}

interface Waiter<T> {
  resolve(v: T): void;
  reject(e: Error): void;
}

interface PendingCall extends Waiter<Uint8Array> {
  timer: ReturnType<typeof setTimeout>;
}

/** What the client wants to be in, through all connections. */
interface Wish {
  area: string;
  options: JoinOptions;
  seq: number;
  waiters: Waiter<wire.Entered>[];
}

type Stage = "idle" | "connecting" | "online" | "waiting" | "ended";

export class Client {
  private stage: Stage = "idle";
  private link: Link | null = null;
  private readonly reliable = new Reliable();
  private readonly places: Places;
  private readonly transport: Transport;
  private readonly now: () => number;
  private tokens: Tokens | null;
  private resume: { node: string; proof: Uint8Array; untilMs: number } | null = null;
  private welcome: wire.Welcome | null = null;
  private waiters: Waiter<wire.Welcome>[] = [];
  private calls = new Map<number, PendingCall>();
  private nextCall = 1;
  private wish: Wish | null = null;
  private pose: Pose | null = null;
  private step = 0;
  private attempt = 0;
  private lostAt = 0;
  private outbox: Uint8Array[] = [];
  private outboxDue = false;
  private heardAt = 0;
  private saidAt = 0;
  private ackDue = 0;
  private closing: wire.Closing | undefined;
  private signedInWith: "token" | "refresh" | "credentials" = "token";
  private failed: wire.Closing | undefined;
  private ticker: ReturnType<typeof setInterval> | undefined;
  private retry: ReturnType<typeof setTimeout> | undefined;
  private greet: ReturnType<typeof setTimeout> | undefined;
  private renewing = false;

  /** The user; empty before the first sign-in. */
  uid = "";
  /** The node that the client is on, or was. */
  node = "";
  /** How the connection stands: what onConnection told last. */
  connection: Connection = { state: "ended" };
  /** Time that the last ping took. */
  latencyMs = 0;

  constructor(
    private readonly options: Options,
    private readonly delegate: Partial<Delegate>,
  ) {
    this.transport = options.transport ?? new WebSocketTransport();
    this.now = options.now ?? (() => Date.now());
    this.tokens = options.tokens ?? null;
    this.places = new Places(options.url, options.random);
  }

  /** The access token, for HTTP; empty: there is none. */
  get accessToken(): string {
    return this.tokens?.access ?? "";
  }
  get online(): boolean {
    return this.stage === "online";
  }
  /** The socket that the client is on, or was. */
  get url(): string {
    return this.places.current;
  }
  /** Time between two Moves. */
  get tickMs(): number {
    return this.welcome?.tickMs ?? 50;
  }

  // --- entering ---

  /** Connects and signs in. The promise is kept when the client is in for the first time; the connection is then kept up. */
  connect(): Promise<wire.Welcome> {
    return new Promise((resolve, reject) => {
      if (this.stage === "online") return resolve(this.welcome!);
      this.waiters.push({ resolve, reject });
      if (this.stage !== "idle" && this.stage !== "ended") return;
      this.failed = this.closing = undefined;
      this.attempt = 0;
      this.places.lost();
      this.open(this.places.next().url);
    });
  }

  /** Leaves the area and ends the connection, so that others see at once that the user is gone. Whatever waits is given up. */
  close(): void {
    if (this.online && this.wish) this.leave();
    this.end(undefined);
  }

  /** The machine woke up, or has a network again: what seems to be there is tested, what waits is tried at once. */
  wake(): void {
    if (this.stage === "waiting") {
      clearTimeout(this.retry);
      this.open(this.places.next().url);
    } else if (this.stage === "online" && this.now() - this.heardAt > 2_000) {
      const asked = this.now();
      this.ping();
      setTimeout(() => {
        if (this.stage === "online" && this.heardAt < asked) this.lost();
      }, 3_000);
    }
  }

  private tellConnection(c: Connection): void {
    this.connection = c;
    this.tell(() => this.delegate.onConnection?.(c));
  }

  /** A mistake of the application must not end the connection. */
  private tell(f: () => void): void {
    try {
      f();
    } catch (e) {
      console.error(e);
    }
  }

  private open(url: string): void {
    this.stage = "connecting";
    this.attempt++;
    this.places.current = url;
    this.tellConnection({ state: "connecting", url, attempt: this.attempt });
    let mine = true;
    const link = this.transport.open(url, {
      opened: () => mine && void this.hello(),
      received: (message) => mine && this.received(message),
      closed: () => {
        if (mine && this.link === link) this.lost();
        mine = false;
      },
    });
    this.link = link;
    clearTimeout(this.greet);
    this.greet = setTimeout(() => mine && this.link === link && this.stage === "connecting" && this.lost(), greetTimeoutMs);
  }

  /** The first frames: who this is, and, without a token, a proof of it. */
  private async hello(): Promise<void> {
    const link = this.link;
    const usable = this.tokens !== null && this.tokens.access !== "" && this.tokens.accessUntilMs - this.now() > spareMs;
    const again = usable && this.resume && this.now() < this.resume.untilMs ? this.resume : null;
    const hello: Partial<wire.Hello> = { protocol: 1, client: clientVersion, agent: this.options.agent ?? "kamado.ts", language: this.options.language ?? "" };
    if (usable) hello.token = this.tokens!.access;
    if (again) {
      hello.resume = again.proof;
      hello.received = this.reliable.received;
    }
    const first = new wire.Writer();
    first.raw(wire.MAGIC);
    first.raw(wire.frame(Cmd.Hello, wire.encodeHello(hello)));
    this.signedInWith = "token";
    if (!usable) {
      const proof = await this.proof();
      if (link !== this.link || this.stage !== "connecting") return;
      if (!proof) return this.end(this.failed);
      first.raw(wire.frame(Cmd.SignIn, wire.encodeSignIn(proof)));
    }
    link?.send(first.done());
    this.saidAt = this.now();
  }

  private async proof(): Promise<wire.SignIn | null> {
    if (this.tokens?.refresh) {
      this.signedInWith = "refresh";
      return { refresh: this.tokens.refresh };
    }
    this.signedInWith = "credentials";
    const c = await this.options.signIn(this.failed);
    return c && signInOf(c);
  }

  private welcomed(w: wire.Welcome): void {
    clearTimeout(this.greet);
    const now = this.now(), resumed = w.resumed, before = this.node;
    this.tokens = tokensOf(w, this.tokens, now);
    this.welcome = w;
    this.stage = "online";
    this.heardAt = now;
    this.failed = this.closing = undefined;
    this.attempt = 0;
    this.places.arrived();
    this.places.learn(w.nodes.filter((p) => p.node !== w.node) as Place[]);
    this.resume = w.resume.length > 0 ? { node: w.node, proof: w.resume, untilMs: Infinity } : null;
    this.node = w.node;
    if (w.uid !== "0" && (this.uid !== w.uid || w.guestSecret)) {
      this.uid = w.uid;
      const who: SignedIn = { uid: w.uid, guestSecret: w.guestSecret, mutedUntilMs: w.mutedUntilMs };
      this.tell(() => this.delegate.onSignedIn?.(who));
    }
    this.goOn(resumed, w.received);
    this.tellConnection({ state: "online", node: w.node, url: this.places.current, resumed, downMs: this.lostAt ? now - this.lostAt : 0, before: before !== w.node ? before : "" });
    this.lostAt = 0;
    for (const waiter of this.waiters.splice(0)) waiter.resolve(w);
    clearInterval(this.ticker);
    this.ticker = setInterval(() => this.tick(), Math.max(200, Math.min(1_000, (w.keepAliveMs || 30_000) / 4)));
  }

  /** Sends what the server has not got. On a new connection, what may have been done before is not done again. */
  private goOn(resumed: boolean, serverReceived: number): void {
    if (resumed) {
      for (const f of this.reliable.resume(serverReceived)) this.put(f);
      if (!this.wish && !this.pose) return;
      if (this.pose) this.sendMove(); // it may have been lost, and nothing else says where the avatar is
      return;
    }
    const left = this.reliable.reset();
    if (this.wish) this.sendJoin();
    for (const f of left) {
      if (f.command === Cmd.Join) continue;
      if (!f.sent) this.give(f.command, f.body, f.tag);
      else if (typeof f.tag === "number" && this.calls.has(f.tag)) this.answer({ id: f.tag, body: new Uint8Array(), fault: { kind: "unavailable", detail: "the connection was lost before the answer came", doubt: true, retryMs: 0 } });
      else if (f.command !== Cmd.Call && f.command !== Cmd.Leave) this.refused({ command: f.command, seq: 0, fault: { kind: "unavailable", detail: "the connection was lost before this was confirmed", doubt: true, retryMs: 0 } });
    }
    // Calls that the server had confirmed and not answered are over too: the node that did them is another, or has forgotten.
    for (const id of [...this.calls.keys()]) {
      if (!left.some((f) => f.tag === id)) this.answer({ id, body: new Uint8Array(), fault: { kind: "unavailable", detail: "the connection was lost before the answer came", doubt: true, retryMs: 0 } });
    }
  }

  /** The link is gone. */
  private lost(): void {
    const link = this.link;
    this.link = null;
    link?.close();
    clearTimeout(this.greet);
    clearInterval(this.ticker);
    this.outbox = [];
    const closing = this.closing, online = this.stage === "online";
    if (online) {
      this.lostAt = this.now();
      this.attempt = 0;
      if (this.resume) this.resume.untilMs = this.now() + (this.welcome?.resumeMs || 30_000);
      this.places.lost(closing?.place?.websocket || undefined);
      this.closing = undefined; // what the server said counts for this time
    }
    if (closing && !this.mayComeAgain(closing, online)) return this.end(closing);
    if (closing?.place?.websocket && this.attempt > 0 && this.attempt < sentOnMax) this.places.prefer(closing.place.websocket);
    const next = this.places.next();
    const retryMs = Math.max(next.waitMs, closing?.retryMs ?? 0);
    this.stage = "waiting";
    this.closing = undefined;
    this.tellConnection({ state: "waiting", retryMs, attempt: this.attempt, closing });
    this.retry = setTimeout(() => this.open(next.url), retryMs);
  }

  /** What the server said decides whether the client tries again, and with what. */
  private mayComeAgain(c: wire.Closing, online: boolean): boolean {
    switch (c.reason) {
      case Reason.TOKEN:
        if (!online && (!this.tokens || this.signedInWith === "credentials")) {
          this.tokens = null;
          if (this.failed) return false;
          this.failed = c;
          return true;
        }
        if (this.tokens && (online || this.signedInWith === "token")) this.tokens.access = "";
        else this.tokens = null;
        this.resume = null;
        return true;
      case Reason.DRAIN:
        this.resume = null;
        return true;
      case Reason.VERSION:
      case Reason.BANNED:
      case Reason.REPLACED:
      case Reason.KICKED:
      case Reason.INVALID:
        return false;
    }
    return true;
  }

  private end(closing: wire.Closing | undefined): void {
    if (this.stage === "ended" || this.stage === "idle") return;
    this.stage = "ended";
    clearTimeout(this.retry);
    clearTimeout(this.greet);
    clearInterval(this.ticker);
    const link = this.link;
    this.flush();
    this.link = null;
    link?.close();
    this.resume = null;
    this.lostAt = 0;
    this.reliable.reset();
    const why = new KamadoError({ kind: "unavailable", detail: closing?.text || "the connection is closed" });
    for (const w of this.waiters.splice(0)) w.reject(why);
    for (const w of this.wish?.waiters.splice(0) ?? []) w.reject(why);
    for (const [id, c] of this.calls) {
      clearTimeout(c.timer);
      this.calls.delete(id);
      c.reject(new KamadoError({ kind: "unavailable", detail: why.message, doubt: true }));
    }
    this.tellConnection({ state: "ended", closing });
  }

  /** About once a second: signs of life, confirmations, the token. */
  private tick(): void {
    const now = this.now(), quiet = this.welcome?.keepAliveMs || 30_000;
    if (now - this.heardAt > 2 * quiet) return this.lost();
    if (now - this.saidAt > quiet || now - this.heardAt > quiet) this.ping();
    if (this.reliable.owed && now >= this.ackDue) this.ack();
    if (this.tokens && this.tokens.refresh && this.tokens.accessUntilMs - now < 30_000) void this.renew();
  }

  private ping(): void {
    this.send(wire.frame(Cmd.Ping, wire.encodePing({ mark: Math.max(0, Math.floor(this.now())) })));
  }

  private ack(): void {
    this.send(wire.frame(Cmd.Ack, wire.encodeAck(this.reliable.received)));
    this.reliable.told();
  }

  /** Gets the next access token, and shows it. Without success the server ends the connection, and the client signs in anew. */
  private async renew(): Promise<void> {
    if (this.renewing || !this.tokens?.refresh) return;
    this.renewing = true;
    try {
      const got = await renew([...new Set([httpOf(this.places.current), httpOf(this.options.url)])], this.tokens.refresh, this.options.fetch ?? fetch.bind(globalThis), this.now);
      if ("tokens" in got) {
        this.tokens = got.tokens;
        if (this.online) this.send(wire.frame(Cmd.Renew, wire.encodeRenew({ token: got.tokens.access })));
      } else if ("over" in got && this.tokens) {
        this.tokens.refresh = "";
      }
    } finally {
      this.renewing = false;
    }
  }

  // --- sending ---

  /** Frames of one turn of the event loop travel in one message. */
  private send(frame: Uint8Array): void {
    if (this.stage !== "online") return;
    this.outbox.push(frame);
    if (this.outboxDue) return;
    this.outboxDue = true;
    queueMicrotask(() => {
      this.outboxDue = false;
      this.flush();
    });
  }

  private flush(): void {
    if (this.outbox.length === 0 || !this.link) return;
    const message = new wire.Writer();
    for (const f of this.outbox.splice(0)) message.raw(f);
    this.saidAt = this.now();
    this.link.send(message.done());
  }

  private put(f: Numbered): void {
    if (this.stage !== "online") return;
    f.sent = true;
    this.send(wire.frame(f.command, f.body, f.seq));
  }

  /** Gives a reliable frame: at once, or as soon as there is a connection. It says the frame's number. */
  private give(command: number, body: Uint8Array, tag?: unknown): number {
    if (body.length > wire.LIMIT_CLIENT - 16) throw new KamadoError({ kind: "too large", detail: `a frame of ${body.length} bytes` });
    const f = this.reliable.number(command, body, tag);
    if (!f) throw new KamadoError({ kind: "unavailable", detail: "too much waits for the server", retryMs: 1_000 });
    this.put(f);
    return f.seq;
  }

  /** Enters an area, and leaves the one where the user was. After a lost connection the client enters it again by itself. */
  join(area: string, options: JoinOptions = {}): Promise<wire.Entered> {
    return new Promise((resolve, reject) => {
      for (const w of this.wish?.waiters.splice(0) ?? []) w.reject(new KamadoError({ kind: "conflict", detail: "another area was entered" }));
      this.wish = { area, options, seq: 0, waiters: [{ resolve, reject }] };
      this.pose = null;
      if (this.online) this.sendJoin();
    });
  }

  private sendJoin(): void {
    const { area, options } = this.wish!;
    const at = this.pose ?? options.at;
    this.wish!.seq = this.give(Cmd.Join, wire.encodeJoin({ area, copy: options.copy ?? 0, name: options.name ?? "", look: options.look, at: at !== undefined, x: Math.round(at?.x ?? 0), y: Math.round(at?.y ?? 0) }));
  }

  /** How the user is called and looks, when the client enters again. */
  remember(name: string, look: Uint8Array): void {
    if (this.wish) Object.assign(this.wish.options, { name, look });
  }

  /** Leaves the area. */
  leave(): void {
    this.wish = this.pose = null;
    this.give(Cmd.Leave, wire.encodeLeave({}));
  }

  /** Goes somewhere. It says the step, which comes back with the pose; -1: not now, the server does not keep up. */
  move(pose: Pose): number {
    this.pose = { ...pose };
    return this.sendMove();
  }

  private sendMove(): number {
    if (!this.online || !this.pose || (this.link?.waiting ?? 0) > waitingBytesMax) return -1;
    this.step = (this.step + 1) & 0xffff;
    const { x, y, facing, gait } = this.pose;
    this.send(wire.frame(Cmd.Move, wire.encodeMove({ x: clamp16(x), y: clamp16(y), facing: facing & 255, gait: gait & 255, step: this.step })));
    return this.step;
  }

  /** Turns, without going. */
  face(facing: number, gait = 0): number {
    if (!this.online) return -1;
    this.step = (this.step + 1) & 0xffff;
    this.send(wire.frame(Cmd.Face, wire.encodeFace({ facing: facing & 255, gait: gait & 255, step: this.step })));
    return this.step;
  }

  /** Makes a gesture. */
  emote(emote: number, argument = 0): void {
    this.send(wire.frame(Cmd.Emote, wire.encodeEmote({ emote, step: this.step, argument })));
  }

  /** Says something to everybody in the area. */
  say(text: string): void {
    this.give(Cmd.Say, wire.encodeSay({ text }));
  }

  /** Says something to one user, wherever that one is. */
  whisper(uid: string, text: string): void {
    this.give(Cmd.Whisper, wire.encodeWhisper({ uid, text }));
  }

  /** Changes the state of an object of the area. */
  setThing(name: string, value: Uint8Array): void {
    this.give(Cmd.SetThing, wire.encodeSetThing({ name, value }));
  }

  /** Sends a command of the application, from 1024. */
  command(command: number, body: Uint8Array): void {
    if (command < wire.COMMAND_APP) throw new KamadoError({ kind: "invalid", detail: `${command} is no command of an application` });
    this.send(wire.frame(command, body));
  }

  /** Asks for something by name. An error is a KamadoError; with doubt, it may have been done. */
  call(method: string, body: Uint8Array = new Uint8Array()): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      const id = this.nextCall++;
      const timer = setTimeout(() => this.answer({ id, body, fault: { kind: "unavailable", detail: `${method} was not answered in time`, doubt: true, retryMs: 0 } }), callTimeoutMs);
      this.calls.set(id, { resolve, reject, timer });
      try {
        this.give(Cmd.Call, wire.encodeCall({ id, method, body }), id);
      } catch (e) {
        clearTimeout(timer);
        this.calls.delete(id);
        reject(e as Error);
      }
    });
  }

  /** The same with JSON both ways. */
  async callJSON<T>(method: string, body: unknown = {}): Promise<T> {
    const answer = await this.call(method, new TextEncoder().encode(JSON.stringify(body)));
    return JSON.parse(new TextDecoder().decode(answer)) as T;
  }

  // --- hearing ---

  private received(message: Uint8Array): void {
    this.heardAt = this.now();
    const link = this.link;
    try {
      for (const f of wire.splitMessage(message)) {
        if (this.link !== link) return; // a frame before ended this connection
        this.frame(f);
      }
    } catch (e) {
      console.error(e); // bytes that are no frames: nothing that follows can be trusted
      if (this.link === link) this.lost();
    }
  }

  private frame(f: wire.Frame): void {
    let body = f.body;
    if (wire.isReliable(f.command)) {
      const s = wire.splitSeq(body);
      body = s.body;
      if (!this.reliable.owed) this.ackDue = this.now() + ackAfterMs;
      switch (this.reliable.take(s.seq)) {
        case "again":
          return;
        case "gap":
          throw new wire.WireError(`frame ${s.seq} came after ${this.reliable.received}`);
      }
      if (this.reliable.due) this.ack();
    }
    if (this.stage === "connecting" && f.command !== Cmd.Welcome && f.command !== Cmd.Closing) return;
    this.dispatch(f.command, body);
  }

  private dispatch(command: number, body: Uint8Array): void {
    const d = this.delegate;
    switch (command) {
      case Cmd.Welcome:
        return this.welcomed(wire.decodeWelcome(body));
      case Cmd.Closing:
        this.closing = wire.decodeClosing(body);
        return this.lost();
      case Cmd.Ping:
        return this.send(wire.frame(Cmd.Pong, body));
      case Cmd.Pong:
        this.latencyMs = Math.max(0, this.now() - wire.decodePing(body).mark);
        return;
      case Cmd.Ack:
        return this.reliable.ack(wire.decodeAck(body));
      case Cmd.Expiring:
        return void this.renew();
      case Cmd.Renewed:
        if (this.tokens && this.welcome) this.tokens.accessUntilMs = Math.max(this.tokens.accessUntilMs, this.now() + spareMs);
        return;
      case Cmd.Answer:
        return this.answer(wire.decodeAnswer(body));
      case Cmd.Refused:
        return this.refused(wire.decodeRefused(body));
      case Cmd.Entered:
        return this.entered(wire.decodeEntered(body));
      case Cmd.Redirect:
        return this.redirected(wire.decodeRedirect(body));
      case Cmd.Away: {
        const away = wire.decodeAway(body);
        this.tell(() => d.onAway?.(away));
        if (this.wish && this.wish.area === away.area) this.sendJoin();
        return;
      }
      case Cmd.Moves:
        return this.tell(() => d.onMoves?.(wire.decodeMoved(body)));
      case Cmd.Emoted:
        return this.tell(() => d.onEmoted?.(wire.decodeEmoted(body)));
      case Cmd.Far:
        return this.tell(() => d.onFar?.(wire.decodeFar(body).map((r) => r.avatar)));
    }
    this.inform(command, body);
  }

  /** Frames that are only handed on. What is not known is passed over. */
  private inform(command: number, body: Uint8Array): void {
    const d = this.delegate;
    this.tell(() => {
      switch (command) {
        case Cmd.Appeared: {
          const { member } = wire.decodeAppeared(body);
          if (member) d.onAppeared?.(member);
          break;
        }
        case Cmd.Gone:
          d.onGone?.(wire.decodeGone(body));
          break;
        case Cmd.Said:
          d.onSaid?.(wire.decodeSaid(body));
          break;
        case Cmd.Whispered:
          d.onWhispered?.(wire.decodeWhispered(body));
          break;
        case Cmd.Presence:
          d.onPresence?.(wire.decodePresence(body));
          break;
        case Cmd.ThingChanged: {
          const { thing, by } = wire.decodeThingChanged(body);
          if (thing) d.onThing?.({ thing, by });
          break;
        }
        case Cmd.Event:
          d.onEvent?.(wire.decodeEvent(body));
          break;
        case Cmd.PointsChanged:
          d.onPoints?.(wire.decodePointsChanged(body));
          break;
        case Cmd.Notice:
          d.onNotice?.(wire.decodeNotice(body));
          break;
      }
    });
  }

  private answer(a: wire.Answer): void {
    const c = this.calls.get(a.id);
    if (!c) return;
    this.calls.delete(a.id);
    clearTimeout(c.timer);
    if (a.fault) c.reject(new KamadoError(a.fault));
    else c.resolve(a.body);
  }

  private refused(r: wire.Refused): void {
    if (r.command === Cmd.Join && this.wish && (r.seq === 0 || r.seq === this.wish.seq)) {
      const { waiters } = this.wish;
      this.wish = null;
      for (const w of waiters) w.reject(new KamadoError(r.fault ?? {}));
      if (waiters.length > 0) return;
    }
    this.tell(() => this.delegate.onRefused?.(r));
  }

  private entered(e: wire.Entered): void {
    const own = e.members.find((m) => m.avatar === e.avatar);
    if (own) this.pose = { x: own.x, y: own.y, facing: own.facing, gait: own.gait };
    this.tell(() => this.delegate.onEntered?.(e));
    if (this.wish?.area === e.area) for (const w of this.wish.waiters.splice(0)) w.resolve(e);
  }

  private redirected(r: wire.Redirect): void {
    this.tell(() => this.delegate.onRedirect?.(r));
    if (!r.place?.websocket) return;
    if (this.wish) this.wish.options.copy = r.copy;
    this.flush();
    const link = this.link;
    this.link = null;
    link?.close();
    clearInterval(this.ticker);
    this.lostAt = this.now();
    this.resume = null;
    this.places.lost(r.place.websocket);
    this.open(this.places.next().url);
  }
}

const clamp16 = (v: number) => Math.max(0, Math.min(65_535, Math.round(v)));
