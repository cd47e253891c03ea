// The judge: decodes with sharp where it is installed, and scores with
// ssimulacra2 where calc-s2-rust is. One JSON line in, one out. Samples travel
// in files of packed 8-bit RGB.
import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import readline from 'node:readline';
import { pathToFileURL } from 'node:url';

const [, , peers, work] = process.argv;
const require = createRequire(path.join(peers, 'package.json'));
const tell = (value) => process.stdout.write(JSON.stringify(value) + '\n');
console.log = () => {}; // calc-s2-rust traces its calls there

let sharp;
try {
  sharp = require('sharp');
} catch {
  // The caller is told below that there is none.
}

let s2;
let memory;
let s2Version;
try {
  // The package holds a module that does not say that it is one.
  const folder = path.join(peers, 'node_modules', 'calc-s2-rust');
  const module = path.join(work, 'calc_s2_rust.mjs');
  fs.copyFileSync(path.join(folder, 'calc_s2_rust.js'), module);
  s2 = await import(pathToFileURL(module));
  ({ memory } = s2.initSync(fs.readFileSync(path.join(folder, 'calc_s2_rust_bg.wasm'))));
  s2Version = JSON.parse(fs.readFileSync(path.join(folder, 'package.json'))).version;
} catch {
  s2 = undefined;
}
tell({ decodes: Boolean(sharp), scores: Boolean(s2), score_version: s2Version ?? '' });

function give(key, file) {
  const samples = fs.readFileSync(file);
  const at = s2.new_buffer(key, samples.length);
  new Uint8Array(memory.buffer, at, samples.length).set(samples);
}

async function answer(request) {
  if (request.op === 'decode') {
    const { data, info } = await sharp(request.path)
      .toColourspace('srgb').removeAlpha().raw().toBuffer({ resolveWithObject: true });
    let samples = data;
    if (info.channels === 1) {
      samples = Buffer.alloc(info.width * info.height * 3);
      data.forEach((v, i) => samples.fill(v, 3 * i, 3 * i + 3));
    }
    fs.writeFileSync(request.out, samples);
    return { width: info.width, height: info.height };
  }
  give('reference', request.reference);
  give('picture', request.picture);
  return { score: s2.calc_s2('reference', 'picture', request.width, request.height) };
}

for await (const line of readline.createInterface({ input: process.stdin })) {
  try {
    tell(await answer(JSON.parse(line)));
  } catch (error) {
    tell({ why: String(error.message ?? error) });
  }
}
