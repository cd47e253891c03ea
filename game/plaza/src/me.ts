// Who this window is. By default each window is a guest of its own; "stay me on this device" keeps the guest for all.

import type { Credentials } from "../../client/kamado";

const key = "kamado.guest";

/** Storage that may be switched off. */
function stored(of: () => Storage, f: (s: Storage) => string | null | void): string {
  try {
    return f(of()) ?? "";
  } catch {
    return "";
  }
}

const session = () => sessionStorage, device = () => localStorage;

/** How this window signs in. A secret that the server does not take any more is forgotten. */
export function credentials(failed: boolean): Credentials {
  if (failed) forget();
  const secret = stored(session, (s) => s.getItem(key)) || stored(device, (s) => s.getItem(key));
  return secret ? { guestSecret: secret } : { newGuest: true };
}

/** Keeps the secret of a new guest, for this window. */
export function keep(secret: string): void {
  stored(session, (s) => s.setItem(key, secret));
}

export function forget(): void {
  stored(session, (s) => s.removeItem(key));
  stored(device, (s) => s.removeItem(key));
}

export const stays = (): boolean => stored(device, (s) => s.getItem(key)) !== "";

export function stay(on: boolean): void {
  const secret = stored(session, (s) => s.getItem(key)) || stored(device, (s) => s.getItem(key));
  if (on && secret) stored(device, (s) => s.setItem(key, secret));
  if (!on) {
    stored(session, (s) => s.setItem(key, secret)); // this window stays who it is
    stored(device, (s) => s.removeItem(key));
  }
}
