// Tests of the client, run in a browser by game/plaza (TestClient). A test is a function that throws; the server is a
// Fake, whose every word the test chooses.

import { Client, KamadoError, Modules, Recorder, RecordedTransport, parseRecording, type Connection, type Delegate, type Hearing, type Link, type Options, type Transport } from "../kamado";
import { Places, waitFirstMs, waitMostMs } from "../places";
import { Reliable, unconfirmedMax } from "../reliable";
import { httpOf } from "../tokens";
import * as wire from "../zwire";
import { slide, wrap } from "../../plaza/src/scene";
import { Track } from "../../plaza/src/track";

function equal(got: unknown, want: unknown, what: string): void {
  const a = JSON.stringify(got), b = JSON.stringify(want);
  if (a !== b) throw new Error(`${what}: ${a}, want ${b}`);
}

function ok(holds: boolean, what: string): void {
  if (!holds) throw new Error(what);
}

/** Lets everything that waits for nothing happen. */
const settle = () => new Promise((r) => setTimeout(r, 0));

async function until(what: string, holds: () => boolean): Promise<void> {
  for (const end = Date.now() + 10_000; !holds(); await settle()) if (Date.now() > end) throw new Error(`${what} did not happen`);
}

/** One connection as the server sees it. */
class Line {
  heard: { command: number; seq: number; body: Uint8Array }[] = [];
  first = new Uint8Array();
  closed = false;
  private seq = 0;

  constructor(
    readonly url: string,
    private readonly hearing: Hearing,
    from = 0,
  ) {
    this.seq = from;
  }

  opened(): void {
    this.hearing.opened();
  }
  take(message: Uint8Array): void {
    let bytes = message;
    if (this.first.length === 0) {
      this.first = message.slice(0, 4);
      bytes = message.subarray(4);
    }
    for (const f of wire.splitMessage(bytes, wire.LIMIT_CLIENT)) {
      if (wire.isReliable(f.command)) {
        const s = wire.splitSeq(f.body);
        this.heard.push({ command: f.command, seq: s.seq, body: s.body });
      } else this.heard.push({ command: f.command, seq: 0, body: f.body.slice() });
    }
  }
  tell(command: number, body: Uint8Array, seq?: number): void {
    if (wire.isReliable(command)) this.seq = seq ?? this.seq + 1;
    this.hearing.received(wire.frame(command, body, wire.isReliable(command) ? this.seq : undefined));
  }
  welcome(w: Partial<wire.Welcome> = {}): void {
    this.tell(wire.Cmd.Welcome, wire.encodeWelcome({ protocol: 1, uid: "1001", node: "a", resume: Uint8Array.of(7), keepAliveMs: 30_000, resumeMs: 30_000, tickMs: 50, nowMs: Date.now(), expiresMs: Date.now() + 900_000, access: "access-1", refresh: "refresh-1", ...w }));
  }
  cut(): void {
    if (this.closed) return;
    this.closed = true;
    this.hearing.closed();
  }
  of(command: number) {
    return this.heard.filter((f) => f.command === command);
  }
}

/** A server of which every word is chosen. */
class Fake implements Transport {
  lines: Line[] = [];
  /** Addresses at which nobody is. */
  dead = new Set<string>();

  open(url: string, hearing: Hearing): Link {
    const line = new Line(url, hearing);
    this.lines.push(line);
    queueMicrotask(() => (this.dead.has(url) ? line.cut() : line.opened()));
    return {
      waiting: 0,
      send: (m) => line.take(m),
      close: () => {
        line.closed = true;
      },
    };
  }
  get last(): Line {
    return this.lines[this.lines.length - 1]!;
  }
}

const home = "ws://a/v1/socket", second = "ws://b/v1/socket";

function setUp(options: Partial<Options> = {}, more: Partial<Delegate> = {}) {
  const fake = new Fake(), states: Connection[] = [], said: string[] = [];
  const client = new Client({ url: home, signIn: () => ({ newGuest: true }), transport: fake, random: () => 0, ...options }, { onConnection: (c) => states.push(c), onSaid: (s) => said.push(s.text), ...more });
  return { fake, client, states, said };
}

/** A client that is in. */
async function online(options: Partial<Options> = {}, more: Partial<Delegate> = {}, welcome: Partial<wire.Welcome> = {}) {
  const all = setUp(options, more), connected = all.client.connect();
  await until("hello", () => all.fake.last?.heard.length > 0);
  all.fake.last.welcome(welcome);
  await connected;
  return all;
}

const said = (text: string) => wire.encodeSaid({ avatar: 1, uid: "1002", name: "Bob", text });
const entered = (area: string) => wire.encodeEntered({ area, copy: 1, avatar: 5, tickMs: 50, members: [{ avatar: 5, uid: "1001", name: "Ann", look: new Uint8Array(), x: 10, y: 20, facing: 0, gait: 0 }] });

export const tests: Record<string, () => Promise<void> | void> = {
  async "a guest signs in, and is told the secret once"() {
    const secrets: string[] = [];
    const { fake, client, states } = setUp({}, { onSignedIn: (s) => secrets.push(s.guestSecret) });
    const connected = client.connect();
    await until("hello", () => fake.last.heard.length === 2);
    equal([...fake.last.first], [...wire.MAGIC], "the first bytes");
    equal(fake.last.heard.map((f) => f.command), [wire.Cmd.Hello, wire.Cmd.SignIn], "the first frames");
    ok(wire.decodeSignIn(fake.last.heard[1]!.body).newGuest !== undefined, "the proof is no new guest");
    fake.last.welcome({ guestSecret: "s" });
    equal((await connected).node, "a", "the node");
    equal(secrets, ["s"], "the secrets");
    equal([client.uid, client.online, client.accessToken, states.at(-1)?.state], ["1001", true, "access-1", "online"], "the client");
  },

  async "frames are numbered, confirmed, taken once, and a gap ends the connection"() {
    const { fake, client, said: heard } = await online();
    client.say("one");
    client.say("two");
    await settle();
    equal(fake.last.of(wire.Cmd.Say).map((f) => f.seq), [1, 2], "the numbers");
    for (let i = 1; i <= 32; i++) fake.last.tell(wire.Cmd.Said, said(`${i}`));
    await settle();
    equal(fake.last.of(wire.Cmd.Ack).map((f) => wire.decodeAck(f.body)), [32], "what was confirmed");
    fake.last.tell(wire.Cmd.Said, said("again"), 32);
    equal(heard.length, 32, "what was heard");
    fake.last.tell(200, new Uint8Array([1, 2]), 33); // a later protocol's: passed over, and counted
    fake.last.tell(wire.Cmd.Said, said("after"), 34);
    equal(heard.at(-1), "after", "what came after an unknown frame");
    const quiet = console.error;
    console.error = () => {};
    fake.last.tell(wire.Cmd.Said, said("gap"), 36);
    console.error = quiet;
    equal([heard.at(-1), client.online], ["after", false], "after a gap");
    client.close();
  },

  async "a lost connection goes on, with duplicates dropped and what was lost sent again"() {
    const { fake, client, said: heard, states } = await online();
    client.say("one");
    client.say("two");
    await settle();
    fake.last.tell(wire.Cmd.Said, said("before"));
    fake.last.tell(wire.Cmd.Ack, wire.encodeAck(1));
    const first = fake.last;
    first.cut();
    client.say("meanwhile");
    await until("a new connection", () => fake.lines.length === 2 && fake.last.heard.length > 0);
    const hello = wire.decodeHello(fake.last.heard[0]!.body);
    equal([fake.last.url, [...hello.resume], hello.received, hello.token], [home, [7], 1, "access-1"], "what is shown to go on");
    fake.last.welcome({ resumed: true, received: 1, access: "" });
    await settle();
    equal(fake.last.of(wire.Cmd.Say).map((f) => [f.seq, wire.decodeSay(f.body).text]), [[2, "two"], [3, "meanwhile"]], "what is sent again");
    fake.last.tell(wire.Cmd.Said, said("before"), 1);
    fake.last.tell(wire.Cmd.Said, said("missed"), 2);
    equal(heard, ["before", "missed"], "what was heard");
    const c = states.at(-1)!;
    ok(c.state === "online" && c.resumed && c.before === "" && c.downMs >= 0, "the state does not say that it goes on");
    client.close();
  },

  async "a new connection joins again where the avatar was, and says what is in doubt"() {
    const refused: number[] = [];
    const { fake, client } = await online({}, { onRefused: (r) => refused.push(r.command) });
    const joined = client.join("plaza", { name: "Ann", at: { x: 1, y: 2 } });
    await settle();
    fake.last.tell(wire.Cmd.Entered, entered("plaza"));
    equal((await joined).area, "plaza", "the area");
    client.move({ x: 300, y: 400, facing: 64, gait: 1 });
    const call = client.call("shop.buy").catch((e: KamadoError) => e);
    client.say("sent");
    await settle();
    fake.last.cut();
    client.say("not sent yet");
    await until("a new connection", () => fake.lines.length === 2 && fake.last.heard.length > 0);
    fake.last.welcome({ received: 0 });
    await settle();
    const failed = await call;
    ok(failed instanceof KamadoError && failed.doubt && failed.kind === "unavailable", "the call is not in doubt");
    equal(refused, [wire.Cmd.Say], "what else is in doubt");
    const join = wire.decodeJoin(fake.last.of(wire.Cmd.Join)[0]!.body);
    equal([join.area, join.name, join.at, join.x, join.y], ["plaza", "Ann", true, 300, 400], "the join");
    equal(fake.last.of(wire.Cmd.Say).map((f) => [f.seq, wire.decodeSay(f.body).text]), [[2, "not sent yet"]], "what is said");
    client.close();
  },

  async "a dead node's clients go to another one"() {
    const { fake, client, states } = await online({}, {}, { nodes: [{ node: "a", websocket: home, tcp: "" }, { node: "b", websocket: second, tcp: "" }] });
    fake.dead.add(home);
    fake.last.cut();
    await until("the other node", () => fake.last.url === second && fake.last.heard.length > 0);
    fake.last.welcome({ node: "b" });
    const c = states.at(-1)!;
    ok(c.state === "online" && c.before === "a" && c.node === "b" && !c.resumed, "the state does not tell of the move");
    equal(fake.lines.map((l) => l.url), [home, home, second], "what was tried");
    client.close();
  },

  async "closing says what to do"() {
    const close = (reason: number, more: Partial<wire.Closing> = {}) => wire.encodeClosing({ reason, text: "because", ...more });
    const drain = await online();
    drain.fake.last.tell(wire.Cmd.Closing, close(wire.Reason.DRAIN, { place: { node: "b", websocket: second, tcp: "" } }));
    await until("the other node", () => drain.fake.last.url === second && drain.fake.last.heard.length > 0);
    equal(wire.decodeHello(drain.fake.last.heard[0]!.body).resume.length, 0, "resume after a drain");
    drain.client.close();

    for (const reason of [wire.Reason.REPLACED, wire.Reason.BANNED, wire.Reason.KICKED, wire.Reason.VERSION]) {
      const { fake, client, states } = await online();
      fake.last.tell(wire.Cmd.Closing, close(reason));
      await settle();
      const c = states.at(-1)!;
      ok(c.state === "ended" && c.closing?.reason === reason && fake.lines.length === 1, `reason ${reason} does not end it`);
      const again = client.connect();
      await until("a connection that was asked for", () => fake.lines.length === 2 && fake.last.heard.length > 0);
      fake.last.welcome();
      await again;
      client.close();
    }

    const full = setUp(), connected = full.client.connect();
    await until("hello", () => full.fake.last.heard.length > 0);
    full.fake.last.tell(wire.Cmd.Closing, close(wire.Reason.FULL, { retryMs: 60 }));
    equal(full.states.at(-1)?.state, "waiting", "the state when there is no room");
    ok((full.states.at(-1) as { retryMs: number }).retryMs >= 60, "it comes again too early");
    await until("a second try", () => full.fake.lines.length === 2 && full.fake.last.heard.length > 0);
    full.fake.last.welcome();
    await connected;
    full.client.close();
  },

  async "a token that ended is replaced: by refresh, then by signing in, then not at all"() {
    const asked: boolean[] = [];
    const { fake, client, states } = await online({ signIn: (failed) => (asked.push(failed !== undefined), { guestSecret: "old" }) });
    const token = () => fake.last.tell(wire.Cmd.Closing, wire.encodeClosing({ reason: wire.Reason.TOKEN, text: "over" }));
    const next = async (n: number) => until(`connection ${n}`, () => fake.lines.length === n && fake.last.heard.length === 2);
    token();
    await next(2);
    equal(wire.decodeSignIn(fake.last.heard[1]!.body).refresh, "refresh-1", "the first proof");
    token();
    await next(3);
    equal(wire.decodeSignIn(fake.last.heard[1]!.body).guestSecret, "old", "the second proof");
    token();
    await next(4);
    token();
    await settle();
    equal([states.at(-1)?.state, asked], ["ended", [false, false, true]], "the end");
    client.close();
  },

  async "a token is renewed over HTTP before it ends"() {
    const bodies: string[] = [];
    const fetcher = (async (url: string, init: RequestInit) => {
      bodies.push(`${url} ${String(init.body)}`);
      return new Response(JSON.stringify({ access_token: "access-2", expires_in: 900, refresh_token: "refresh-2" }));
    }) as typeof fetch;
    const { fake, client } = await online({ fetch: fetcher });
    fake.last.tell(wire.Cmd.Expiring, wire.encodeExpiring({ expiresMs: Date.now() + 1000 }));
    await until("renew", () => fake.last.of(wire.Cmd.Renew).length === 1);
    equal(bodies, ['http://a/v1/tokens/refresh {"refresh_token":"refresh-1"}'], "what was asked");
    equal([wire.decodeRenew(fake.last.of(wire.Cmd.Renew)[0]!.body).token, client.accessToken], ["access-2", "access-2"], "the token");
    equal([httpOf("wss://x:1/v1/socket")], ["https://x:1/v1/"], "the HTTP interface of a socket");
    client.close();
  },

  async "a redirect is followed, and the copy is joined there"() {
    const { fake, client } = await online();
    const joined = client.join("garden");
    await settle();
    fake.last.tell(wire.Cmd.Redirect, wire.encodeRedirect({ place: { node: "b", websocket: second, tcp: "" }, area: "garden", copy: 3 }));
    await until("the other node", () => fake.last.url === second && fake.last.heard.length > 0);
    fake.last.welcome({ node: "b" });
    await settle();
    equal(wire.decodeJoin(fake.last.of(wire.Cmd.Join)[0]!.body).copy, 3, "the copy");
    fake.last.tell(wire.Cmd.Entered, entered("garden"));
    equal((await joined).area, "garden", "the area");
    client.close();
  },

  async "calls are answered by their number, and refused joins fail"() {
    const { fake, client } = await online();
    const one = client.callJSON<number>("one"), two = client.call("two").catch((e: KamadoError) => e);
    await settle();
    const ids = fake.last.of(wire.Cmd.Call).map((f) => wire.decodeCall(f.body));
    equal(ids.map((c) => c.method), ["one", "two"], "the methods");
    fake.last.tell(wire.Cmd.Answer, wire.encodeAnswer({ id: ids[1]!.id, fault: { kind: "insufficient", detail: "too poor", doubt: false, retryMs: 0 } }));
    fake.last.tell(wire.Cmd.Answer, wire.encodeAnswer({ id: ids[0]!.id, body: new TextEncoder().encode("41") }));
    const e = await two;
    equal([await one, e instanceof KamadoError && e.kind, e instanceof KamadoError && e.message], [41, "insufficient", "too poor"], "the answers");
    const join = client.join("nowhere").catch((f: KamadoError) => f.kind);
    await settle();
    fake.last.tell(wire.Cmd.Refused, wire.encodeRefused({ command: wire.Cmd.Join, seq: fake.last.of(wire.Cmd.Join)[0]!.seq, fault: { kind: "not found", detail: "", doubt: false, retryMs: 0 } }));
    equal(await join, "not found", "the join");
    client.close();
  },

  async "closing leaves the area first"() {
    const { fake, client } = await online();
    const joined = client.join("plaza");
    await settle();
    fake.last.tell(wire.Cmd.Entered, entered("plaza"));
    await joined;
    client.close();
    equal([fake.last.heard.at(-1)?.command, fake.last.closed], [wire.Cmd.Leave, true], "the last word");
  },

  async "a mistake of the application does not end the connection"() {
    const quiet = console.error;
    console.error = () => {};
    const { fake, client } = await online({}, { onSaid: () => { throw new Error("mine"); } });
    fake.last.tell(wire.Cmd.Said, said("x"));
    console.error = quiet;
    ok(client.online, "it is over");
    client.close();
  },

  "what waits to be confirmed is bounded"() {
    const r = new Reliable();
    for (let i = 0; i < unconfirmedMax; i++) ok(r.number(10, new Uint8Array(1)) !== null, "refused too early");
    ok(r.number(10, new Uint8Array(1)) === null, "one too many was taken");
    r.ack(1);
    equal(r.number(10, new Uint8Array(1))?.seq, unconfirmedMax + 1, "the next number");
    ok(new Reliable().number(10, new Uint8Array(2 << 20)) === null, "too many bytes were taken");
  },

  "waits grow to a bound, and are spread"() {
    const p = new Places(home, () => 0.5);
    p.learn([{ node: "b", websocket: second }, { node: "c", websocket: "http://evil/" }]);
    p.lost();
    equal([p.next().url, p.next().url], [home, second], "the first round");
    let last = 0;
    for (let round = 0; round < 12; round++) {
      const { waitMs } = p.next();
      ok(waitMs >= Math.min(waitMostMs, waitFirstMs * 2 ** round) / 2 && waitMs <= waitMostMs, `round ${round} waits ${waitMs}`);
      ok(waitMs >= last, "it waits less than before");
      last = waitMs;
      p.next();
    }
    p.prefer(second);
    equal(p.next().url, second, "the preferred place");
  },

  async "a recording is made, and played without a server"() {
    const fake = new Fake(), recorder = new Recorder(fake);
    const first = new Client({ url: home, signIn: () => ({ newGuest: true }), transport: recorder, random: () => 0 }, {});
    const connected = first.connect();
    await until("hello", () => fake.last.heard.length > 0);
    fake.last.welcome();
    await connected;
    const joined = first.join("plaza"), answered = first.callJSON<string>("greet");
    await settle();
    fake.last.tell(wire.Cmd.Entered, entered("plaza"));
    fake.last.tell(wire.Cmd.Answer, wire.encodeAnswer({ id: 1, body: new TextEncoder().encode('"hello"') }));
    fake.last.tell(wire.Cmd.Said, said("recorded"));
    await Promise.all([joined, answered]);
    first.close();

    const heard: string[] = [];
    const second = new Client({ url: home, signIn: () => ({ newGuest: true }), transport: new RecordedTransport(parseRecording(recorder.toString()), 0) }, { onSaid: (s) => heard.push(s.text) });
    await second.connect();
    equal(await second.callJSON<string>("greet"), "hello", "an answer");
    equal((await second.join("plaza")).members.length, 1, "who is there");
    await until("what was said", () => heard.length === 1);
    equal(await second.join("moon").catch((e: KamadoError) => e.kind), "not found", "an area that was not recorded");
    equal(await second.call("other").catch((e: KamadoError) => e.kind), "not found", "a method that was not recorded");
    second.close();
    for (const bad of ["{}", '{"version":2,"frames":[]}', '{"version":1,"frames":[{"at":1}]}']) {
      let failed = false;
      try {
        parseRecording(bad);
      } catch {
        failed = true;
      }
      ok(failed, `${bad} is a recording`);
    }
  },

  async "a module that did not come is tried again"() {
    let turn = 0;
    const m = new Modules<number>({ a: () => (++turn === 1 ? Promise.reject(new Error("no")) : Promise.resolve(turn)) });
    equal(await m.get("a").catch(() => -1), -1, "the first time");
    equal([await m.get("a"), await m.get("a"), turn], [2, 2, 2], "then");
    ok(await m.get("toString").then(() => false, () => true), "a name that is none");
  },

  "others are shown between what was told"() {
    const p = (x: number) => ({ x, y: 0, facing: 0, gait: 1 }), t = new Track(p(0), 0);
    t.push(p(10), 50, 50);
    t.push(p(20), 100, 50);
    equal([t.at(25).x, t.at(75).x, t.at(500).x], [5, 15, 20], "the places");
    t.push(p(30), 1000, 50); // stood still until shortly before
    equal([t.at(900).x, t.at(975).x], [20, 25], "after a pause");
    t.push(p(1000), 1050, 50);
    equal(t.at(1049).x, 1000, "a jump");
    for (let i = 0; i < 100; i++) t.push(p(i), 2000 + i * 50, 50);
    ok(t.at(0).x > 80, "all poses are kept");
  },

  "words fit into bubbles, and nobody walks through things"() {
    const g = { measureText: (s: string) => ({ width: s.length * 10 }) };
    equal(wrap(g, "one two three four", 90, 4), ["one two", "three", "four"], "words");
    equal(wrap(g, "あいうえおかきくけこ", 50, 4), ["あいうえお", "かきくけこ"], "letters");
    ok(wrap(g, "x".repeat(500), 50, 4).length === 4, "a long word");
    const area = { width: 100, height: 100, blocks: [{ x: 50, y: 50, rx: 10, ry: 10 }] };
    const at = slide({ x: 52, y: 50 }, area);
    ok(Math.hypot(at.x - 50, at.y - 50) > 10, "inside a block");
    equal(slide({ x: -5, y: 500 }, area), { x: 13, y: 98 }, "outside");
  },
};

/** Runs all, and gives what went wrong. */
export async function run(): Promise<{ ran: number; failed: string[] }> {
  const failed: string[] = [];
  for (const [name, test] of Object.entries(tests)) {
    try {
      await test();
    } catch (e) {
      failed.push(`${name}: ${(e as Error).message}`);
    }
  }
  return { ran: Object.keys(tests).length, failed };
}
