// The page: it shows who is where, and does what the person wants. Areas and dialogs are loaded when they are needed.

import type { Client, Connection, Delegate, Entered, Member } from "../../client/kamado";
import { Modules } from "../../client/modules";
import type { App, Config, Dressed, Purse } from "./app";
import type { Area, AreaModule, Door, Spot } from "./area";
import { Chat } from "./chat";
import { control, Reporter } from "./controls";
import { drawEmote, emotes } from "./emotes";
import { lookBytes, parseLook, type Look } from "./look";
import * as me from "./me";
import { portrait } from "./portrait";
import { Scene, type Actor } from "./scene";
import { language, nameOf, number, speak, t, translate } from "./text";

const byId = <E extends HTMLElement>(id: string) => document.getElementById(id) as E;

const areas = new Modules<AreaModule>({
  plaza: () => import("./areas/plaza"),
  garden: () => import("./areas/garden"),
  shop: () => import("./areas/shop"),
});

/** Milliseconds that a story stays on the screen. */
const storyMs = 7_000;
/** Says that the person was told already. */
const orphan = new Error("the page's own server is gone");
/** How many comings and goings are told one by one; in a crowd they are not. */
const crowd = 25;

export class Plaza implements App {
  config: Config = { images: { upload: null, url: null } };
  name = "";
  look: Look = { colour: 0, skin: 0, hair: 1, hairColour: 0 };
  owned: string[] = [];
  balance = 0;
  items = [];
  readonly scene: Scene;
  private readonly chat: Chat;
  private readonly reporter: Reporter;
  private connection: Connection = { state: "connecting", url: "", attempt: 0 };
  private area = "";
  private going = "";
  private lostAt = 0;
  private lostNode = "";
  private emptied = false; // the node sent its users away before the connection ended
  private redirected = false;
  private storyTimer = 0;
  private spot: Spot | null = null;
  private listDue = false;
  /** Areas whose module is there: what the server tells of one must not wait for it. */
  private readonly known = new Map<string, Area>();

  constructor(
    readonly client: Client,
    private readonly recorded: boolean,
  ) {
    this.reporter = new Reporter(client);
    const calm = matchMedia("(prefers-reduced-motion: reduce)"), dark = matchMedia("(prefers-color-scheme: dark)");
    const canvas = byId<HTMLCanvasElement>("scene");
    this.scene = new Scene(canvas, { calm: calm.matches, night: dark.matches, title: (area) => t(`area.${area}`) });
    calm.addEventListener("change", () => this.scene.restyle({ calm: calm.matches }));
    dark.addEventListener("change", () => this.scene.restyle({ night: dark.matches }));
    this.chat = new Chat({
      say: (text) => this.attempt(() => this.client.say(text)),
      whisper: (uid, text) => this.attempt(() => this.client.whisper(uid, text)),
      meet: (a) => void this.meet(a),
      resized: () => this.cover(),
    });
    this.scene.onDoor = (door) => void this.enter(door.to, door);
    this.scene.onSpot = (spot) => this.offer(spot);
    control(canvas, this.scene, { talk: () => this.chat.focus(), emote: (n) => this.emote(n), act: () => this.act(), meet: (a) => void this.meet(a) });
    this.buttons();
    this.cover();
    addEventListener("resize", () => this.cover());
  }

  // --- the page ---

  private buttons(): void {
    byId("emotes").replaceChildren(
      ...emotes.map((n) => {
        const button = document.createElement("button"), icon = document.createElement("canvas");
        button.type = "button";
        button.dataset.label = `emote.${n}`;
        button.dataset.emote = String(n);
        icon.width = icon.height = 108;
        icon.setAttribute("aria-hidden", "true");
        const g = icon.getContext("2d")!;
        g.setTransform(3, 0, 0, 3, 54, 54);
        drawEmote(g, n);
        button.append(icon);
        button.addEventListener("click", () => this.emote(n));
        return button;
      }),
    );
    byId("areas").replaceChildren(
      ...["plaza", "garden", "shop"].map((name) => {
        const button = document.createElement("button");
        button.type = "button";
        button.dataset.t = `area.${name}`;
        button.dataset.area = name;
        button.addEventListener("click", () => void this.enter(name));
        return button;
      }),
    );
    byId("me").addEventListener("click", () => void this.panel(() => import("./panels/wardrobe").then((p) => p.open(this))));
    byId("points").addEventListener("click", () => void this.enter("shop"));
    byId("spot").addEventListener("click", () => this.act());
    byId("language").addEventListener("click", () => {
      const next = language === "ja" ? "en" : "ja";
      try {
        localStorage.setItem("kamado.language", next);
      } catch {
        // the choice lasts as long as the page
      }
      void speak(next).then(() => this.respeak());
    });
    addEventListener("online", () => this.client.wake());
    addEventListener("pagehide", () => this.client.close());
    addEventListener("pageshow", (e) => e.persisted && void this.comeBack()); // the browser had kept the page
    document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && this.client.wake());
  }

  /** Opens a dialog whose module may not have come yet. */
  private async panel(open: () => Promise<void>): Promise<void> {
    try {
      await open();
    } catch (e) {
      this.tell(t("refused", { text: (e as Error).message }));
    }
  }

  /** Does what may be refused at once, because too much waits. */
  private attempt(f: () => void): void {
    try {
      f();
    } catch (e) {
      this.tell(t("refused", { text: (e as Error).message }));
    }
  }

  /** Shows everything in the language that is spoken now. */
  respeak(): void {
    translate(document);
    byId("language-text").textContent = language === "ja" ? "En" : "あ";
    this.scene.restyle({});
    this.chat.respeak();
    this.showState();
    this.showPurse();
    this.offer(this.spot);
    this.describe();
  }

  private describe(): void {
    byId("scene").setAttribute("aria-label", t("scene", { area: t(`area.${this.area || "plaza"}`) }));
    for (const b of byId("areas").querySelectorAll<HTMLElement>("button")) {
      if (b.dataset.area === this.area) b.setAttribute("aria-current", "page");
      else b.removeAttribute("aria-current");
    }
  }

  /** Where panels lie over the scene. */
  private cover(): void {
    const talk = byId("talk").getBoundingClientRect(), scene = byId("scene").getBoundingClientRect();
    const wide = talk.width > scene.width * 0.8;
    this.scene.covered = { left: wide ? 0 : Math.min(scene.width * 0.3, talk.right - scene.left) * 0.6, bottom: wide ? talk.height : 0 };
    byId("spot").style.bottom = wide ? `${talk.height + 14}px` : "";
  }

  tell(text: string, ...actions: { text: string; act: () => void }[]): void {
    const story = byId("story");
    clearTimeout(this.storyTimer);
    story.classList.remove("gone");
    story.replaceChildren(text);
    if (actions.length > 0) {
      const row = document.createElement("span");
      row.className = "row";
      for (const a of actions) {
        const b = document.createElement("button");
        b.type = "button";
        b.className = "primary";
        b.textContent = a.text;
        b.addEventListener("click", a.act);
        row.append(b);
      }
      story.append(row);
      return;
    }
    this.storyTimer = window.setTimeout(() => story.classList.add("gone"), storyMs);
  }

  // --- the connection ---

  /** Draws from now on, and goes into the first area as soon as there is a connection. */
  async start(config: Config): Promise<void> {
    this.config = config;
    this.connected(this.client.connection); // it may be there already
    const frame = (now: number) => {
      this.scene.frame(now);
      this.reporter.frame(this.scene, now);
      requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
    const hash = location.hash.slice(1), wanted = areas.has(hash) ? hash : "plaza";
    void areas.get(wanted).then(({ area }) => this.scene.area ?? this.scene.show(area)); // something to look at meanwhile
    await this.client.connect();
    await this.dress();
    await this.enter(wanted);
    if (this.recorded) this.tell(t("story.recorded"));
    else this.tell(t("story.entered", { area: t(`area.${this.area}`) }));
    await this.welcome();
  }

  private async comeBack(): Promise<void> {
    const area = this.area || "plaza";
    this.area = "";
    await this.panel(() => this.client.connect().then(() => this.enter(area)));
  }

  /** How this user was called and looked the last time. */
  private async dress(): Promise<void> {
    let kept: Dressed | null = null;
    try {
      kept = await this.client.callJSON<Dressed>("avatar.get");
    } catch (e) {
      console.warn(e); // the plaza is nice without a wardrobe, too
    }
    this.name = kept?.name || nameOf(this.client.uid);
    this.look = kept?.look ?? parseLook(new Uint8Array(), this.client.uid);
    this.owned = kept?.owned ?? [];
    this.showMe();
  }

  /** Points to begin with, once for each user. */
  private async welcome(): Promise<void> {
    try {
      const purse = await this.client.callJSON<Purse>("shop.welcome");
      this.setPurse(purse);
      if (purse.granted) this.tell(t("points.welcome", { n: number(purse.granted) }));
    } catch (e) {
      console.warn(e); // the shop is closed; everything else goes on
    }
  }

  readonly delegate: Partial<Delegate> = {
    onConnection: (c) => this.connected(c),
    onEntered: (e) => this.entered(e),
    onAppeared: (m) => this.appeared(m),
    onGone: (g) => {
      const actor = this.scene.actors.get(g.avatar);
      if (!actor) return;
      this.scene.actors.delete(g.avatar);
      if (this.scene.actors.size < crowd) this.chat.system(t("went", { name: actor.name }));
      this.list();
    },
    onMoves: (rows) => {
      const now = performance.now();
      for (const r of rows) {
        const actor = this.scene.actors.get(r.avatar);
        if (!actor) continue;
        actor.far = false;
        if (actor === this.scene.own) this.reporter.correct(this.scene, r);
        else actor.track.push(r, now, this.scene.tickMs);
      }
    },
    onFar: (ids) => {
      for (const id of ids) {
        const actor = this.scene.actors.get(id);
        if (actor) actor.far = true;
      }
    },
    onEmoted: (rows) => {
      for (const r of rows) if (r.avatar !== this.scene.own?.id) this.scene.gesture(r.avatar, r.emote, performance.now());
    },
    onSaid: (s) => {
      this.chat.said(s.name, s.text, s.uid === this.client.uid);
      this.scene.say(s.avatar, s.text, false, performance.now());
    },
    onWhispered: (w) => {
      const own = w.from === this.client.uid, other = own ? this.byUid(w.to)?.name ?? w.to : w.name;
      this.chat.whispered(other, w.text, own);
      const speaker = this.byUid(w.from);
      if (speaker) this.scene.say(speaker.id, w.text, true, performance.now());
    },
    onThing: (c) => {
      const who = this.scene.actors.get(c.by);
      if (who && (c.thing.name === "warm" || c.thing.name === "feed")) {
        this.chat.system(t(`did.${c.thing.name}`, { name: who.name }));
        if (who !== this.scene.own) this.scene.gesture(who.id, 6, performance.now());
      }
    },
    onPoints: (p) => {
      if (p.op === "grant" && p.balance > this.balance) this.tell(t("points.got", { n: number(p.amount) }));
      this.balance = p.balance;
      this.showPurse();
    },
    onNotice: (n) => this.tell(t("notice", { text: n.text })),
    onAway: () => this.tell(t("story.away", { area: t(`area.${this.area}`) })),
    onRedirect: () => {
      this.redirected = true;
    },
    onRefused: (r) => {
      const kind = r.fault?.kind ?? "";
      this.tell(kind === "denied" ? t("muted") : kind === "limited" ? t("flood") : t("refused", { text: r.fault?.detail ?? kind }));
    },
  };

  private connected(c: Connection): void {
    this.connection = c;
    this.showState();
    if (c.state === "waiting" && !this.lostAt) {
      this.lostAt = performance.now();
      this.lostNode = this.client.node;
      this.emptied = c.closing?.reason === 10; // REASON_DRAIN
    }
    if (c.state === "online" && c.resumed && this.lostAt) {
      this.tell(t("story.resumed", { s: this.downFor() }));
      this.lostAt = 0;
    }
    if (c.state === "ended" && (c.closing || this.lostAt)) this.ended(c.closing?.reason ?? 0, c.closing?.text ?? "");
  }

  private downFor(): string {
    return number(Math.round((performance.now() - this.lostAt) / 100) / 10);
  }

  private ended(reason: number, text: string): void {
    const again = { text: t("again"), act: () => void this.client.connect().catch(() => {}) };
    switch (reason) {
      case 5: // REASON_REPLACED
        return this.tell(t("story.bye", { why: t("why.replaced") }), again, {
          text: t("fresh"),
          act: () => {
            me.forget();
            location.reload();
          },
        });
      case 2: // REASON_VERSION
        return this.tell(t("story.bye", { why: t("why.version") }), { text: t("reload"), act: () => location.reload() });
    }
    this.tell(t("story.bye", { why: text || t("why.other") }), again);
  }

  private showState(): void {
    const c = this.connection, pill = byId("state"), text = c.state === "online" ? t("state.online", { node: c.node }) : t(`state.${c.state}`);
    pill.dataset.state = c.state;
    pill.title = text;
    byId("state-text").textContent = text;
    if (c.state !== "online") document.body.dataset.offline = "";
    else delete document.body.dataset.offline;
    if (c.state === "waiting") this.tell(t("state.waiting"));
  }

  // --- the area ---

  /** Goes into an area: its module is loaded, then it is joined. */
  async enter(name: string, door?: Door): Promise<void> {
    if (this.going === name || (this.area === name && !door)) return;
    this.going = name;
    try {
      const { area } = await areas.get(name).catch((e: unknown) => this.unloaded(name, e));
      this.known.set(name, area);
      if (this.going !== name) return;
      await this.client.join(name, { name: this.name, look: lookBytes(this.look), at: door?.at ?? this.near(area.start) });
    } catch (e) {
      if (this.going === name && e !== orphan) this.tell(t("refused", { text: (e as Error).message }));
    } finally {
      if (this.going === name) this.going = "";
    }
  }

  /** The module of an area did not come. When the page's own server is gone, another one has the page. */
  private unloaded(name: string, why: unknown): never {
    const elsewhere = new URL(`../plaza/#${name}`, this.client.url.replace(/^ws/, "http"));
    if (!this.client.online || elsewhere.origin === location.origin) throw why;
    this.tell(t("story.orphan", { area: t(`area.${name}`), node: this.client.node }), { text: t("elsewhere"), act: () => location.assign(elsewhere) });
    throw orphan;
  }

  /** Not all on one spot. */
  private near(at: { x: number; y: number }): { x: number; y: number } {
    return { x: at.x + (Math.random() - 0.5) * 160, y: at.y + (Math.random() - 0.5) * 80 };
  }

  private entered(e: Entered): void {
    const now = performance.now(), before = this.area, area = this.known.get(e.area);
    if (!area) return; // nobody here asked for it
    this.area = e.area;
    history.replaceState(null, "", e.area === "plaza" ? location.pathname + location.search : `#${e.area}`);
    const steering = this.scene.steering;
    this.scene.show(area);
    this.scene.steering = steering;
    this.scene.tickMs = e.tickMs || 50;
    this.reporter.reset();
    for (const m of e.members) this.put(m, now);
    this.scene.own = this.scene.actors.get(e.avatar) ?? null;
    this.describe();
    this.list();
    if (this.lostAt) {
      const values = { s: this.downFor(), area: t(`area.${e.area}`), node: this.client.node, before: this.lostNode };
      const elsewhere = this.lostNode && this.lostNode !== this.client.node;
      if (!this.redirected) this.tell(t(!elsewhere ? "story.again" : this.emptied ? "story.emptied" : "story.moved", values));
      this.lostAt = 0;
    } else if (this.redirected) this.tell(t("story.redirected", { area: t(`area.${e.area}`), node: this.client.node }));
    else if (before !== e.area && before) this.tell(t("story.entered", { area: t(`area.${e.area}`) }));
    this.redirected = false;
    if (e.members.length === 1) this.chat.system(t("alone"));
  }

  private put(m: Member, now: number): Actor {
    const actor = this.scene.put(m.avatar, m.uid, m.name, parseLook(m.look, m.uid), { x: m.x, y: m.y, facing: m.facing, gait: m.gait }, now);
    if (m.uid === this.client.uid) {
      this.name = m.name;
      this.look = actor.look;
      this.showMe();
    }
    return actor;
  }

  private appeared(m: Member): void {
    const known = this.scene.actors.has(m.avatar);
    const actor = this.put(m, performance.now());
    if (!known && this.scene.actors.size < crowd && m.uid !== this.client.uid) this.chat.system(t("came", { name: actor.name }));
    this.list();
  }

  private byUid(uid: string): Actor | undefined {
    for (const a of this.scene.actors.values()) if (a.uid === uid) return a;
    return undefined;
  }

  /** The list of people, once for many comings and goings. */
  private list(): void {
    if (this.listDue) return;
    this.listDue = true;
    setTimeout(() => {
      this.listDue = false;
      this.chat.list([...this.scene.actors.values()], this.client.uid);
    }, 50);
  }

  // --- what the person does ---

  private emote(n: number): void {
    if (!this.scene.own) return;
    this.client.emote(n);
    this.scene.gesture(this.scene.own.id, n, performance.now());
  }

  private offer(spot: Spot | null): void {
    this.spot = spot;
    const button = byId("spot");
    button.hidden = !spot;
    if (spot) button.textContent = t(spot.text);
  }

  /** Does what can be done here; false: nothing can. */
  private act(): boolean {
    switch (this.spot?.act) {
      case "shop":
        void this.panel(() => import("./panels/goods").then((p) => p.open(this)));
        return true;
      case "wardrobe":
        void this.panel(() => import("./panels/wardrobe").then((p) => p.open(this)));
        return true;
      case "warm":
      case "feed":
        this.attempt(() => this.client.setThing(this.spot!.act, new TextEncoder().encode(String(Date.now()))));
        this.emote(6);
        return true;
    }
    return false;
  }

  private async meet(a: Actor): Promise<void> {
    if (a.uid === this.client.uid) byId("me").click();
    else await this.panel(() => import("./panels/person").then((p) => p.open(this, a)));
  }

  whisper(a: Actor): void {
    this.chat.whisperTo({ uid: a.uid, name: a.name });
  }

  async wear(name: string, look: Look): Promise<void> {
    const kept = await this.client.callJSON<Dressed>("avatar.save", { name, look });
    this.name = kept.name;
    this.look = kept.look;
    this.owned = kept.owned;
    this.client.remember(kept.name, lookBytes(kept.look));
    await this.client.call("avatar.wear", new TextEncoder().encode("{}"));
    this.showMe();
  }

  setPurse(p: Purse): void {
    this.owned = p.owned;
    this.balance = p.balance;
    this.showPurse();
  }

  private showPurse(): void {
    const button = byId("points"), text = number(this.balance), before = byId("points-text").textContent;
    button.hidden = false;
    byId("points-text").textContent = text;
    button.setAttribute("aria-label", t("points", { n: text }));
    button.title = t("points", { n: text });
    if (before !== text) {
      button.classList.remove("changed");
      requestAnimationFrame(() => button.classList.add("changed"));
    }
  }

  private showMe(): void {
    portrait(byId<HTMLCanvasElement>("me-face"), this.look, "head", 40, 40);
  }
}
