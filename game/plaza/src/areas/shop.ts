// The shop: shelves with hats, a counter, a mirror. What is for sale, and buying, lies in ../panels/shop.

import type { Area, G, Prop } from "../area";
import { drawHead, ellipse, shade } from "../figure";
import { shadow } from "../paint";

function floor(g: G): void {
  g.fillStyle = "#c99a6b";
  g.fillRect(0, 0, 1200, 900);
  const boards = ["#d3a678", "#cb9c6c", "#d9ae82", "#c69564"];
  for (let y = 210, row = 0; y < 900; y += 30, row++) {
    for (let x = -((row * 137) % 220); x < 1200; x += 220) {
      g.fillStyle = boards[(row * 3 + Math.floor((x + 400) / 220) * 5) % 4]!;
      g.fillRect(x + 1, y + 1, 218, 28);
    }
  }
  // carpet
  for (const [grow, c] of [[0, "#9c3a4a"], [-12, "#e9c77b"], [-18, "#b34a58"]] as const) {
    g.beginPath();
    g.roundRect(330 - grow, 400 - grow, 540 + grow * 2, 330 + grow * 2, 26);
    g.fillStyle = c;
    g.fill();
  }
  for (let i = 0; i < 5; i++) for (let k = 0; k < 3; k++) ellipse(g, 420 + i * 90, 475 + k * 90, 15, 10, "#c86b71");
  wall(g);
}

function wall(g: G): void {
  const paper = g.createLinearGradient(0, 0, 0, 210);
  paper.addColorStop(0, "#5e7f8a");
  paper.addColorStop(1, "#7fa0a8");
  g.fillStyle = paper;
  g.fillRect(0, 0, 1200, 210);
  g.fillStyle = "#ffffff14";
  for (let x = 0; x < 1200; x += 48) g.fillRect(x, 0, 22, 196);
  g.fillStyle = "#6b4a33";
  g.fillRect(0, 190, 1200, 20);
  g.fillStyle = "#8a6244";
  g.fillRect(0, 186, 1200, 7);
  for (const x of [90, 930]) { // windows
    g.fillStyle = "#6b4a33";
    g.beginPath();
    g.roundRect(x, 34, 180, 122, 10);
    g.fill();
    const sky = g.createLinearGradient(0, 40, 0, 150);
    sky.addColorStop(0, "#a9d8ee");
    sky.addColorStop(1, "#e9f6e4");
    g.fillStyle = sky;
    g.fillRect(x + 10, 44, 160, 102);
    ellipse(g, x + 40, 140, 46, 26, "#9cc583");
    ellipse(g, x + 128, 142, 56, 34, "#86b56f");
    g.fillStyle = "#6b4a33";
    g.fillRect(x + 86, 44, 8, 102);
    g.fillRect(x + 10, 92, 160, 7);
  }
}

const looks = ["straw", "beret", "flower", "chef", "wizard", "crown", "phones", "cat"] as const;

function shelf(x: number, y: number, hats: readonly string[]): Prop {
  return {
    x,
    y,
    box: [-152, -174, 304, 190],
    key: `shelf.${hats.join()}`,
    draw(g) {
      shadow(g, 140, 12, 0, 0);
      g.fillStyle = "#7a5236";
      g.beginPath();
      g.roundRect(-140, -100, 280, 100, 8);
      g.fill();
      g.fillStyle = "#946744";
      g.beginPath();
      g.roundRect(-146, -112, 292, 20, 6);
      g.fill();
      for (const [i, colour] of ["#ead9bd", "#e2cda9", "#ead9bd"].entries()) {
        g.fillStyle = colour;
        g.beginPath();
        g.roundRect(-126 + i * 86, -80, 80, 64, 6);
        g.fill();
        ellipse(g, -86 + i * 86, -48, 4, 4, "#7a5236");
      }
      hats.forEach((hat, i) => {
        const at = (i - (hats.length - 1) / 2) * 74;
        ellipse(g, at, -104, 22, 6, "#00000030");
        g.save();
        g.translate(at, -74);
        g.fillStyle = "#cdb08a";
        g.fillRect(-4, -38, 8, 10);
        drawHead(g, { colour: 0, skin: 1, hair: 0, hairColour: 0, hat }, 4);
        g.restore();
      });
    },
  };
}

const counter: Prop = {
  x: 600,
  y: 330,
  box: [-190, -170, 380, 190],
  key: "counter",
  draw(g) {
    shadow(g, 176, 14);
    g.fillStyle = "#8d5a3a";
    g.beginPath();
    g.roundRect(-170, -84, 340, 84, 10);
    g.fill();
    for (let i = 0; i < 5; i++) {
      g.fillStyle = "#a66d47";
      g.beginPath();
      g.roundRect(-160 + i * 65, -68, 56, 56, 6);
      g.fill();
    }
    g.fillStyle = "#d8a473";
    g.beginPath();
    g.roundRect(-180, -98, 360, 20, 9);
    g.fill();
    // the till, and a plant
    g.fillStyle = "#3f4657";
    g.beginPath();
    g.roundRect(60, -140, 76, 46, 8);
    g.fill();
    g.fillStyle = "#bfe3d2";
    g.fillRect(70, -132, 56, 14);
    for (let i = 0; i < 6; i++) ellipse(g, 76 + (i % 3) * 22, -110 + Math.floor(i / 3) * 9, 6, 3, "#8f98ad");
    g.fillStyle = "#b5623c";
    g.beginPath();
    g.roundRect(-142, -124, 36, 28, 6);
    g.fill();
    for (const [x, y, r] of [[-124, -136, 16], [-138, -132, 11], [-110, -132, 11]] as const) ellipse(g, x, y, r, r * 0.9, shade("#6fa85a", (x % 5) * 0.03));
  },
};

const mirror: Prop = {
  x: 1060,
  y: 560,
  box: [-60, -160, 120, 172],
  key: "mirror",
  draw(g) {
    shadow(g, 46, 9);
    g.fillStyle = "#7a5236";
    g.fillRect(-34, -18, 8, 18);
    g.fillRect(26, -18, 8, 18);
    ellipse(g, 0, -80, 48, 72, "#b98b3a");
    const glass = g.createLinearGradient(-30, -140, 30, -20);
    glass.addColorStop(0, "#dff1f5");
    glass.addColorStop(0.5, "#a9cbd6");
    glass.addColorStop(1, "#d3e9ee");
    ellipse(g, 0, -80, 41, 64, glass);
    g.strokeStyle = "#ffffff99";
    g.lineWidth = 4;
    g.beginPath();
    g.moveTo(-20, -60);
    g.lineTo(8, -112);
    g.stroke();
  },
};

function plant(x: number, y: number): Prop {
  return {
    x,
    y,
    box: [-46, -116, 92, 128],
    key: "plant",
    draw(g) {
      shadow(g, 26, 8);
      g.fillStyle = "#d8d0c4";
      g.beginPath();
      g.moveTo(-22, -40);
      g.lineTo(-16, 0);
      g.lineTo(16, 0);
      g.lineTo(22, -40);
      g.fill();
      for (let i = 0; i < 7; i++) {
        const a = -Math.PI / 2 + (i - 3) * 0.36;
        ellipse(g, Math.cos(a) * 26, -46 + Math.sin(a) * 32, 7.5, 27, shade("#5f9e68", (i % 3) * 0.09 - 0.05), a + Math.PI / 2);
      }
    },
  };
}

const shelves = [shelf(210, 330, looks.slice(0, 3)), shelf(990, 330, looks.slice(3, 6)), shelf(190, 640, looks.slice(6, 8))];
const plants = [plant(60, 820), plant(1140, 820)];

export const area: Area = {
  width: 1200,
  height: 900,
  start: { x: 600, y: 480 },
  edge: { day: "#4a3327", night: "#221a1c" },
  ground: floor,
  props: [...shelves, counter, mirror, ...plants, {
    x: 600,
    y: 899,
    box: [-110, -34, 220, 40],
    key: "mat",
    draw(g) {
      g.fillStyle = "#3d5a5f";
      g.beginPath();
      g.roundRect(-100, -28, 200, 28, [12, 12, 0, 0]);
      g.fill();
    },
  }],
  doors: [{ to: "plaza", x: 600, y: 884, radius: 40, at: { x: 1430, y: 610 } }],
  lamps: [{ x: 600, y: 240, radius: 420, colour: "255 210 140" }, { x: 200, y: 480, radius: 330, colour: "255 210 140" }, { x: 1000, y: 480, radius: 330, colour: "255 210 140" }, { x: 600, y: 660, radius: 360, colour: "255 210 140" }],
  blocks: [
    { x: 210, y: 320, rx: 148, ry: 16 }, { x: 990, y: 320, rx: 148, ry: 16 }, { x: 190, y: 630, rx: 148, ry: 16 }, { x: 600, y: 318, rx: 178, ry: 18 }, { x: 1060, y: 556, rx: 44, ry: 9 },
    ...plants.map((p) => ({ x: p.x, y: p.y - 4, rx: 24, ry: 10 })),
    { x: 200, y: 180, rx: 400, ry: 44 }, { x: 600, y: 180, rx: 400, ry: 44 }, { x: 1000, y: 180, rx: 400, ry: 44 },
  ],
  spots: [
    { x: 600, y: 350, radius: 560, text: "spot.counter", act: "shop" },
    { x: 1060, y: 590, radius: 90, text: "spot.mirror", act: "wardrobe" },
  ],
};
