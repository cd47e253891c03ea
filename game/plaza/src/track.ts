// Where somebody else is between two messages of the server. Poses come every tick; they are shown a little late, so that
// there is nearly always a next one to go to.

export interface Pose {
  x: number;
  y: number;
  facing: number;
  gait: number;
}

interface Sample extends Pose {
  at: number;
}

/** Poses that are kept of one avatar. */
export const samplesMax = 16;

/** A gap of so many ticks means that the avatar stood still in between, and did not creep. */
const gapTicks = 3;

/** A distance, in units, that nobody walks in a tick: it is jumped. */
const jump = 240;

export class Track {
  private samples: Sample[] = [];

  constructor(pose: Pose, at: number) {
    this.samples = [{ ...pose, at }];
  }

  get last(): Pose {
    return this.samples[this.samples.length - 1]!;
  }

  push(pose: Pose, at: number, tickMs: number): void {
    const last = this.samples[this.samples.length - 1]!;
    if (Math.hypot(pose.x - last.x, pose.y - last.y) > jump) {
      this.samples = [{ ...pose, at }];
      return;
    }
    if (at - last.at > gapTicks * tickMs) this.samples.push({ ...last, at: at - tickMs });
    this.samples.push({ ...pose, at: Math.max(at, last.at) });
    if (this.samples.length > samplesMax) this.samples.splice(0, this.samples.length - samplesMax);
  }

  /** The pose at a time; after the last one it stays there. */
  at(time: number): Pose {
    const s = this.samples;
    while (s.length > 2 && s[1]!.at <= time) s.shift();
    const a = s[0]!, b = s[1];
    if (!b || time <= a.at) return a;
    if (time >= b.at) return b;
    const part = (time - a.at) / (b.at - a.at);
    return { x: a.x + (b.x - a.x) * part, y: a.y + (b.y - a.y) * part, facing: b.facing, gait: b.gait === 0 && (a.x !== b.x || a.y !== b.y) ? 1 : b.gait };
  }
}
