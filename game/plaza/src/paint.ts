// Things that several areas have: trees, lanterns, benches, gates.

import type { Block, G, Lamp, Prop } from "./area";
import { seeded } from "./area";
import { blossom, ellipse, shade } from "./figure";

export function shadow(g: G, rx: number, ry: number, x = 0, y = 0): void {
  ellipse(g, x, y, rx, ry, "#1a14282e");
}

/** Grass with tufts and flowers. */
export function meadow(g: G, width: number, height: number, seed: number, base = "#a9cf7f"): void {
  g.fillStyle = base;
  g.fillRect(0, 0, width, height);
  const random = seeded(seed);
  for (let i = 0; i < (width * height) / 9000; i++) {
    ellipse(g, random() * width, random() * height, 30 + random() * 70, 18 + random() * 34, shade(base, (random() - 0.5) * 0.13));
  }
  g.lineWidth = 1.6;
  g.lineCap = "round";
  for (let i = 0; i < (width * height) / 2600; i++) {
    const x = random() * width, y = random() * height;
    g.strokeStyle = shade(base, -0.13 - random() * 0.12);
    g.beginPath();
    for (const d of [-3, 0, 3]) {
      g.moveTo(x + d * 0.6, y);
      g.lineTo(x + d * 1.4, y - 5 - random() * 3);
    }
    g.stroke();
  }
  for (let i = 0; i < (width * height) / 14000; i++) {
    const x = random() * width, y = random() * height, c = ["#fff7e0", "#ffd1dc", "#ffe08a", "#e6d6ff"][Math.floor(random() * 4)]!;
    for (let k = 0; k < 3; k++) ellipse(g, x + (random() - 0.5) * 16, y + (random() - 0.5) * 9, 2.1, 1.8, c);
  }
}

/** A path of stone slabs along points. */
export function path(g: G, points: readonly (readonly [number, number])[], width: number, colour: string, edge: string): void {
  for (const [w, c] of [[width + 12, edge], [width, colour]] as const) {
    g.beginPath();
    g.lineCap = g.lineJoin = "round";
    g.lineWidth = w;
    g.strokeStyle = c;
    points.forEach(([x, y], i) => (i ? g.lineTo(x, y) : g.moveTo(x, y)));
    g.stroke();
  }
}

function foliage(g: G, colour: string, y: number, size: number, dots?: string): void {
  const random = seeded(Math.round(size * 7 + y));
  for (const [dx, dy, r, by] of [[0, 8, 1, -0.22], [-0.62, 2, 0.7, -0.14], [0.64, 3, 0.7, -0.18], [0, -10, 0.92, -0.04], [-0.45, -16, 0.62, 0.06], [0.42, -18, 0.6, 0.03], [-0.1, -27, 0.58, 0.13]] as const)
    ellipse(g, dx * size, y + dy * (size / 34), r * size, r * size * 0.83, shade(colour, by));
  if (!dots) return;
  for (let i = 0; i < 26; i++) {
    const a = random() * 6.28, d = Math.sqrt(random()) * size;
    blossom(g, Math.cos(a) * d, y - size * 0.28 + Math.sin(a) * d * 0.82, 3.2 + random() * 2, dots);
  }
}

export function tree(x: number, y: number, size: number, kind: "green" | "sakura" | "maple" | "pine"): Prop {
  const colour = { green: "#6fa85a", sakura: "#f4a9c0", maple: "#d9743a", pine: "#4d8a63" }[kind];
  return {
    x,
    y,
    box: [-size * 2 - 4, -size * 4.2, size * 4 + 8, size * 4.7],
    key: `tree.${kind}.${size}`,
    draw(g) {
      shadow(g, size * 1.15, size * 0.4);
      g.fillStyle = "#7a5640";
      g.beginPath();
      g.moveTo(-size * 0.2, 2);
      g.quadraticCurveTo(-size * 0.09, -size, -size * 0.16, -size * 1.6);
      g.lineTo(size * 0.16, -size * 1.6);
      g.quadraticCurveTo(size * 0.09, -size, size * 0.22, 2);
      g.quadraticCurveTo(0, size * 0.16, -size * 0.2, 2);
      g.fill();
      if (kind === "pine") {
        for (let i = 0; i < 4; i++) {
          const w = size * (1.15 - i * 0.24), top = -size * (1 + i * 0.72);
          g.beginPath();
          g.moveTo(-w, top);
          g.quadraticCurveTo(-w * 0.3, top - size * 0.4, 0, top - size * 1.15);
          g.quadraticCurveTo(w * 0.3, top - size * 0.4, w, top);
          g.quadraticCurveTo(0, top + size * 0.35, -w, top);
          g.fillStyle = shade(colour, -0.12 + i * 0.09);
          g.fill();
        }
        return;
      }
      foliage(g, colour, -size * 2.1, size, kind === "sakura" ? "#ffd6e2" : undefined);
    },
  };
}

export const trunk = (p: Prop, r = 16): Block => ({ x: p.x, y: p.y - 2, rx: r, ry: r * 0.55 });

export function lantern(x: number, y: number): { prop: Prop; lamp: Lamp; block: Block } {
  const prop: Prop = {
    x,
    y,
    box: [-24, -112, 48, 124],
    key: "lantern",
    draw(g, _s, night) {
      shadow(g, 15, 6);
      g.fillStyle = "#4b4453";
      g.fillRect(-3, -78, 6, 78);
      ellipse(g, 0, -1, 9, 4, "#3b3542");
      g.fillRect(-12, -80, 24, 4);
      g.beginPath();
      g.roundRect(-12, -106, 24, 27, 7);
      g.fillStyle = night ? "#ffdf94" : "#fff1cf";
      g.fill();
      g.strokeStyle = "#4b4453";
      g.lineWidth = 2.4;
      g.stroke();
      g.beginPath();
      g.moveTo(-16, -105);
      g.quadraticCurveTo(0, -119, 16, -105);
      g.closePath();
      g.fillStyle = "#4b4453";
      g.fill();
    },
  };
  return { prop, lamp: { x, y: y - 60, radius: 210, colour: "255 205 120" }, block: { x, y: y - 2, rx: 12, ry: 6 } };
}

export function bench(x: number, y: number, colour = "#b37b4c"): { prop: Prop; block: Block } {
  return {
    prop: {
      x,
      y,
      box: [-56, -52, 112, 62],
      key: `bench.${colour}`,
      draw(g) {
        shadow(g, 50, 9, 0, -1);
        g.fillStyle = "#4b4453";
        for (const leg of [-40, 36]) g.fillRect(leg, -20, 5, 20);
        for (const [top, h, c] of [[-46, 7, 0.05], [-36, 7, -0.03], [-24, 6, 0.1], [-17, 5, -0.1]] as const) {
          g.beginPath();
          g.roundRect(-50, top, 100, h, 3);
          g.fillStyle = shade(colour, c);
          g.fill();
        }
      },
    },
    block: { x, y: y - 8, rx: 50, ry: 9 },
  };
}

/** A gate of wood that leads to another area. Its name is drawn by the page, in the person's language. */
export function gate(x: number, y: number, colour: string): Prop {
  return {
    x,
    y,
    box: [-92, -156, 184, 168],
    key: `gate.${colour}`,
    draw(g) {
      shadow(g, 16, 6, -62, 0);
      shadow(g, 16, 6, 62, 0);
      for (const post of [-62, 62]) {
        g.fillStyle = shade(colour, -0.12);
        g.beginPath();
        g.roundRect(post - 8, -126, 16, 128, 5);
        g.fill();
        g.fillStyle = shade(colour, 0.14);
        g.fillRect(post - 5, -122, 4, 118);
        g.fillStyle = "#3d3640";
        g.fillRect(post - 9, -8, 18, 10);
      }
      g.fillStyle = shade(colour, -0.05);
      g.fillRect(-72, -104, 144, 11);
      g.beginPath();
      g.moveTo(-90, -136);
      g.quadraticCurveTo(0, -122, 90, -136);
      g.lineTo(86, -120);
      g.quadraticCurveTo(0, -108, -86, -120);
      g.fillStyle = shade(colour, -0.18);
      g.fill();
      g.beginPath();
      g.moveTo(-90, -142);
      g.quadraticCurveTo(0, -128, 90, -142);
      g.lineTo(90, -134);
      g.quadraticCurveTo(0, -120, -90, -134);
      g.fillStyle = "#3d3640";
      g.fill();
    },
  };
}

export function bush(x: number, y: number, size: number, colour = "#7db566", dots = ""): Prop {
  return {
    x,
    y,
    box: [-size * 1.6, -size * 1.6, size * 3.2, size * 2.2],
    key: `bush.${size}.${colour}.${dots}`,
    draw(g) {
      shadow(g, size * 1.25, size * 0.35);
      for (const [dx, dy, r, by] of [[-0.6, -0.3, 0.6, -0.16], [0.6, -0.3, 0.6, -0.2], [0, -0.5, 0.8, -0.06], [-0.3, -0.75, 0.5, 0.08], [0.35, -0.7, 0.45, 0.04]] as const)
        ellipse(g, dx * size, dy * size, r * size, r * size * 0.8, shade(colour, by));
      if (dots) {
        const random = seeded(size);
        for (let i = 0; i < 9; i++) blossom(g, (random() - 0.5) * size * 1.7, -size * (0.2 + random() * 0.75), 4, dots);
      }
    },
  };
}

/** Water that glitters, within an ellipse. */
export function glitter(g: G, x: number, y: number, rx: number, ry: number, seconds: number, count: number): void {
  const random = seeded(Math.round(rx + x));
  g.lineCap = "round";
  for (let i = 0; i < count; i++) {
    const a = random() * 6.28, d = Math.sqrt(random()) * 0.86, phase = random() * 6.28, length = 6 + random() * 12;
    const shine = Math.max(0, Math.sin(seconds * (0.7 + random() * 0.6) + phase));
    const px = x + Math.cos(a) * d * rx, py = y + Math.sin(a) * d * ry;
    g.beginPath();
    g.lineWidth = 2;
    g.strokeStyle = `rgb(255 255 255 / ${shine * 0.5})`;
    g.moveTo(px - length / 2, py);
    g.lineTo(px + length / 2, py);
    g.stroke();
  }
}
