// The peer "sharp, in process": one JSON line in, one out, a picture each.
// The CPU that is told is that of the whole process, all threads, for exactly
// one resize: reading the original and talking are left out of it.
import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import readline from 'node:readline';

const require = createRequire(path.join(process.argv[2], 'package.json'));
const sharp = require('sharp');
sharp.concurrency(1);
sharp.cache(false);

const tell = (value) => process.stdout.write(JSON.stringify(value) + '\n');
tell({ version: `${sharp.versions.sharp ?? require('sharp/package.json').version} with libvips ${sharp.versions.vips}, node ${process.version}` });

for await (const line of readline.createInterface({ input: process.stdin })) {
  const job = JSON.parse(line);
  try {
    const original = fs.readFileSync(job.path);
    const before = process.cpuUsage();
    const jpeg = await sharp(original)
      .resize(job.width, job.height, { fit: 'cover' })
      .jpeg({ quality: job.quality })
      .toBuffer();
    const { user, system } = process.cpuUsage(before);
    tell({ cpu_us: user + system, jpeg: jpeg.toString('base64') });
  } catch (error) {
    tell({ why: String(error.message ?? error) });
  }
}
