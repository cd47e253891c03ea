// Small pictures of avatars, for buttons, lists and dialogs.

import { drawBody, drawHead, drawLongHair } from "./figure";
import type { Look } from "./look";

/** Draws somebody into a canvas of the page; part "head" shows the head alone. */
export function portrait(canvas: HTMLCanvasElement, look: Look, part: "head" | "all", width = canvas.clientWidth || canvas.width, height = canvas.clientHeight || canvas.height): void {
  const ratio = Math.min(3, devicePixelRatio || 1);
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  const g = canvas.getContext("2d")!;
  const units = part === "head" ? (look.hat ? 66 : 52) : 124, scale = (Math.min(width, height) / units) * ratio;
  g.setTransform(scale, 0, 0, scale, canvas.width / 2, canvas.height / 2);
  g.translate(0, part === "head" ? (look.hat ? 62 : 53) : 50);
  drawLongHair(g, look, 0);
  if (part === "all") drawBody(g, look, 0, 0);
  drawHead(g, look, 0);
}

/** Draws a thing of the shop. */
export function itemPicture(canvas: HTMLCanvasElement, id: string, kind: "hat" | "coat", width: number): void {
  const look: Look = { colour: 8, skin: 1, hair: kind === "hat" ? 1 : 0, hairColour: 1, [kind]: id };
  const ratio = Math.min(3, devicePixelRatio || 1);
  canvas.width = canvas.height = Math.round(width * ratio);
  const g = canvas.getContext("2d")!, scale = (width / (kind === "hat" ? 92 : 52)) * ratio;
  g.setTransform(scale, 0, 0, scale, canvas.width / 2, canvas.height / 2);
  g.translate(0, kind === "hat" ? 66 : 20);
  if (kind === "hat") drawHead(g, look, 0);
  else drawBody(g, look, 0, 0);
}
