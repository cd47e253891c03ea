// This module is loaded first, and small: it connects and signs in. What shows the world is loaded meanwhile, and each
// area, dialog and language when it is needed.

import { Client, WebSocketTransport, type Delegate, type Transport } from "../../client/kamado";
import type { Config } from "./app";
import * as me from "./me";
import { language, preferred, speak, t } from "./text";

/** What carries the frames: a socket; with ?recording=FILE a recording, with ?record a socket that is written down. */
async function transport(query: URLSearchParams): Promise<Transport> {
  const file = query.get("recording");
  if (file === null && !query.has("record")) return new WebSocketTransport();
  const { RecordedTransport, Recorder, parseRecording } = await import("../../client/recorded");
  if (file === null) return new Recorder(new WebSocketTransport());
  const url = new URL(file, location.href);
  if (url.origin !== location.origin) throw new Error("a recording is only taken from where the page is from");
  return new RecordedTransport(parseRecording(await (await fetch(url)).text()), Number(query.get("speed") ?? 1));
}

async function main(): Promise<void> {
  const query = new URLSearchParams(location.search);
  const loading = import("./world");
  const [carrier] = await Promise.all([transport(query), speak(preferred())]);
  const url = new URL("../v1/socket", location.href);
  url.protocol = url.protocol.replace("http", "ws");
  url.search = url.hash = "";
  const delegate: Partial<Delegate> = { onSignedIn: (s) => s.guestSecret && me.keep(s.guestSecret) };
  const client = new Client({ url: url.href, agent: "plaza", language, transport: carrier, signIn: (failed) => me.credentials(failed !== undefined) }, delegate);
  const connecting = client.connect();
  connecting.catch(() => {}); // start says it
  const config = fetch("config.json").then((r) => r.json() as Promise<Config>).catch((): Config => ({ images: { upload: null, url: null } }));
  const plaza = new (await loading).Plaza(client, query.has("recording"));
  Object.assign(delegate, plaza.delegate);
  Object.assign(globalThis, { plaza, client, carrier }); // for people with developer tools, and for tests
  plaza.respeak();
  try {
    await plaza.start(await config);
  } catch (e) {
    console.warn(e);
    if (client.online) plaza.tell(t("story.offline", { why: (e as Error).message }));
  }
}

void main();
