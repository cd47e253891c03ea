// Draws the area and who is in it. It knows no network: world.ts tells it what to show.

import type { Area, Block, Door, Lamp, Prop, Spot } from "./area";
import { drawEmote, emoteMs } from "./emotes";
import { bodyBox, drawBody, drawHead, drawLongHair, ellipse, hasLongHair, headBox, turnOf } from "./figure";
import { bodyKey, headKey, type Look } from "./look";
import { Sprites } from "./sprites";
import { Track, type Pose } from "./track";

type G = CanvasRenderingContext2D;

/** Units a second. */
export const walkSpeed = 215, runSpeed = 330;
/** Radius of an avatar on the ground. */
const girth = 13;
/** Milliseconds that a bubble stays: a while, and more for each letter. */
const bubbleMs = 3_200, bubbleLetterMs = 55, bubbleMostMs = 11_000;
/** Pixels of the screen that are drawn for one of the page, at most, and of the whole canvas. */
const ratioMax = 3, pixelsMax = 9_000_000;
/** Pixels for a unit of the ground's picture, at most: it is the largest picture there is. */
const groundPixelsMax = 2;

interface Bubble {
  text: string;
  until: number;
  whisper: boolean;
}

export class Actor {
  track: Track;
  pose: Pose;
  bubble: Bubble | null = null;
  emote: { kind: number; since: number } | null = null;
  /** Too far away to be followed: it is shown faintly. */
  far = false;
  walked = 0;
  born: number;

  constructor(
    readonly id: number,
    readonly uid: string,
    public name: string,
    public look: Look,
    pose: Pose,
    now: number,
  ) {
    this.pose = { ...pose };
    this.track = new Track(pose, now);
    this.born = now;
  }
}

export interface SceneOptions {
  /** No bobbing, no falling petals. */
  calm: boolean;
  night: boolean;
  /** Name of an area, for its door. */
  title(area: string): string;
}

/** What the person does: a direction from -1 to 1, and whether to run. */
export interface Steering {
  x: number;
  y: number;
  run: boolean;
}

export class Scene {
  readonly actors = new Map<number, Actor>();
  readonly sprites = new Sprites();
  own: Actor | null = null;
  area: Area | null = null;
  tickMs = 50;
  target: { x: number; y: number; since: number } | null = null;
  steering: Steering = { x: 0, y: 0, run: false };
  /** Part of the canvas, in pixels of the page, that panels cover: the camera keeps the own avatar out of it. */
  covered = { left: 0, bottom: 0 };
  /** Time that drawing took lately, in milliseconds, for people who measure. */
  drawMs = 0;
  frames = 0;

  onDoor: (door: Door) => void = () => {};
  onSpot: (spot: Spot | null) => void = () => {};

  private readonly g: G;
  private width = 1;
  private height = 1;
  private ratio = 1;
  private zoom = 1;
  private camera = { x: 0, y: 0, ready: false };
  private ground: HTMLCanvasElement | null = null;
  private light: HTMLCanvasElement | null = null;
  private before = 0;
  private stuckSince = 0;
  private spot: Spot | null = null;
  private atDoor: Door | null = null;
  private marks: { x: number; y: number; since: number }[] = [];

  constructor(
    private readonly canvas: HTMLCanvasElement,
    readonly options: SceneOptions,
  ) {
    this.g = canvas.getContext("2d", { alpha: false })!;
    new ResizeObserver(() => this.resize()).observe(canvas);
    this.resize();
  }

  private resize(): void {
    const width = Math.max(1, this.canvas.clientWidth), height = Math.max(1, this.canvas.clientHeight);
    this.ratio = Math.min(ratioMax, devicePixelRatio || 1, Math.sqrt(pixelsMax / (width * height)));
    this.width = width;
    this.height = height;
    this.canvas.width = Math.round(width * this.ratio);
    this.canvas.height = Math.round(height * this.ratio);
    this.zoom = Math.min(1.6, Math.max(0.82, Math.sqrt(width * height) / 820));
    this.sprites.scale(this.zoom * this.ratio);
    this.paintGround();
    this.camera.ready = false;
  }

  /** Shows another area, with nobody in it yet. */
  show(area: Area): void {
    this.area = area;
    this.actors.clear();
    this.own = this.target = null;
    this.marks = [];
    this.camera.ready = false;
    this.spot = null;
    this.onSpot(null);
    this.paintGround();
  }

  restyle(change: Partial<SceneOptions>): void {
    Object.assign(this.options, change);
    this.sprites.clear();
  }

  private paintGround(): void {
    const { area } = this;
    if (!area) return;
    const pixels = Math.min(groundPixelsMax, this.zoom * this.ratio);
    const canvas = document.createElement("canvas");
    canvas.width = Math.round(area.width * pixels);
    canvas.height = Math.round(area.height * pixels);
    const g = canvas.getContext("2d", { alpha: false })!;
    g.scale(pixels, pixels);
    area.ground(g);
    this.ground = canvas;
  }

  // --- who is here ---

  put(id: number, uid: string, name: string, look: Look, pose: Pose, now: number): Actor {
    let actor = this.actors.get(id);
    if (actor) {
      actor.name = name;
      actor.look = look;
    } else {
      actor = new Actor(id, uid, name, look, pose, now);
      this.actors.set(id, actor);
    }
    return actor;
  }

  say(id: number, text: string, whisper: boolean, now: number): void {
    const actor = this.actors.get(id);
    if (actor) actor.bubble = { text, whisper, until: now + Math.min(bubbleMostMs, bubbleMs + text.length * bubbleLetterMs) };
  }

  gesture(id: number, kind: number, now: number): void {
    const actor = this.actors.get(id);
    if (actor) actor.emote = { kind, since: now };
  }

  /** The avatar under a point of the page; own ones are passed over. */
  find(px: number, py: number): Actor | null {
    const { x, y } = this.toArea(px, py);
    let found: Actor | null = null;
    for (const a of this.actors.values()) {
      if (a === this.own || Math.abs(x - a.pose.x) > 24 || y > a.pose.y + 22 || y < a.pose.y - 78) continue;
      if (!found || a.pose.y > found.pose.y) found = a;
    }
    return found;
  }

  toArea(px: number, py: number): { x: number; y: number } {
    return { x: this.camera.x + px / this.zoom, y: this.camera.y + py / this.zoom };
  }

  toPage(x: number, y: number): { x: number; y: number } {
    return { x: (x - this.camera.x) * this.zoom, y: (y - this.camera.y) * this.zoom };
  }

  walkTo(x: number, y: number, now: number): void {
    if (!this.area) return;
    this.target = { x: clamp(x, girth, this.area.width - girth), y: clamp(y, girth, this.area.height - 2), since: now };
    this.stuckSince = 0;
    this.marks.push({ x: this.target.x, y: this.target.y, since: now });
    if (this.marks.length > 4) this.marks.shift();
  }

  // --- a frame ---

  /** Moves what moves, and draws. now: milliseconds. */
  frame(now: number): void {
    const begun = performance.now();
    const seconds = Math.min(0.1, (now - this.before) / 1000);
    this.before = now;
    if (!this.area) return;
    if (this.own) this.walk(seconds, now);
    const late = now - 2 * Math.max(20, this.tickMs);
    for (const a of this.actors.values()) {
      if (a === this.own) continue;
      const pose = a.track.at(late);
      a.walked += Math.hypot(pose.x - a.pose.x, pose.y - a.pose.y);
      a.pose = pose;
    }
    this.follow(seconds);
    this.draw(now);
    this.frames++;
    this.drawMs += (performance.now() - begun - this.drawMs) * 0.1;
  }

  private walk(seconds: number, now: number): void {
    const own = this.own!, area = this.area!;
    let { x: dx, y: dy, run } = this.steering;
    if (dx || dy) this.target = null;
    else if (this.target) {
      dx = this.target.x - own.pose.x;
      dy = this.target.y - own.pose.y;
      run = Math.hypot(dx, dy) > 420;
      if (Math.hypot(dx, dy) < 4) {
        this.target = null;
        dx = dy = 0;
      }
    }
    const length = Math.hypot(dx, dy);
    if (length === 0) {
      own.pose.gait = own.pose.gait === 3 ? 3 : 0;
    } else {
      const speed = (run ? runSpeed : walkSpeed) * seconds, go = this.target ? Math.min(speed, length) : speed;
      const at = slide({ x: own.pose.x + (dx / length) * go, y: own.pose.y + (dy / length) * go * 0.86 }, area);
      const went = Math.hypot(at.x - own.pose.x, at.y - own.pose.y);
      this.giveUp(went, go, now);
      own.walked += went;
      own.pose = { x: at.x, y: at.y, facing: Math.round((Math.atan2(dy, dx) / (Math.PI * 2)) * 256) & 255, gait: run ? 2 : 1 };
    }
    this.look(own.pose);
  }

  /** Who walks to a place that cannot be reached stops after a while. */
  private giveUp(went: number, wanted: number, now: number): void {
    if (!this.target || went > wanted * 0.3) this.stuckSince = 0;
    else if (!this.stuckSince) this.stuckSince = now;
    else if (now - this.stuckSince > 500) this.target = null;
  }

  /** Doors and spots near the own avatar. */
  private look(at: Pose): void {
    const near = (p: { x: number; y: number; radius: number }) => Math.hypot(p.x - at.x, (p.y - at.y) * 1.2) < p.radius;
    const door = this.area!.doors.find(near) ?? null;
    if (door && door !== this.atDoor) {
      this.atDoor = door;
      this.onDoor(door);
    } else if (!door) this.atDoor = null;
    const spots = this.area!.spots.filter(near).sort((a, b) => a.radius - b.radius);
    if ((spots[0] ?? null) !== this.spot) {
      this.spot = spots[0] ?? null;
      this.onSpot(this.spot);
    }
  }

  private follow(seconds: number): void {
    const area = this.area!, w = this.width / this.zoom, h = this.height / this.zoom;
    const left = this.covered.left / this.zoom, bottom = this.covered.bottom / this.zoom;
    const at = this.own?.pose ?? { ...area.start };
    const along = (middle: number, size: number, whole: number, before: number, after: number) => {
      const free = size - before - after;
      if (free >= whole) return -(before + (free - whole) / 2);
      return clamp(middle - before - free / 2, -before, whole - size + after);
    };
    const x = along(at.x, w, area.width, left, 0), y = along(at.y - 34, h, area.height, 0, bottom);
    const part = this.camera.ready && !this.options.calm ? 1 - Math.exp(-seconds * 9) : 1;
    this.camera = { x: this.camera.x + (x - this.camera.x) * part, y: this.camera.y + (y - this.camera.y) * part, ready: true };
  }

  private draw(now: number): void {
    const { g, area } = this;
    if (!area) return;
    const seconds = this.options.calm ? 0 : now / 1000, night = this.options.night;
    const pixels = this.zoom * this.ratio;
    g.setTransform(1, 0, 0, 1, 0, 0);
    g.fillStyle = area.edge.day;
    g.fillRect(0, 0, this.canvas.width, this.canvas.height);
    g.setTransform(pixels, 0, 0, pixels, -Math.round(this.camera.x * pixels), -Math.round(this.camera.y * pixels));
    if (this.ground) g.drawImage(this.ground, 0, 0, area.width, area.height);
    area.surface?.(g, seconds, night);
    this.drawMarks(now);
    const view = { left: this.camera.x, top: this.camera.y, right: this.camera.x + this.width / this.zoom, bottom: this.camera.y + this.height / this.zoom };
    const inSight = (x: number, y: number, b: readonly [number, number, number, number]) => x + b[0] < view.right && x + b[0] + b[2] > view.left && y + b[1] < view.bottom && y + b[1] + b[3] > view.top;
    const things: { y: number; prop?: Prop; actor?: Actor }[] = [];
    for (const prop of area.props) if (inSight(prop.x, prop.y, prop.box)) things.push({ y: prop.y, prop });
    for (const actor of this.actors.values()) if (inSight(actor.pose.x, actor.pose.y, [-40, -120, 80, 150])) things.push({ y: actor.pose.y, actor });
    things.sort((a, b) => a.y - b.y);
    for (const t of things) {
      if (t.prop) this.drawProp(t.prop, seconds, night);
      else this.drawActor(t.actor!, now);
    }
    if (night) this.drawNight(area);
    this.drawSigns(area);
    for (const t of things) if (t.actor) this.drawName(t.actor);
    for (const t of things) if (t.actor) this.drawTalk(t.actor, now);
  }

  /** A place on whole pixels, where letters are sharp. */
  private snap(v: number): number {
    const pixels = this.zoom * this.ratio;
    return Math.round(v * pixels) / pixels;
  }

  private drawProp(p: Prop, seconds: number, night: boolean): void {
    const { g } = this;
    this.sprites.put(g, `${p.key ?? `${p.x}.${p.y}`}${night ? "n" : ""}`, p.x, p.y, p.box, (s) => p.draw(s, seconds, night));
    if (!p.live) return;
    g.save();
    g.translate(p.x, p.y);
    p.live(g, seconds, night);
    g.restore();
  }

  private drawMarks(now: number): void {
    const { g } = this;
    this.marks = this.marks.filter((m) => now - m.since < 700);
    for (const m of this.marks) {
      const part = this.options.calm ? 0.3 : (now - m.since) / 700;
      g.beginPath();
      g.ellipse(m.x, m.y, 8 + part * 18, (8 + part * 18) * 0.6, 0, 0, 6.3);
      g.lineWidth = 3;
      g.strokeStyle = `rgb(255 255 255 / ${0.8 * (1 - part)})`;
      g.stroke();
    }
  }

  private drawActor(a: Actor, now: number): void {
    const { g } = this, { turn, mirror } = turnOf(a.pose.facing), moving = a.pose.gait === 1 || a.pose.gait === 2;
    const beat = moving ? Math.floor(a.walked / 17) % 4 : 0, frame = [0, 1, 0, 2][beat]!;
    const calm = this.options.calm;
    let lift = 0, lean = 0;
    if (!calm) {
      if (moving) lift = Math.abs(Math.sin((a.walked / 34) * Math.PI)) * 3;
      else lift = Math.sin(now / 620 + a.id) * 0.6;
      if (a.emote) ({ lift, lean } = gestureOf(a.emote.kind, (now - a.emote.since) / 1000, lift));
    }
    const appear = calm ? 1 : Math.min(1, (now - a.born) / 260);
    g.globalAlpha = (a.far ? 0.45 : 1) * appear;
    if (a === this.own) {
      g.beginPath();
      g.ellipse(a.pose.x, a.pose.y - 1, 22, 11, 0, 0, 6.3);
      g.lineWidth = 2.4;
      g.strokeStyle = "#fff9";
      g.stroke();
    }
    ellipse(g, a.pose.x, a.pose.y - 1, 17, 7.5, "#1a142833");
    g.save();
    g.translate(a.pose.x, a.pose.y - lift);
    g.scale(mirror ? -appear : appear, appear);
    g.rotate(lean);
    if (turn < 3 && hasLongHair(a.look)) this.sprites.put(g, `l${a.look.hair}.${a.look.hairColour}.${turn}`, 0, lean * 20, headBox, (s) => drawLongHair(s, a.look, turn));
    this.sprites.put(g, `b${bodyKey(a.look)}.${turn}.${frame}`, 0, 0, bodyBox, (s) => drawBody(s, a.look, turn, frame));
    this.sprites.put(g, `h${headKey(a.look)}.${turn}`, 0, lean * 20, headBox, (s) => drawHead(s, a.look, turn));
    g.restore();
    g.globalAlpha = 1;
  }

  private drawName(a: Actor): void {
    const own = a === this.own, { g } = this;
    g.font = nameFont;
    g.globalAlpha = a.far ? 0.5 : 1;
    const key = `n${own ? "!" : ""}${a.name}`, width = Math.min(170, g.measureText(a.name).width) + 16;
    this.sprites.put(g, key, this.snap(a.pose.x), this.snap(a.pose.y), [-width / 2 - 2, 6, width + 4, 24], (s) => {
      s.font = nameFont;
      s.textAlign = "center";
      s.textBaseline = "middle";
      s.beginPath();
      s.roundRect(-width / 2, 8, width, 19, 9.5);
      s.fillStyle = own ? "#b23a22" : "#2b2230c4";
      s.fill();
      s.fillStyle = "#fff";
      s.fillText(a.name, 0, 18, 170);
    });
    g.globalAlpha = 1;
  }

  private drawTalk(a: Actor, now: number): void {
    const { g } = this, top = a.pose.y - (a.look.hat ? 100 : 82);
    if (a.bubble && now > a.bubble.until) a.bubble = null;
    if (a.emote && now - a.emote.since > emoteMs) a.emote = null;
    if (a.emote) {
      const t = (now - a.emote.since) / emoteMs, grow = this.options.calm ? 1 : Math.min(1, t * 9) * (1 + 0.18 * Math.max(0, Math.sin(Math.min(1, t * 5) * Math.PI)));
      g.save();
      g.translate(a.pose.x + (a.bubble ? 30 : 0), top - 14 - (this.options.calm ? 0 : t * 8));
      g.scale(grow, grow);
      g.globalAlpha = Math.min(1, (1 - t) * 5);
      this.sprites.put(g, `e${a.emote.kind}`, 0, 0, [-22, -22, 44, 44], (s) => {
        ellipse(s, 0, 0, 20, 20, "#fffdf8f2");
        drawEmote(s, a.emote!.kind);
      });
      g.restore();
      g.globalAlpha = 1;
    }
    if (a.bubble) this.drawBubble(a.bubble, a.pose.x, top, now);
  }

  private drawBubble(b: Bubble, x: number, y: number, now: number): void {
    const { g } = this;
    g.font = bubbleFont;
    const lines = wrap(g, b.text, 200, 4), width = Math.max(26, ...lines.map((l) => g.measureText(l).width)) + 24, height = lines.length * 19 + 15;
    g.globalAlpha = Math.min(1, (b.until - now) / 400);
    this.sprites.put(g, `s${b.whisper ? "w" : ""}${b.text}`, this.snap(x), this.snap(y), [-width / 2 - 4, -height - 14, width + 8, height + 18], (s) => {
      s.font = bubbleFont;
      s.shadowColor = "#0003";
      s.shadowBlur = 6;
      s.shadowOffsetY = 1;
      s.fillStyle = b.whisper ? "#efe3ff" : "#fffdf8";
      s.beginPath();
      s.roundRect(-width / 2, -height - 8, width, height, 14);
      s.moveTo(-7, -9);
      s.lineTo(0, 1);
      s.lineTo(8, -9);
      s.fill();
      s.shadowColor = "transparent";
      s.fillStyle = b.whisper ? "#46287a" : "#33261f";
      s.textAlign = "center";
      s.textBaseline = "middle";
      lines.forEach((l, i) => s.fillText(l, 0, -height - 8 + 17 + i * 19));
    });
    g.globalAlpha = 1;
  }

  private drawSigns(area: Area): void {
    const { g } = this;
    for (const door of area.doors) {
      const title = this.options.title(door.to), below = door.y > area.height - 60;
      g.font = signFont;
      const width = g.measureText(title).width + 30;
      this.sprites.put(g, `d${title}`, clamp(door.x, width / 2 + 6, area.width - width / 2 - 6), below ? door.y - 60 : door.y - 150, [-width / 2 - 4, -22, width + 8, 44], (s) => {
        s.font = signFont;
        s.fillStyle = "#fff8ea";
        s.strokeStyle = "#7a4a2f";
        s.lineWidth = 2.5;
        s.beginPath();
        s.roundRect(-width / 2, -16, width, 32, 9);
        s.fill();
        s.stroke();
        s.fillStyle = "#4a2c1a";
        s.textAlign = "center";
        s.textBaseline = "middle";
        s.fillText(title, 0, 1);
      });
    }
  }

  /** Night: a small picture of the light, which darkens all that it does not reach. */
  private drawNight(area: Area): void {
    const { g } = this, fine = 4;
    const light = (this.light ??= document.createElement("canvas"));
    const w = Math.max(1, Math.ceil(this.width / fine)), h = Math.max(1, Math.ceil(this.height / fine));
    if (light.width !== w || light.height !== h) {
      light.width = w;
      light.height = h;
    }
    const l = light.getContext("2d", { alpha: false })!;
    l.globalCompositeOperation = "source-over";
    l.setTransform(1, 0, 0, 1, 0, 0);
    l.fillStyle = "#59649c";
    l.fillRect(0, 0, w, h);
    const scale = this.zoom / fine;
    l.setTransform(scale, 0, 0, scale, -this.camera.x * scale, -this.camera.y * scale);
    l.globalCompositeOperation = "lighter";
    const lamps: Lamp[] = this.own ? [...area.lamps, { x: this.own.pose.x, y: this.own.pose.y - 20, radius: 150, colour: "120 110 90" }] : area.lamps;
    for (const lamp of lamps) {
      const glow = l.createRadialGradient(lamp.x, lamp.y, 0, lamp.x, lamp.y, lamp.radius);
      glow.addColorStop(0, `rgb(${lamp.colour} / 0.75)`);
      glow.addColorStop(0.5, `rgb(${lamp.colour} / 0.25)`);
      glow.addColorStop(1, `rgb(${lamp.colour} / 0)`);
      l.fillStyle = glow;
      l.fillRect(lamp.x - lamp.radius, lamp.y - lamp.radius, lamp.radius * 2, lamp.radius * 2);
    }
    g.save();
    g.setTransform(1, 0, 0, 1, 0, 0);
    g.globalCompositeOperation = "multiply";
    g.imageSmoothingEnabled = true;
    g.drawImage(light, 0, 0, this.canvas.width, this.canvas.height);
    g.restore();
  }
}

const family = `"Hiragino Maru Gothic ProN", "Zen Maru Gothic", "M PLUS Rounded 1c", ui-rounded, Nunito, "Noto Sans JP", system-ui, sans-serif`;
const nameFont = `600 12px ${family}`, bubbleFont = `500 14.5px ${family}`, signFont = `700 16px ${family}`;

const clamp = (v: number, low: number, high: number) => Math.max(low, Math.min(high, v));

/** Keeps a place within the area and out of what stands there. */
export function slide(at: { x: number; y: number }, area: { width: number; height: number; blocks: readonly Block[] }): { x: number; y: number } {
  let { x, y } = at;
  for (const b of area.blocks) {
    const rx = b.rx + girth, ry = b.ry + girth * 0.6, dx = (x - b.x) / rx, dy = (y - b.y) / ry, d = Math.hypot(dx, dy);
    if (d >= 1) continue;
    x = b.x + (d > 0 ? dx / d : 0) * rx;
    y = b.y + (d > 0 ? dy / d : 1) * ry;
  }
  return { x: clamp(x, girth, area.width - girth), y: clamp(y, girth, area.height - 2) };
}

function gestureOf(kind: number, t: number, lift: number): { lift: number; lean: number } {
  const fade = Math.max(0, 1 - t / (emoteMs / 1000));
  switch (kind) {
    case 1:
      return { lift, lean: Math.sin(t * 11) * 0.1 * fade };
    case 2:
      return { lift: Math.abs(Math.sin(t * 8)) * 11 * fade, lean: Math.sin(t * 8) * 0.2 * fade };
    case 3:
      return { lift: Math.abs(Math.sin(t * 14)) * 4 * fade, lean: 0 };
    case 4:
      return { lift, lean: t < 1.3 ? Math.sin((t / 1.3) * Math.PI) * 0.55 : 0 };
    case 6:
      return { lift: Math.abs(Math.sin(t * 6)) * 6 * fade, lean: 0 };
  }
  return { lift, lean: Math.sin(t * 16) * 0.03 * fade };
}

/** Breaks a text into lines of a width: at blanks where there are some, else anywhere, as Japanese does. */
export function wrap(g: { measureText(t: string): { width: number } }, text: string, width: number, linesMax: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const part of text.replace(/\s+/g, " ").match(/[\p{L}\p{N}\p{P}\p{S}]*?[\u3000-\u9fff\uff00-\uffef]|[^\s\u3000-\u9fff\uff00-\uffef]+|\s/gu) ?? []) {
    for (const piece of g.measureText(part).width > width ? [...part] : [part]) {
      if (line && g.measureText(line + piece).width > width) {
        lines.push(line.trim());
        line = "";
      }
      if (lines.length === linesMax) {
        lines[linesMax - 1] = `${lines[linesMax - 1]!.slice(0, -1)}…`;
        return lines;
      }
      line += piece;
    }
  }
  if (line.trim()) lines.push(line.trim());
  return lines.length ? lines : [text];
}
