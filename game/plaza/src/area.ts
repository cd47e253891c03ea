// What an area is to the page. Each lies in a file of its own under areas, which is only fetched by who goes there.

export type G = CanvasRenderingContext2D;

/** Something that stands in an area. What lies further down is drawn later, avatars between. */
export interface Prop {
  x: number;
  y: number;
  /** Box of its picture around x, y: left, top, width, height. Only what is in sight is drawn. */
  box: readonly [number, number, number, number];
  /** Props with one key look alike, and their picture is kept. */
  key?: string;
  draw(g: G, seconds: number, night: boolean): void;
  /** Moves: it is drawn anew each time, over the kept picture. */
  live?(g: G, seconds: number, night: boolean): void;
}

/** Where one walks into another area. */
export interface Door {
  to: string;
  x: number;
  y: number;
  radius: number;
  /** Where one comes out there. */
  at: { x: number; y: number };
}

/** Light in the dark. */
export interface Lamp {
  x: number;
  y: number;
  radius: number;
  colour: string;
}

/** What cannot be walked through: an ellipse. */
export interface Block {
  x: number;
  y: number;
  rx: number;
  ry: number;
}

export interface Area {
  width: number;
  height: number;
  /** Where one comes in who came through no door. */
  start: { x: number; y: number };
  /** Colour around it. */
  edge: { day: string; night: string };
  ground(g: G): void;
  /** Moves on the ground, below everything else. */
  surface?(g: G, seconds: number, night: boolean): void;
  props: Prop[];
  doors: Door[];
  lamps: Lamp[];
  blocks: Block[];
  /** Spots where something can be done; the page shows a button there. */
  spots: Spot[];
}

/** Something to do at a place: near it, a button is shown, and Enter does it. */
export interface Spot {
  x: number;
  y: number;
  radius: number;
  /** Key of its text. */
  text: string;
  act: string;
}

/** What a file under areas gives. */
export interface AreaModule {
  area: Area;
}

/** The same numbers each time, so that everybody sees the same garden. */
export function seeded(seed: number): () => number {
  let s = seed >>> 0;
  return () => {
    s = (s + 0x6d2b79f5) >>> 0;
    let t = Math.imul(s ^ (s >>> 15), 1 | s);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}
