// Where to connect next, and when. No clock: it is told what happened, and answers with a time to wait.

/** A node, as far as a client needs it. */
export interface Place {
  node: string;
  websocket: string;
}

/** Milliseconds: the first wait after all places were tried once, the longest one, and the spread of a single try. */
export const waitFirstMs = 250;
export const waitMostMs = 10_000;
export const spreadMs = 150;

/** Most other nodes that are remembered. */
export const placesMax = 32;

export class Places {
  private others: Place[] = [];
  private untried: string[] = [];
  private rounds = 0;
  /** Where the client is, or was last. */
  current: string;

  constructor(
    readonly home: string,
    private readonly random: () => number = Math.random,
  ) {
    this.current = home;
  }

  /** What a Welcome said of other nodes. */
  learn(places: Place[]): void {
    this.others = places.filter((p) => /^wss?:\/\//.test(p.websocket)).slice(0, placesMax);
  }

  /** The client is in: what comes next begins anew. */
  arrived(): void {
    this.rounds = 0;
    this.untried = [];
  }

  /** The connection is lost, or closed with a place to go to. */
  lost(goTo?: string): void {
    this.rounds = 0;
    const rest = this.others.map((p) => p.websocket);
    for (let i = rest.length - 1; i > 0; i--) { // not all clients of a dead node to the same other one
      const k = Math.floor(this.random() * (i + 1));
      [rest[i], rest[k]] = [rest[k]!, rest[i]!];
    }
    const order = goTo ? [goTo, ...rest, this.current, this.home] : [this.current, ...rest, this.home];
    this.untried = [...new Set(order)];
  }

  /** A place is tried before all others. */
  prefer(url: string): void {
    this.untried = [url, ...this.untried.filter((u) => u !== url)];
  }

  /** Chooses a place, and how long to wait before it is tried. Trying all places once costs little waiting; each further round twice as much. */
  next(): { url: string; waitMs: number } {
    if (this.untried.length === 0) {
      this.lostAgain();
      const most = Math.min(waitMostMs, waitFirstMs * 2 ** this.rounds++);
      return { url: this.untried.shift()!, waitMs: most / 2 + (this.random() * most) / 2 };
    }
    return { url: this.untried.shift()!, waitMs: this.random() * spreadMs };
  }

  private lostAgain(): void {
    const rounds = this.rounds;
    this.lost();
    this.rounds = rounds;
  }
}
