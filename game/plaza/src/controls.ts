// Keys and touches, turned into what the person wants.

import type { Actor, Scene } from "./scene";
import type { Client } from "../../client/kamado";

export interface Wants {
  talk(): void;
  emote(n: number): void;
  act(): boolean;
  meet(a: Actor): void;
}

const directions: Record<string, readonly [number, number]> = {
  ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1],
  KeyA: [-1, 0], KeyD: [1, 0], KeyW: [0, -1], KeyS: [0, 1],
};

/** Whether keys belong to what has the focus: a field, or a dialog. */
function elsewhere(e: KeyboardEvent): boolean {
  const on = e.target instanceof Element ? e.target : null;
  if (document.querySelector("dialog[open]")) return true;
  if (on?.closest("input, textarea, select")) return true;
  return on?.closest("#log, #people") !== null && on !== null && e.code.startsWith("Arrow");
}

export function control(canvas: HTMLCanvasElement, scene: Scene, wants: Wants): void {
  const held = new Set<string>();
  let shift = false;
  const steer = () => {
    let x = 0, y = 0;
    for (const code of held) {
      x += directions[code]![0];
      y += directions[code]![1];
    }
    scene.steering = { x: Math.sign(x), y: Math.sign(y), run: shift };
  };
  addEventListener("keydown", (e) => {
    if (e.ctrlKey || e.metaKey || e.altKey || elsewhere(e)) return;
    shift = e.shiftKey;
    const onButton = e.target instanceof Element && e.target.closest("button, a") !== null;
    if (Object.hasOwn(directions, e.code)) {
      held.add(e.code);
      e.preventDefault();
    } else if (e.key === "Enter" && !onButton) {
      e.preventDefault();
      if (!wants.act()) wants.talk();
    } else if (e.key === "t" || e.key === "/") {
      e.preventDefault();
      wants.talk();
    } else if (/^[1-6]$/.test(e.key)) wants.emote(Number(e.key));
    steer();
  });
  addEventListener("keyup", (e) => {
    shift = e.shiftKey;
    held.delete(e.code);
    steer();
  });
  const rest = () => {
    held.clear();
    steer();
  };
  addEventListener("blur", rest);
  document.addEventListener("focusin", (e) => {
    if (e.target instanceof Element && e.target.closest("input, dialog")) rest();
  });

  let down: number | null = null;
  canvas.addEventListener("pointerdown", (e) => {
    if (e.button !== 0) return;
    const found = scene.find(e.offsetX, e.offsetY);
    if (found) {
      wants.meet(found);
      return;
    }
    down = e.pointerId;
    canvas.setPointerCapture(e.pointerId);
    const at = scene.toArea(e.offsetX, e.offsetY);
    scene.walkTo(at.x, at.y, performance.now());
  });
  canvas.addEventListener("pointermove", (e) => {
    if (down !== e.pointerId || !scene.target) return;
    const at = scene.toArea(e.offsetX, e.offsetY);
    Object.assign(scene.target, at); // the finger leads
  });
  const up = (e: PointerEvent) => {
    if (down === e.pointerId) down = null;
  };
  canvas.addEventListener("pointerup", up);
  canvas.addEventListener("pointercancel", up);
}

/** Tells the server where the own avatar is: at most once a tick, and once more when it stops. */
export class Reporter {
  private toldAt = 0;
  private told = "";
  /** Poses that were told, by their step, to know them when they come back. */
  private readonly sent = new Map<number, { x: number; y: number }>();

  constructor(private readonly client: Client) {}

  reset(): void {
    this.told = "";
    this.sent.clear();
  }

  frame(scene: Scene, now: number): void {
    const own = scene.own;
    if (!own || now - this.toldAt < Math.max(50, scene.tickMs)) return;
    const p = { x: Math.round(own.pose.x), y: Math.round(own.pose.y), facing: own.pose.facing, gait: own.pose.gait };
    const key = `${p.x} ${p.y} ${p.facing} ${p.gait}`;
    if (key === this.told) return;
    const step = this.client.move(p);
    if (step < 0) return;
    this.told = key;
    this.toldAt = now;
    this.sent.set(step, p);
    if (this.sent.size > 128) this.sent.delete(this.sent.keys().next().value!);
  }

  /** The server's word on the own avatar: it stands unless the server put it elsewhere than it said. */
  correct(scene: Scene, row: { x: number; y: number; facing: number; step: number }): void {
    const own = scene.own, said = this.sent.get(row.step);
    if (!own) return;
    const from = said ?? own.pose;
    if (Math.hypot(row.x - from.x, row.y - from.y) <= 3) return;
    own.pose.x = row.x;
    own.pose.y = row.y;
    own.pose.facing = row.facing;
    scene.target = null;
    this.told = `${row.x} ${row.y} ${row.facing} ${own.pose.gait}`;
  }
}
