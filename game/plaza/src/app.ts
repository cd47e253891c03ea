// What the parts of the page share. world.ts is it; panels get it.

import type { Client } from "../../client/kamado";
import type { Look } from "./look";
import type { Actor, Scene } from "./scene";

/** What /plaza/config.json says. */
export interface Config {
  images: { upload: string | null; url: string | null; why?: string };
}

/** Answer of shop.list, shop.welcome and shop.buy. */
export interface Purse {
  items?: Item[];
  owned: string[];
  balance: number;
  granted?: number;
}

export interface Item {
  id: string;
  kind: "hat" | "coat";
  price: number;
}

/** Answer of avatar.get and avatar.save. */
export interface Dressed {
  name: string;
  look: Look;
  owned: string[];
  saved: boolean;
}

export interface App {
  client: Client;
  scene: Scene;
  config: Config;
  name: string;
  look: Look;
  owned: string[];
  balance: number;
  items: Item[];
  /** Keeps a name and a look, and shows them to everybody. An error is a KamadoError. */
  wear(name: string, look: Look): Promise<void>;
  setPurse(p: Purse): void;
  whisper(a: Actor): void;
  tell(text: string): void;
}

/** Where a picture is shown. */
export function pictureURL(config: Config, uid: string, picture: string, size: number): string {
  return (config.images.url ?? "").replace("{uid}", uid).replace("{picture}", picture).replace("{size}", String(size));
}
