// The garden: a pond with a bridge, stones to step on, cherry and maple trees.

import type { Area, G, Prop } from "../area";
import { seeded } from "../area";
import { blossom, ellipse, shade } from "../figure";
import { bench, bush, gate, glitter, lantern, meadow, path, shadow, tree, trunk } from "../paint";

const pond = { x: 720, y: 620, rx: 380, ry: 210 };

function water(g: G): void {
  for (const [grow, c] of [[26, "#cfc0a0"], [16, "#b9a987"], [6, "#5f9fb0"], [0, "#74b6c6"]] as const) {
    g.beginPath();
    g.ellipse(pond.x, pond.y, pond.rx + grow, pond.ry + grow * 0.8, 0, 0, 6.3);
    g.ellipse(pond.x + 260, pond.y - 120, 170 + grow, 110 + grow * 0.8, 0, 0, 6.3);
    g.fillStyle = c;
    g.fill();
  }
  ellipse(g, pond.x - 30, pond.y + 14, pond.rx - 70, pond.ry - 56, "#86c5d3");
  const random = seeded(5);
  for (let i = 0; i < 64; i++) {
    const a = (i / 64) * 6.28 + random() * 0.06, r = 8 + random() * 9;
    const x = pond.x + Math.cos(a) * (pond.rx + 18), y = pond.y + Math.sin(a) * (pond.ry + 15);
    if (((x - pond.x - 260) / 176) ** 2 + ((y - pond.y + 120) / 116) ** 2 < 1 || Math.abs(x - 720) < 70) continue;
    ellipse(g, x, y + 3, r, r * 0.66, "#8e877e");
    ellipse(g, x, y, r, r * 0.62, shade("#b7b0a6", random() * 0.2 - 0.05));
  }
}

function lilies(g: G, s: number): void {
  const random = seeded(23);
  for (let i = 0; i < 13; i++) {
    const a = random() * 6.28, d = 0.35 + random() * 0.5, x = pond.x - 40 + Math.cos(a) * d * 330, y = pond.y + 8 + Math.sin(a) * d * 170 + Math.sin(s * 0.8 + i) * 1.2, r = 13 + random() * 9;
    if (Math.abs(x - 720) < 70) continue;
    g.beginPath();
    g.moveTo(x, y);
    g.ellipse(x, y, r, r * 0.55, 0, 0.5 + i, 6.2 + i);
    g.closePath();
    g.fillStyle = i % 2 ? "#6fae74" : "#5f9e68";
    g.fill();
    if (i % 3 === 0) blossom(g, x, y - 3, 6, "#ffd9e6");
  }
  for (let i = 0; i < 4; i++) { // carp
    const t = s * 0.16 + i * 1.7, x = pond.x + Math.cos(t) * (150 + i * 42), y = pond.y + Math.sin(t * 1.3) * (66 + i * 20), heading = Math.atan2(Math.cos(t * 1.3) * 1.3 * (66 + i * 20), -Math.sin(t) * (150 + i * 42));
    g.save();
    g.translate(x, y);
    g.scale(1, 0.72);
    g.rotate(heading);
    g.globalAlpha = 0.8;
    ellipse(g, 0, 0, 15, 5.5, i % 2 ? "#f2784b" : "#fff4ea");
    ellipse(g, 4, -1, 5, 3.2, i % 2 ? "#fff4ea" : "#e5533a");
    g.beginPath();
    g.moveTo(-13, 0);
    g.lineTo(-22, -5 + Math.sin(s * 6 + i) * 3);
    g.lineTo(-22, 5 + Math.sin(s * 6 + i) * 3);
    g.fillStyle = i % 2 ? "#f2784b" : "#fff4ea";
    g.fill();
    g.restore();
  }
}

/** The bridge lies on the ground: one walks over it. */
function bridge(g: G): void {
  const left = 676, right = 764;
  g.fillStyle = "#00000022";
  g.fillRect(left - 4, 420, right - left + 8, 404);
  for (let y = 396; y < 836; y += 13) {
    g.fillStyle = ["#b5623f", "#c4724c", "#a95a39"][(y / 13) % 3 | 0]!;
    g.beginPath();
    g.roundRect(left, y, right - left, 11.5, 2);
    g.fill();
  }
  for (const x of [left - 3, right - 5]) {
    g.fillStyle = "#8c3f2b";
    g.fillRect(x, 392, 8, 448);
  }
}

function rail(y: number): Prop[] {
  return [680, 760].map((x) => ({
    x,
    y,
    box: [-8, -40, 16, 44] as const,
    key: "post",
    draw(g: G) {
      g.fillStyle = "#a4452f";
      g.beginPath();
      g.roundRect(-5, -32, 10, 32, 3);
      g.fill();
      ellipse(g, 0, -33, 6, 5, "#2f2b33");
    },
  }));
}

const stoneLamp: Prop = {
  x: 1080,
  y: 800,
  box: [-40, -96, 80, 108],
  key: "stonelamp",
  draw(g, _s, night) {
    shadow(g, 28, 9);
    for (const [x, y, w, h, c] of [[-20, -12, 40, 12, "#9a948b"], [-8, -46, 16, 36, "#b1aaa0"], [-22, -54, 44, 10, "#9a948b"], [-15, -76, 30, 22, "#b8b1a7"]] as const) {
      g.fillStyle = c;
      g.beginPath();
      g.roundRect(x, y, w, h, 3);
      g.fill();
    }
    g.fillStyle = night ? "#ffdc8a" : "#5c554e";
    g.fillRect(-7, -72, 14, 14);
    g.beginPath();
    g.moveTo(-30, -74);
    g.quadraticCurveTo(0, -84, 0, -94);
    g.quadraticCurveTo(0, -84, 30, -74);
    g.closePath();
    g.fillStyle = "#8d867d";
    g.fill();
  },
};

const trees = [
  tree(120, 200, 46, "sakura"), tree(320, 140, 42, "sakura"), tree(540, 190, 40, "maple"), tree(830, 120, 46, "sakura"), tree(1180, 150, 42, "pine"), tree(1400, 210, 46, "maple"),
  tree(130, 520, 42, "pine"), tree(110, 860, 46, "maple"), tree(300, 1020, 44, "sakura"), tree(560, 1120, 40, "pine"), tree(880, 1110, 46, "sakura"), tree(1160, 1060, 42, "maple"), tree(1420, 980, 46, "sakura"), tree(1500, 380, 38, "pine"),
];
const bushes = [bush(430, 330, 26, "#7db566", "#ff9fb8"), bush(1060, 360, 28), bush(260, 760, 26, "#8bbf6d", "#ffd166"), bush(980, 940, 26, "#7db566", "#b5a1ff"), bush(1300, 760, 24)];
const lanterns = [lantern(1330, 520), lantern(600, 320), lantern(860, 920)];
const benches = [bench(1240, 420, "#a5683f"), bench(420, 930, "#a5683f")];

const petals: Prop = {
  x: 800,
  y: 1199,
  box: [-800, -1200, 1600, 1200],
  draw() {},
  live(g, s) {
    const random = seeded(77);
    for (let i = 0; i < 46; i++) {
      const speed = 24 + random() * 26, x0 = random() * 1700, y0 = random() * 1250, sway = random() * 6.28;
      const y = ((y0 + s * speed) % 1250) - 1200, x = ((x0 + s * speed * 0.55 + Math.sin(s * 1.4 + sway) * 18) % 1700) - 850;
      ellipse(g, x, y, 3.6, 2.1, i % 3 ? "#ffc6d6" : "#ffe3ec", s * 1.8 + sway);
    }
  },
};

/** The rails of the bridge, and the water: on the bridge one walks between. */
const posts = [410, 486, 562, 638, 714, 790, 836];
const bank: { x: number; y: number; rx: number; ry: number }[] = [
  { x: 512, y: 620, rx: 160, ry: 182 }, { x: 928, y: 620, rx: 158, ry: 182 }, { x: 980, y: 500, rx: 172, ry: 112 }, { x: 400, y: 620, rx: 68, ry: 120 }, { x: 1046, y: 620, rx: 60, ry: 110 },
];

export const area: Area = {
  width: 1600,
  height: 1200,
  start: { x: 720, y: 960 },
  edge: { day: "#86b060", night: "#22342c" },
  ground(g) {
    meadow(g, 1600, 1200, 29, "#a3c97a");
    path(g, [[1600, 620], [1400, 620], [1250, 700], [1180, 880], [960, 960], [720, 960], [480, 900], [260, 640], [300, 380], [560, 290], [720, 300]], 60, "#e6d9bd", "#c2b08b");
    path(g, [[720, 960], [720, 830]], 60, "#e6d9bd", "#c2b08b");
    path(g, [[720, 300], [720, 400]], 60, "#e6d9bd", "#c2b08b");
    water(g);
    bridge(g);
  },
  surface(g, s) {
    glitter(g, pond.x, pond.y, pond.rx - 20, pond.ry - 20, s, 34);
    g.save();
    g.beginPath(); // nothing of it on the bridge
    g.rect(0, 0, 672, 1200);
    g.rect(770, 0, 830, 1200);
    g.clip();
    lilies(g, s);
    g.restore();
  },
  props: [...trees, ...bushes, ...lanterns.map((l) => l.prop), ...benches.map((b) => b.prop), stoneLamp, ...posts.flatMap(rail), gate(1530, 622, "#c2452d"), petals],
  doors: [{ to: "plaza", x: 1542, y: 610, radius: 54, at: { x: 170, y: 600 } }],
  lamps: [...lanterns.map((l) => l.lamp), { x: 1080, y: 736, radius: 180, colour: "255 200 110" }],
  blocks: [...trees.map((t) => trunk(t)), ...bushes.map((b) => trunk(b, 26)), ...lanterns.map((l) => l.block), ...benches.map((b) => b.block), { x: 1080, y: 798, rx: 22, ry: 9 }, ...bank, { x: 1468, y: 620, rx: 10, ry: 7 }, { x: 1592, y: 620, rx: 10, ry: 7 }],
  spots: [{ x: 720, y: 620, radius: 90, text: "spot.carp", act: "feed" }],
};
