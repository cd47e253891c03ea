// Gestures, by their numbers in the protocol: 1 waves, 2 dances, 3 laughs, 4 bows, 5 cries; 6 is the plaza's own: a heart.

import { ellipse } from "./figure";

type G = CanvasRenderingContext2D;

export const emotes = [1, 2, 3, 4, 5, 6] as const;
/** Milliseconds that a gesture is shown. */
export const emoteMs = 2_400;

function face(g: G, colour: string): void {
  ellipse(g, 0, 0, 12, 12, colour);
  ellipse(g, -3, -4, 6, 4, "#ffffff55", -0.5);
}

function arc(g: G, x: number, y: number, r: number, from: number, to: number, width = 2, colour = "#4a2c1a"): void {
  g.beginPath();
  g.arc(x, y, r, from, to);
  g.lineWidth = width;
  g.lineCap = "round";
  g.strokeStyle = colour;
  g.stroke();
}

function note(g: G, x: number, y: number, colour: string): void {
  ellipse(g, x - 2, y + 6, 4, 3, colour, -0.4);
  g.fillStyle = colour;
  g.fillRect(x + 0.6, y - 9, 2, 15);
  g.beginPath();
  g.moveTo(x + 0.6, y - 9);
  g.quadraticCurveTo(x + 9, y - 6, x + 7, y + 1);
  g.quadraticCurveTo(x + 7, y - 3, x + 1, y - 4);
  g.fill();
}

/** Draws a gesture around zero, within 32 units. */
export function drawEmote(g: G, emote: number): void {
  switch (emote) {
    case 1: {
      g.save();
      g.rotate(0.25);
      g.fillStyle = "#f6b94a";
      for (const [x, h, a] of [[-6.4, 11, -0.16], [-2.3, 14, -0.05], [1.9, 13.5, 0.06], [5.8, 11, 0.17]] as const) {
        g.save();
        g.translate(x, 1);
        g.rotate(a);
        g.beginPath();
        g.roundRect(-1.9, -h, 3.8, h + 4, 2);
        g.fill();
        g.restore();
      }
      g.beginPath();
      g.roundRect(-8.4, -2, 16.4, 13, 6);
      g.fill();
      g.save();
      g.translate(-8, 5);
      g.rotate(-0.9);
      g.beginPath();
      g.roundRect(-2, -9, 4.2, 11, 2);
      g.fill();
      g.restore();
      g.restore();
      arc(g, -6, -5, 12, -2.75, -2.2, 1.8, "#9a6b3c");
      arc(g, 4, 6, 12, 0.2, 0.75, 1.8, "#9a6b3c");
      break;
    }
    case 2:
      note(g, -6, 2, "#7d57a1");
      note(g, 6, -3, "#d9532c");
      break;
    case 3:
      face(g, "#ffcf4d");
      arc(g, -4.4, -1, 2.6, Math.PI + 0.2, -0.2);
      arc(g, 4.4, -1, 2.6, Math.PI + 0.2, -0.2);
      g.beginPath();
      g.arc(0, 2, 6.2, 0, Math.PI);
      g.closePath();
      g.fillStyle = "#7a2f20";
      g.fill();
      ellipse(g, 0, 6.4, 3.4, 1.8, "#ef6f6c");
      break;
    case 4:
      ellipse(g, 7.5, 1, 5.4, 5.2, "#f2c49c");
      g.beginPath();
      g.moveTo(-10, 12);
      g.bezierCurveTo(-12, -4, -4, -10, 6, -4);
      g.lineTo(2.5, 5);
      g.bezierCurveTo(-2, 3, -3, 7, -2, 12);
      g.closePath();
      g.fillStyle = "#4f93c4";
      g.fill();
      arc(g, 6.6, 0, 5.4, 3.4, 5.4, 3, "#3a2a22");
      arc(g, 9.6, 2.6, 1.4, 0.3, 2.6, 1.3);
      break;
    case 5:
      face(g, "#8fc6ec");
      ellipse(g, -4.2, -1, 1.5, 2, "#25405c");
      ellipse(g, 4.2, -1, 1.5, 2, "#25405c");
      arc(g, 0, 8, 3.6, Math.PI + 0.5, -0.5, 1.8, "#25405c");
      for (const x of [-6, 6]) {
        g.beginPath();
        g.moveTo(x, 1.5);
        g.bezierCurveTo(x - 3.4, 6.5, x - 2.6, 9.5, x, 9.5);
        g.bezierCurveTo(x + 2.6, 9.5, x + 3.4, 6.5, x, 1.5);
        g.fillStyle = "#e9f6ff";
        g.fill();
      }
      break;
    default:
      g.beginPath();
      g.moveTo(0, 11);
      g.bezierCurveTo(-17, -1, -11, -13, -4.5, -10.5);
      g.quadraticCurveTo(-1, -9.3, 0, -5.8);
      g.quadraticCurveTo(1, -9.3, 4.5, -10.5);
      g.bezierCurveTo(11, -13, 17, -1, 0, 11);
      g.fillStyle = "#e8456b";
      g.fill();
      ellipse(g, -5.5, -5.5, 2.6, 1.7, "#ffffff88", -0.7);
  }
}
