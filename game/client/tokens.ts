// Who the client is: how it signs in, and how its access token is renewed.

import type { SignIn, Welcome } from "./zwire";

/** How to sign in where there is no token. */
export type Credentials = { newGuest: true } | { guestSecret: string } | { email: string; password: string };

export function signInOf(c: Credentials): SignIn {
  if ("guestSecret" in c) return { guestSecret: c.guestSecret };
  if ("email" in c) return { password: { email: c.email, password: c.password } };
  return { newGuest: {} };
}

/** Tokens of a user. */
export interface Tokens {
  access: string;
  /** Milliseconds since 1970, by the clock of this machine. */
  accessUntilMs: number;
  refresh: string;
}

/** A token that ends sooner is not shown any more. */
export const spareMs = 5_000;

/** The address of the HTTP interface of the node that has a socket: ws://HOST/v1/socket is http://HOST/v1/. */
export function httpOf(socket: string): string {
  return socket.replace(/^ws/, "http").replace(/socket$/, "");
}

/** What a Welcome gave, by the clock of this machine. */
export function tokensOf(w: Welcome, before: Tokens | null, nowMs: number): Tokens | null {
  const until = w.expiresMs ? nowMs + (w.expiresMs - w.nowMs) : Infinity;
  if (w.access) return { access: w.access, accessUntilMs: until, refresh: w.refresh };
  return before && { ...before, accessUntilMs: until };
}

/** What the server said when tokens were to be renewed. */
export type Renewal = { tokens: Tokens } | { over: true } | { later: true };

/** Exchanges a refresh token over HTTP, at the first base that answers. over: nobody will ever take it; later: nobody could be asked. */
export async function renew(bases: string[], refresh: string, fetcher: typeof fetch, nowMs: () => number): Promise<Renewal> {
  for (const base of bases) {
    try {
      const answer = await fetcher(base + "tokens/refresh", {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ refresh_token: refresh }),
        credentials: "omit",
        signal: AbortSignal.timeout(5_000),
      });
      if (answer.status === 401 || answer.status === 403) return { over: true };
      if (!answer.ok) continue;
      const login = (await answer.json()) as { access_token: string; expires_in: number; refresh_token: string };
      return { tokens: { access: login.access_token, accessUntilMs: nowMs() + login.expires_in * 1000, refresh: login.refresh_token } };
    } catch {
      // the node is gone, or its pages may not be read from here: the next one is asked
    }
  }
  return { later: true };
}
