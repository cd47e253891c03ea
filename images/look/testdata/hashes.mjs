// Writes hashes.txt with the published encoders:
//   npm install blurhash@2 thumbhash@0.1 && node hashes.mjs > hashes.txt
// A line: kind, width, height, BlurHash of 4x3, of 9x9, of 1x1, ThumbHash in hex, 8x6 pixels
// of the decoded 4x3 BlurHash and the decoded ThumbHash, as sums of each channel.
import { encode, decode } from "blurhash";
import { rgbaToThumbHash, thumbHashToRGBA } from "thumbhash";

// sample is the picture of a kind; look_test.go has the same in Go.
function sample(kind, w, h) {
  const rgba = new Uint8ClampedArray(w * h * 4);
  let seed = 1;
  const noise = () => { seed = (seed * 1103 + 12345) % 65536; return seed >> 8; };
  for (let y = 0; y < h; y++) for (let x = 0; x < w; x++) {
    const gx = Math.floor((x * 255) / Math.max(1, w - 1)), gy = Math.floor((y * 255) / Math.max(1, h - 1));
    let c;
    const inside = (2 * x - w) ** 2 * h * h + (2 * y - h) ** 2 * w * w < w * w * h * h;
    switch (kind) {
      case 0: c = [gx, gy, 255 - gx, 255]; break;
      case 1: c = (x >> 3 ^ y >> 3) & 1 ? [250, 240, 10, 255] : [20, 30, 90, 255]; break;
      case 2: c = [noise(), noise(), noise(), 255]; break;
      case 3: c = [200, 40, 60, inside ? 255 : 0]; break;
      case 4: c = [gx, 128, gy, gy]; break;
      case 5: c = [128, 128, 128, 255]; break;
      case 6: c = inside ? [255, 255, 255, 255] : [0, 0, 0, 255]; break;
      case 7: c = [0, 0, 0, 0]; break;
    }
    rgba.set(c, (y * w + x) * 4);
  }
  return rgba;
}
const hex = (b) => Array.from(b, (v) => v.toString(16).padStart(2, "0")).join("");
const sums = (px) => { const s = [0, 0, 0, 0]; px.forEach((v, i) => (s[i % 4] += v)); return s.join(","); };
for (let kind = 0; kind < 8; kind++) for (const [w, h] of [[100, 75], [64, 100], [33, 33], [100, 7]]) {
  const px = sample(kind, w, h), b = encode(px, w, h, 4, 3), t = rgbaToThumbHash(w, h, px), d = thumbHashToRGBA(t);
  console.log([kind, w, h, b, encode(px, w, h, 9, 9), encode(px, w, h, 1, 1), hex(t), sums(decode(b, 8, 6)), d.w, d.h, sums(d.rgba)].join(" "));
}
