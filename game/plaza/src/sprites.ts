// Pictures that were drawn once and are kept, because putting a picture on the canvas is much cheaper than drawing
// it. The least recently used go first.

/** Most pictures that are kept. At two pixels a unit one takes about 64 KiB, so all take about 64 MiB. */
export const spritesMax = 1024;

export type Drawing = (g: CanvasRenderingContext2D) => void;

interface Sprite {
  canvas: HTMLCanvasElement;
  /** Where its own zero lies in it, and its size, in units. */
  left: number;
  top: number;
  width: number;
  height: number;
}

export class Sprites {
  private kept = new Map<string, Sprite>();
  private pixels = 1;

  /** Pixels of the screen for a unit. Another number throws everything away. */
  scale(pixels: number): void {
    if (pixels === this.pixels) return;
    this.pixels = pixels;
    this.kept.clear();
  }

  clear(): void {
    this.kept.clear();
  }

  get size(): number {
    return this.kept.size;
  }

  /** Puts a picture at a place; draw makes it the first time, around zero, within the box of left, top, width and height. */
  put(g: CanvasRenderingContext2D, key: string, x: number, y: number, box: readonly [number, number, number, number], draw: Drawing): void {
    let s = this.kept.get(key);
    if (s) {
      this.kept.delete(key); // and last again
    } else {
      s = this.make(box, draw);
      if (this.kept.size >= spritesMax) this.kept.delete(this.kept.keys().next().value!);
    }
    this.kept.set(key, s);
    g.drawImage(s.canvas, x + s.left, y + s.top, s.width, s.height);
  }

  private make([left, top, width, height]: readonly [number, number, number, number], draw: Drawing): Sprite {
    const canvas = document.createElement("canvas");
    canvas.width = Math.max(1, Math.ceil(width * this.pixels));
    canvas.height = Math.max(1, Math.ceil(height * this.pixels));
    const g = canvas.getContext("2d")!;
    g.scale(this.pixels, this.pixels);
    g.translate(-left, -top);
    draw(g);
    return { canvas, left, top, width: canvas.width / this.pixels, height: canvas.height / this.pixels };
  }
}
