// Reads samples from stdin, does with them what a client does, and writes what came out. Bytes are {"$": hex}.
import * as wire from "../../../client/zwire";

const hex = (b: Uint8Array): string => Buffer.from(b).toString("hex");
const unhex = (s: string): Uint8Array => new Uint8Array(Buffer.from(s, "hex"));
const revive = (_: string, v: any): any => (v !== null && typeof v === "object" && "$" in v ? unhex(v.$) : v);
const plain = (v: any): any => {
  if (v instanceof Uint8Array) return { $: hex(v) };
  if (Array.isArray(v)) return v.map(plain);
  if (v !== null && typeof v === "object") return Object.fromEntries(Object.entries(v).map(([k, x]) => [k, plain(x)]));
  return v;
};
const refused = (f: () => unknown): string => {
  try {
    f();
  } catch (err) {
    return err instanceof wire.WireError ? "refused" : String(err);
  }
  return "taken";
};

let text = "";
process.stdin.on("data", (d) => (text += d));
process.stdin.on("end", () => {
  const samples = JSON.parse(text, revive);
  const codecs: any = wire.messages;
  const all: any = wire;
  const frames = (list: wire.Frame[]) => list.map((f) => ({ command: f.command, body: hex(f.body) }));
  const out = {
    messages: samples.messages.map((s: any) => ({
      name: s.name,
      encoded: hex(codecs[s.name].encode(s.value)),
      decoded: plain(codecs[s.name].decode(s.bytes)),
    })),
    fixed: samples.fixed.map((s: any) => ({
      name: s.name,
      encoded: hex(all["encode" + s.name](s.value)),
      decoded: plain(all["decode" + s.name](s.bytes)),
    })),
    whole: frames(wire.splitMessage(samples.stream)),
    pieces: [1, 3, 50].map((n) => {
      const s = new wire.Splitter();
      const list: any[] = [];
      for (let i = 0; i < samples.stream.length; i += n) list.push(...frames(s.push(samples.stream.slice(i, i + n))));
      return list;
    }),
    framed: samples.frames.map((f: any) => hex(wire.frame(f.command, f.body, wire.isReliable(f.command) ? f.seq : undefined))),
    seqs: samples.frames.filter((f: any) => wire.isReliable(f.command)).map((f: any) => wire.splitSeq(wire.splitMessage(f.frame)[0]!.body).seq),
    badFrames: samples.badFrames.map((b: Uint8Array) => refused(() => wire.splitMessage(b, wire.LIMIT_HELLO))),
    badStreams: samples.badFrames.slice(0, -1).map((b: Uint8Array) => refused(() => new wire.Splitter(wire.LIMIT_HELLO).push(b))), // the last one may still become one
    badBodies: samples.badBodies.map((s: any) => refused(() => codecs[s.name].decode(s.bytes))),
    badValues: samples.badValues.map((s: any) => refused(() => codecs[s.name].encode(s.value))),
    reliable: Array.from({ length: wire.COMMAND_MAX + 1 }, (_, c) => c).filter(wire.isReliable).length,
  };
  process.stdout.write(JSON.stringify(out));
});
