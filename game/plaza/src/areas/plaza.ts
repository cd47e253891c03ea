// The plaza: paving around the kamado, an earthen stove on which pots cook over one fire.

import type { Area, G, Prop } from "../area";
import { ellipse } from "../figure";
import { bench, bush, gate, glitter, lantern, meadow, path, shadow, tree, trunk } from "../paint";

const middle = { x: 800, y: 600 };

function paving(g: G): void {
  const stones = ["#e9dcc6", "#e2d2b8", "#eee3d0", "#dccbb0", "#e6d7be"];
  ellipse(g, middle.x, middle.y + 6, 566, 404, "#b9a585");
  ellipse(g, middle.x, middle.y, 560, 398, "#cdb998");
  for (let ring = 0; ring < 13; ring++) {
    const outer = 552 - ring * 41, inner = outer - 38;
    if (inner < 20) break;
    const count = Math.max(10, Math.round(outer / 13));
    for (let i = 0; i < count; i++) {
      const a = ((i + (ring % 2) * 0.5) / count) * Math.PI * 2, b = a + (Math.PI * 2) / count - 4.4 / outer;
      g.beginPath();
      g.ellipse(middle.x, middle.y, outer, outer * 0.71, 0, a, b);
      g.ellipse(middle.x, middle.y, inner, inner * 0.71, 0, b, a, true);
      g.closePath();
      g.fillStyle = stones[(i * 7 + ring * 3 + ((i * i) % 5)) % stones.length]!;
      g.fill();
    }
  }
  for (const [rx, c] of [[206, "#c96f4a"], [198, "#e9dcc6"], [190, "#d98f68"]] as const) {
    g.beginPath();
    g.lineWidth = 7;
    g.strokeStyle = c;
    g.ellipse(middle.x, middle.y, rx, rx * 0.71, 0, 0, Math.PI * 2);
    g.stroke();
  }
}

const stove: Prop = {
  x: middle.x,
  y: middle.y + 34,
  box: [-130, -210, 260, 240],
  key: "stove",
  draw(g) {
    shadow(g, 122, 40, 0, -8);
    for (const [y, rx, c] of [[-6, 118, "#a98d6c"], [-16, 110, "#c7ab86"]] as const) ellipse(g, 0, y, rx, rx * 0.33, c);
    const clay = g.createLinearGradient(-100, 0, 100, 0);
    clay.addColorStop(0, "#b5623c");
    clay.addColorStop(0.4, "#dd8a5c");
    clay.addColorStop(1, "#9f5030");
    g.fillStyle = clay;
    g.beginPath();
    g.moveTo(-100, -18);
    g.bezierCurveTo(-104, -70, -96, -92, -86, -98);
    g.quadraticCurveTo(0, -124, 86, -98);
    g.bezierCurveTo(96, -92, 104, -70, 100, -18);
    g.quadraticCurveTo(0, 16, -100, -18);
    g.fill();
    ellipse(g, 0, -99, 87, 20, "#e8a274");
    for (const [x, r] of [[-46, 25], [0, 31], [46, 25]] as const) {
      ellipse(g, x, -100, r + 5, (r + 5) * 0.34, "#8d452a");
      g.fillStyle = "#33313c";
      g.beginPath();
      g.moveTo(x - r, -104);
      g.bezierCurveTo(x - r - 5, -128, x - r + 2, -134, x - r + 3, -138);
      g.lineTo(x + r - 3, -138);
      g.bezierCurveTo(x + r - 2, -134, x + r + 5, -128, x + r, -104);
      g.quadraticCurveTo(x, -92, x - r, -104);
      g.fill();
      ellipse(g, x - r * 0.45, -121, 3, 9, "#55535f", 0.1);
      ellipse(g, x, -138, r + 2, 8, "#a77a4d");
      ellipse(g, x, -140.5, r + 2, 7.4, "#c89a66");
      g.fillStyle = "#8a6038";
      g.beginPath();
      g.roundRect(x - 9, -149, 18, 7, 3);
      g.fill();
    }
    for (const x of [-46, 0, 46]) {
      g.fillStyle = "#4a2115";
      g.beginPath();
      g.moveTo(x - 17, -22 + Math.abs(x) * -0.05);
      g.bezierCurveTo(x - 19, -62, x + 19, -62, x + 17, -22 + Math.abs(x) * -0.05);
      g.quadraticCurveTo(x, -14, x - 17, -22);
      g.fill();
    }
  },
  live(g, s, night) {
    for (const [i, x] of [-46, 0, 46].entries()) {
      for (let k = 0; k < 3; k++) {
        const flick = Math.sin(s * (5 + k) + i * 2.1 + k) * 2.4, h = 18 - k * 5 + Math.sin(s * 7 + i + k * 2) * 2.5;
        g.beginPath();
        g.moveTo(x - 9 + k * 2.6, -23);
        g.quadraticCurveTo(x - 7 + flick, -28 - h * 0.4, x + flick, -25 - h);
        g.quadraticCurveTo(x + 8 + flick * 0.4, -28 - h * 0.3, x + 9 - k * 2.6, -23);
        g.fillStyle = ["#f2622e", "#ffab3d", "#ffe9a0"][k]!;
        g.fill();
      }
      for (let k = 0; k < 3; k++) {
        const at = (s * 0.3 + k / 3 + i * 0.17) % 1;
        g.globalAlpha = (1 - at) * Math.min(1, at * 4) * (night ? 0.3 : 0.5);
        ellipse(g, x + Math.sin(s + k * 2 + i) * 7 * at, -152 - at * 52, 5 + at * 11, 4 + at * 9, "#fff");
      }
      g.globalAlpha = 1;
    }
  },
};

function pool(x: number, y: number): Prop {
  return {
    x,
    y,
    box: [-84, -64, 168, 84],
    key: "pool",
    draw(g) {
      shadow(g, 78, 22, 0, -2);
      ellipse(g, 0, -8, 76, 27, "#b9b2ab");
      ellipse(g, 0, -14, 76, 27, "#d9d3cb");
      ellipse(g, 0, -14, 64, 21, "#6fb7cf");
      ellipse(g, 0, -11, 60, 18, "#8fd0e2");
      ellipse(g, 0, -34, 8, 20, "#cfc8c0");
      ellipse(g, 0, -52, 24, 8, "#d9d3cb");
      ellipse(g, 0, -53.5, 19, 5.4, "#8fd0e2");
    },
    live(g, s) {
      glitter(g, 0, -12, 56, 15, s, 12);
      g.lineWidth = 2;
      for (let i = 0; i < 9; i++) {
        const a = (i / 9) * 6.28, at = (s * 0.9 + i * 0.37) % 1, r = 20 + at * 20;
        ellipse(g, Math.cos(a) * r, -52 + Math.sin(a) * r * 0.35 + at * at * 34 - Math.sin(at * 3.14) * 7, 1.9, 2.6, "#e8fbffcc");
      }
    },
  };
}

const trees = [
  tree(150, 190, 44, "sakura"), tree(330, 110, 38, "green"), tree(560, 80, 42, "sakura"), tree(1060, 84, 40, "green"), tree(1290, 120, 44, "sakura"),
  tree(1470, 240, 40, "green"), tree(90, 430, 40, "green"), tree(110, 960, 44, "sakura"), tree(300, 1110, 40, "green"), tree(560, 1160, 38, "sakura"),
  tree(1080, 1150, 42, "green"), tree(1330, 1080, 44, "sakura"), tree(1500, 900, 40, "green"), tree(220, 320, 34, "green"), tree(1400, 1000, 34, "green"),
];
const lanterns = [lantern(470, 380), lantern(1130, 380), lantern(470, 850), lantern(1130, 850), lantern(240, 560), lantern(1360, 560)];
const benches = [bench(800, 300), bench(540, 950), bench(1060, 950)];
const pools = [pool(420, 620), pool(1180, 620)];
const bushes = [bush(690, 150, 24, "#86b96b", "#fff3f6"), bush(915, 150, 24, "#86b96b", "#ffd166"), bush(230, 840, 26), bush(1390, 380, 26, "#7db566", "#ff9fb8"), bush(700, 1110, 24, "#7db566", "#ffd166"), bush(910, 1120, 26)];

export const area: Area = {
  width: 1600,
  height: 1200,
  start: { x: 800, y: 780 },
  edge: { day: "#8fbb68", night: "#26382f" },
  ground(g) {
    meadow(g, 1600, 1200, 11);
    path(g, [[0, 600], [300, 600]], 96, "#e2d2b8", "#b9a585");
    path(g, [[1300, 600], [1600, 600]], 96, "#e2d2b8", "#b9a585");
    paving(g);
  },
  props: [stove, ...trees, ...lanterns.map((l) => l.prop), ...benches.map((b) => b.prop), ...pools, ...bushes, gate(70, 602, "#c2452d"), gate(1530, 602, "#4f7fb8")],
  doors: [
    { to: "garden", x: 58, y: 590, radius: 54, at: { x: 1440, y: 610 } },
    { to: "shop", x: 1542, y: 590, radius: 54, at: { x: 600, y: 760 } },
  ],
  lamps: [...lanterns.map((l) => l.lamp), { x: middle.x, y: middle.y + 10, radius: 330, colour: "255 140 60" }],
  blocks: [
    { x: middle.x, y: middle.y + 22, rx: 118, ry: 42 },
    ...trees.map((t) => trunk(t)),
    ...lanterns.map((l) => l.block),
    ...benches.map((b) => b.block),
    ...pools.map((p) => ({ x: p.x, y: p.y - 10, rx: 78, ry: 26 })),
    ...bushes.map((b) => trunk(b, 24)),
    ...[8, 132, 1468, 1592].map((x) => ({ x, y: 600, rx: 10, ry: 7 })),
  ],
  spots: [{ x: middle.x, y: middle.y + 70, radius: 110, text: "spot.stove", act: "warm" }],
};

