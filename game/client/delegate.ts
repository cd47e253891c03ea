// What the server tells, as methods of one object. An application has those that it cares about.

import type { Away, Closing, Emoted, Entered, Event, Fault, Gone, Member, Moved, Notice, PointsChanged, Presence, Redirect, Refused, Said, Thing, Whispered } from "./zwire";

/** How the connection stands. */
export type Connection =
  /** It is being made; attempt counts from 1. */
  | { state: "connecting"; url: string; attempt: number }
  /** The client is in. */
  | {
      state: "online";
      node: string;
      url: string;
      /** The lost connection goes on; else it is a new one. */
      resumed: boolean;
      /** How long there was none; 0: the first one. */
      downMs: number;
      /** The node before, when it was another one; empty: the same, or none. */
      before: string;
    }
  /** It is lost, and is tried again after some time. closing says why, when the server did. */
  | { state: "waiting"; retryMs: number; attempt: number; closing?: Closing }
  /** It is over, and connect() begins anew. closing is absent when close() was called. */
  | { state: "ended"; closing?: Closing };

/** Who the client is. */
export interface SignedIn {
  uid: string;
  /** Of a new guest: how to be the same user again. It is told this once. */
  guestSecret: string;
  /** Milliseconds since 1970; 0: may talk. */
  mutedUntilMs: number;
}

/** Another state of an object of the area. */
export interface ThingChange {
  thing: Thing;
  /** Avatar that changed it; 0: a rule. */
  by: number;
}

export interface Delegate {
  onConnection(c: Connection): void;
  onSignedIn(s: SignedIn): void;
  /** All that is in the area; what was known before is forgotten. */
  onEntered(e: Entered): void;
  /** Somebody has come, or is called or looks otherwise. */
  onAppeared(m: Member): void;
  onGone(g: Gone): void;
  onMoves(rows: Moved[]): void;
  onEmoted(rows: Emoted[]): void;
  /** Avatars that are too far away to be followed. */
  onFar(avatars: number[]): void;
  onSaid(s: Said): void;
  onWhispered(w: Whispered): void;
  onPresence(p: Presence): void;
  onThing(c: ThingChange): void;
  onEvent(e: Event): void;
  onPoints(p: PointsChanged): void;
  onNotice(n: Notice): void;
  /** The user is in no area any more. */
  onAway(a: Away): void;
  /** The area runs on another node: the client goes there by itself. */
  onRedirect(r: Redirect): void;
  /** A command without an answer of its own was not done. */
  onRefused(r: Refused): void;
}

/** Why something was not done. */
export class KamadoError extends Error {
  /** "invalid", "insufficient", "unavailable" … */
  readonly kind: string;
  /** It may have been done all the same, or may be later. */
  readonly doubt: boolean;
  readonly retryMs: number;

  constructor(fault: Partial<Fault>) {
    super(fault.detail || fault.kind || "it was not done");
    this.name = "KamadoError";
    this.kind = fault.kind || "internal";
    this.doubt = fault.doubt ?? false;
    this.retryMs = fault.retryMs ?? 0;
  }
}
