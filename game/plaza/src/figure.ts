// How an avatar is drawn: a body and a head, each in five directions (the others are mirrored), with what it wears.
// Units are those of the area; zero is between the feet.

import { coatColours, hairColours, skinColours, type Look } from "./look";

type G = CanvasRenderingContext2D;

/** Directions: 0 to the viewer, 2 to the right, 4 away; 1 and 3 between them. */
export type Turn = 0 | 1 | 2 | 3 | 4;

/** Direction and mirroring of a facing of the protocol: 256 steps a turn, clockwise, 0 to the right. */
export function turnOf(facing: number): { turn: Turn; mirror: boolean } {
  const eighth = Math.round(facing / 32) & 7; // 0 right, 2 down, 4 left, 6 up
  return { turn: ([2, 1, 0, 1, 2, 3, 4, 3] as const)[eighth]!, mirror: eighth >= 3 && eighth <= 5 };
}

export const bodyBox = [-26, -44, 52, 50] as const;
export const headBox = [-36, -108, 72, 84] as const;

const tau = Math.PI * 2;

/** A colour made darker (below 0) or lighter (above), by a part from -1 to 1. */
export function shade(hex: string, by: number): string {
  const to = by < 0 ? 0 : 255, part = Math.abs(by);
  const mix = (at: number) => {
    const v = parseInt(hex.slice(at, at + 2), 16);
    return Math.round(v + (to - v) * part);
  };
  return `rgb(${mix(1)} ${mix(3)} ${mix(5)})`;
}

export function ellipse(g: G, x: number, y: number, rx: number, ry: number, fill: string | CanvasGradient, turn = 0): void {
  g.beginPath();
  g.ellipse(x, y, rx, ry, turn, 0, tau);
  g.fillStyle = fill;
  g.fill();
}

/** Body, arms and feet. frame: 0 stands, 1 and 2 are the steps; sits: lower. */
export function drawBody(g: G, look: Look, turn: Turn, frame: number): void {
  const coat = coatColours[look.coat === "gold" ? 1 : look.coat === "night" ? 4 : look.colour]!;
  const skin = skinColours[look.skin]!;
  const narrow = [1, 0.96, 0.84, 0.96, 1][turn]!;
  const swing = frame === 0 ? 0 : frame === 1 ? 1 : -1;
  const side = turn === 2 ? 1 : turn === 1 || turn === 3 ? 0.6 : 0;

  for (const foot of [-1, 1]) {
    const lift = swing === foot ? 2.5 : 0;
    ellipse(g, foot * 6.5 * (1 - side * 0.55) + swing * foot * 4 * side + side * 2, -2.5 - lift + (turn >= 3 ? -1 : 0), 6.2, 4, shade(coat, -0.55));
  }
  const arm = (at: number, behind: boolean) => {
    g.save();
    g.translate(at * 12.5 * narrow * (1 - side * 0.35), -27);
    g.rotate(-at * 0.32 * (1 - side) + swing * (behind ? 1 : -1) * (0.16 + side * 0.5));
    ellipse(g, 0, 8, 4.6, 9.5, shade(coat, behind ? -0.22 : -0.1));
    ellipse(g, 0, 15.5, 3.9, 3.9, skin);
    g.restore();
  };
  arm(-1, side > 0);
  if (side < 0.9) arm(1, false);

  const body = new Path2D(`M${-9.5 * narrow},-37 C${-13 * narrow},-30 ${-16.5 * narrow},-14 ${-15.5 * narrow},-7 Q0,-1.5 ${15.5 * narrow},-7 C${16.5 * narrow},-14 ${13 * narrow},-30 ${9.5 * narrow},-37 Z`);
  const light = g.createLinearGradient(-16, -36, 16, -4);
  light.addColorStop(0, shade(coat, 0.16));
  light.addColorStop(1, shade(coat, -0.14));
  g.fillStyle = light;
  g.fill(body);
  g.save();
  g.clip(body);
  pattern(g, look.coat ?? "", coat, turn);
  g.restore();
  if (turn < 2) {
    g.fillStyle = shade(coat, -0.35);
    for (const y of [-24, -16]) ellipse(g, turn * 5, y, 1.7, 1.7, look.coat === "gold" ? "#fff6d8" : shade(coat, -0.4));
  }
  if (side >= 0.9) arm(0.2, false);
}

function pattern(g: G, coat: string, base: string, turn: Turn): void {
  switch (coat) {
    case "stripes":
      g.fillStyle = "#fff8";
      for (let y = -34; y < 0; y += 9) g.fillRect(-20, y, 40, 4);
      break;
    case "sakura":
      for (const [x, y, s] of [[-9, -12, 1], [6, -20, 0.9], [-4, -28, 0.8], [11, -9, 0.85], [-13, -22, 0.7], [2, -8, 0.7]] as const) blossom(g, x + turn, y, 3.4 * s, "#ffd9e6");
      break;
    case "night": {
      g.fillStyle = "#fff2b8";
      for (const [x, y, r] of [[-9, -13, 1.6], [5, -21, 1.3], [-4, -29, 1], [11, -10, 1.2], [-12, -23, 0.9], [2, -9, 1], [8, -30, 0.8]] as const) star(g, x + turn, y, r * 1.9);
      break;
    }
    case "gold": {
      const shine = g.createLinearGradient(-18, -40, 18, 0);
      for (const [at, c] of [[0, "#b8791b"], [0.3, "#ffe9a3"], [0.5, "#e0a52e"], [0.72, "#fff3c4"], [1, "#b8791b"]] as const) shine.addColorStop(at, c);
      g.fillStyle = shine;
      g.fillRect(-20, -42, 40, 44);
      break;
    }
    default:
      g.fillStyle = shade(base, -0.16);
      g.fillRect(-20, -8.5, 40, 9);
  }
}

export function blossom(g: G, x: number, y: number, r: number, colour: string): void {
  for (let i = 0; i < 5; i++) {
    const a = (i / 5) * tau - 0.3;
    ellipse(g, x + Math.cos(a) * r * 0.62, y + Math.sin(a) * r * 0.62, r * 0.55, r * 0.4, colour, a);
  }
  ellipse(g, x, y, r * 0.26, r * 0.26, "#e86a92");
}

export function star(g: G, x: number, y: number, r: number): void {
  g.beginPath();
  for (let i = 0; i < 10; i++) {
    const a = (i / 10) * tau - Math.PI / 2, d = i % 2 ? r * 0.45 : r;
    g.lineTo(x + Math.cos(a) * d, y + Math.sin(a) * d);
  }
  g.closePath();
  g.fill();
}

const headY = -52;

/** Whether a look has hair that lies behind the body when the face is seen. */
export const hasLongHair = (look: Look): boolean => look.hair === 2 || look.hair === 3 || look.hair === 5;

/** Long hair of somebody whose face is seen: it is drawn before the body. */
export function drawLongHair(g: G, look: Look, turn: Turn): void {
  if (turn < 3) hairBehind(g, look.hair, hairColours[look.hairColour]!, turn);
}

/** Head, face, hair and hat. */
export function drawHead(g: G, look: Look, turn: Turn): void {
  const skin = skinColours[look.skin]!, hair = hairColours[look.hairColour]!;
  const face = [0, 5.5, 10, 0, 0][turn]!;
  const seen = turn < 3;
  if (!seen) hairBehind(g, look.hair, hair, turn);
  if (look.hat === "cat") catEars(g, turn);
  ellipse(g, 0, headY, 20, 18.5, skin);
  const glow = g.createRadialGradient(-6, headY - 7, 2, 0, headY, 21);
  glow.addColorStop(0, "#ffffff38");
  glow.addColorStop(1, "#00000014");
  ellipse(g, 0, headY, 20, 18.5, glow);
  if (turn === 2 || turn === 3) ellipse(g, turn === 2 ? -3 : 9, headY + 3, 3.2, 4, shade(skin, -0.14));
  if (seen) drawFace(g, face, turn, skin);
  hairInFront(g, look.hair, hair, turn, look.hat);
  drawHat(g, look.hat, turn);
}

function drawFace(g: G, at: number, turn: Turn, skin: string): void {
  const apart = turn === 2 ? 4.2 : turn === 1 ? 7 : 7.8;
  for (const eye of turn === 2 ? [0.9] : [-1, 1]) {
    const x = at + eye * apart;
    ellipse(g, x, headY + 2.5, 2.5, 3.7, "#2a201d");
    ellipse(g, x + 0.8, headY + 1.1, 0.95, 1.2, "#fff");
  }
  for (const cheek of turn === 2 ? [0.3] : [-1, 1]) ellipse(g, at + cheek * (apart + 3.4), headY + 8.2, 3.3, 2, "#f0708055");
  g.beginPath();
  g.lineWidth = 1.5;
  g.lineCap = "round";
  g.strokeStyle = shade(skin, -0.6);
  g.arc(at + (turn === 2 ? 3 : 0), headY + 7.4, 2.7, 0.25, Math.PI - 0.25);
  g.stroke();
}

function hairBehind(g: G, style: number, colour: string, turn: Turn): void {
  const dark = shade(colour, -0.2), back = turn * 2.2;
  if (style === 2) ellipse(g, -back * 0.5, headY + 4, 21.5, 19, dark);
  if (style === 3) ellipse(g, -back * 2 - (turn === 0 || turn === 4 ? -15 : 6), headY - 6 + turn, 8, 11, dark, turn ? 0.6 : -0.6);
  if (style === 5) {
    g.beginPath();
    g.roundRect(-21.5 - back * 0.4, headY - 10, 43, 40, [20, 20, 14, 14]);
    g.fillStyle = dark;
    g.fill();
  }
}

function hairInFront(g: G, style: number, colour: string, turn: Turn, hat?: string): void {
  if (style === 0) return;
  const away = turn >= 3;
  g.save();
  const head = new Path2D();
  head.ellipse(0, headY, 20.8, 19.3, 0, 0, tau);
  g.clip(head);
  g.fillStyle = colour;
  if (away) {
    g.fillRect(-24, headY - 24, 48, style === 2 || style === 5 ? 44 : 33);
  } else {
    const shift = turn * 4.5;
    const low = style === 1 ? -6 : style === 4 ? -7 : -5;
    g.beginPath();
    g.moveTo(-26, headY + (style === 2 || style === 5 ? 12 : 5));
    g.quadraticCurveTo(-19 + shift * 0.6, headY + 2, -15 + shift, headY + low);
    g.quadraticCurveTo(-2 + shift, headY + low - 6, 4 + shift, headY + low - 3);
    g.quadraticCurveTo(13 + shift * 0.5, headY + low, 19, headY + (turn === 2 ? -4 : 3));
    g.lineTo(26, headY + (turn === 2 ? -6 : 6));
    g.lineTo(26, headY - 30);
    g.lineTo(-26, headY - 30);
    g.fill();
  }
  g.restore();
  if (style === 4 && !hat) {
    g.fillStyle = colour;
    for (const [x, a] of [[-13, -0.55], [-5, -0.2], [4, 0.1], [12, 0.5]] as const) {
      g.save();
      g.translate(x, headY - 14);
      g.rotate(a);
      g.beginPath();
      g.moveTo(-6, 4);
      g.lineTo(0, -13);
      g.lineTo(6, 4);
      g.fill();
      g.restore();
    }
  }
  if (style === 3 && turn !== 4 && !hat) ellipse(g, turn === 0 ? 13 : -9 + turn, headY - 15, 3, 3, "#e0566f");
  g.beginPath();
  g.strokeStyle = "#ffffff30";
  g.lineWidth = 2.6;
  g.arc(-2, headY, 15, -2.3, -1.5);
  g.stroke();
}

function catEars(g: G, turn: Turn): void {
  for (const ear of [-1, 1]) {
    g.save();
    g.translate(ear * 12.5 * (turn === 2 ? 0.75 : 1), headY - 14);
    g.rotate(ear * 0.35);
    for (const [s, c] of [[1, "#3a3340"], [0.58, turn < 3 ? "#f29bb1" : "#3a3340"]] as const) {
      g.beginPath();
      g.moveTo(-8 * s, 4);
      g.quadraticCurveTo(-4 * s, -14 * s, 0, -16 * s);
      g.quadraticCurveTo(4 * s, -14 * s, 8 * s, 4);
      g.fillStyle = c;
      g.fill();
    }
    g.restore();
  }
}

/** Hats are drawn over the hair; those that have a part behind the head draw it in hairBehind's place. */
function drawHat(g: G, hat: string | undefined, turn: Turn): void {
  const top = headY - 13;
  switch (hat) {
    case "straw":
      ellipse(g, 0, top + 4, 29, 8.5, "#d9a94e");
      ellipse(g, 0, top + 2.6, 29, 7.6, "#efc873");
      dome(g, 0, top + 2, 16.5, 17, "#f3d083");
      band(g, top + 1.5, 16.6, 4.4, "#c2452d");
      break;
    case "beret":
      ellipse(g, -3, top - 1, 21, 9.5, "#a8324a", -0.14);
      ellipse(g, -5, top - 4, 17, 6, "#c4475f", -0.14);
      ellipse(g, -4, top - 10, 1.8, 3.2, "#a8324a");
      break;
    case "flower":
      for (let i = -3; i <= 3; i++) {
        const a = (i / 3.4) * 1.25;
        blossom(g, Math.sin(a) * 19.5, headY - 3 - Math.cos(a) * 13.5, 5.6, ["#ff9fb8", "#ffd166", "#fff3f6", "#b5a1ff"][(i + 4) % 4]!);
      }
      break;
    case "chef":
      for (const [x, y, r] of [[-11, -14, 10.5], [11, -14, 10.5], [0, -20, 12.5], [-5, -11, 10], [6, -11, 10]] as const) ellipse(g, x, top + y, r, r * 0.9, x < 0 ? "#fff" : "#f1eee8");
      g.beginPath();
      g.roundRect(-15.5, top - 8, 31, 13, 4);
      g.fillStyle = "#fff";
      g.fill();
      g.strokeStyle = "#0002";
      g.lineWidth = 1;
      g.stroke();
      break;
    case "phones":
      g.beginPath();
      g.arc(0, headY - 1, 21.3, Math.PI + 0.25, -0.25);
      g.strokeStyle = "#30323d";
      g.lineWidth = 4.4;
      g.stroke();
      for (const ear of turn === 2 ? [-0.1] : [-1, 1]) {
        ellipse(g, ear * 20.5, headY + 2, 5.4, 8, "#30323d");
        ellipse(g, ear * 21.5, headY + 2, 3.2, 5.4, "#48c9b0");
      }
      break;
    case "wizard":
      ellipse(g, 0, top + 3, 27, 8, "#2b2d6b");
      g.beginPath();
      g.moveTo(-17, top + 2);
      g.quadraticCurveTo(-6, top - 20, 7, top - 39);
      g.quadraticCurveTo(10, top - 14, 17, top + 2);
      g.quadraticCurveTo(0, top + 8, -17, top + 2);
      g.fillStyle = "#3a3d8f";
      g.fill();
      g.fillStyle = "#ffe27a";
      for (const [x, y, r] of [[-5, -6, 3.4], [6, -17, 2.6], [7, -2, 2], [1, -27, 1.8]] as const) star(g, x, top + y, r);
      break;
    case "crown": {
      const gold = g.createLinearGradient(-15, 0, 15, 0);
      gold.addColorStop(0, "#c98a1c");
      gold.addColorStop(0.45, "#ffe492");
      gold.addColorStop(1, "#c98a1c");
      g.beginPath();
      g.moveTo(-15, top + 4);
      for (const [x, y] of [[-18, -14], [-8.5, -5], [0, -18], [8.5, -5], [18, -14], [15, 4]] as const) g.lineTo(x, top + y);
      g.quadraticCurveTo(0, top + 9, -15, top + 4);
      g.fillStyle = gold;
      g.fill();
      for (const [x, y, c] of [[-18, -15, "#e9506a"], [0, -19, "#58b4e0"], [18, -15, "#e9506a"]] as const) ellipse(g, x, top + y, 2.6, 2.6, c);
      ellipse(g, 0, top, 3, 2.6, "#e9506a");
      break;
    }
  }
}

function dome(g: G, x: number, y: number, rx: number, ry: number, colour: string): void {
  g.beginPath();
  g.ellipse(x, y, rx, ry, 0, Math.PI, tau);
  g.quadraticCurveTo(x, y + 7, x - rx, y);
  g.fillStyle = colour;
  g.fill();
}

function band(g: G, y: number, rx: number, height: number, colour: string): void {
  g.beginPath();
  g.moveTo(-rx, y - height);
  g.quadraticCurveTo(0, y + 5 - height, rx, y - height);
  g.lineTo(rx, y);
  g.quadraticCurveTo(0, y + 5.5, -rx, y);
  g.fillStyle = colour;
  g.fill();
}
