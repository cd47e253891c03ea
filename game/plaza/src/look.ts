// What avatars wear. The numbers agree with look.go.

export interface Look {
  colour: number;
  skin: number;
  hair: number;
  hairColour: number;
  hat?: string;
  coat?: string;
  picture?: string;
}

export const coatColours = ["#d9532c", "#f0a92e", "#8fb35f", "#4f93c4", "#33457a", "#7d57a1", "#ea7ba4", "#2a9d8f", "#8a6a5c", "#efe6d8"];
export const skinColours = ["#ffe2cb", "#f7cba6", "#e2ab80", "#c28659", "#8f5c3d", "#623f2b"];
export const hairColours = ["#2c221d", "#5b3b24", "#8b5b2d", "#ca8d40", "#e9c76c", "#b44a31", "#9ba4ae", "#6d5fc9"];
export const hairStyles = 6;

const whole = (v: unknown, n: number): number => (typeof v === "number" && Number.isInteger(v) && v >= 0 && v < n ? v : 0);

/** Reads what came with an avatar. Whatever is no look becomes one, so that everybody can be drawn. */
export function parseLook(bytes: Uint8Array, uid: string): Look {
  try {
    const l = JSON.parse(new TextDecoder().decode(bytes)) as Record<string, unknown>;
    if (l && typeof l === "object") {
      const look: Look = {
        colour: whole(l.colour, coatColours.length),
        skin: whole(l.skin, skinColours.length),
        hair: whole(l.hair, hairStyles),
        hairColour: whole(l.hairColour, hairColours.length),
      };
      for (const key of ["hat", "coat"] as const) if (typeof l[key] === "string" && /^[a-z]{1,20}$/.test(l[key])) look[key] = l[key];
      if (typeof l.picture === "string" && /^[0-9a-f]{32}\.(jpg|png|webp)$/.test(l.picture)) look.picture = l.picture;
      return look;
    }
  } catch {
    // another application's look
  }
  const n = Number(BigInt.asUintN(32, BigInt(/^\d{1,20}$/.test(uid) ? uid : "0") * 2654435761n));
  return { colour: n % 10, skin: (n >>> 8) % 6, hair: 1 + ((n >>> 12) % 5), hairColour: (n >>> 16) % 8 };
}

export const lookBytes = (l: Look): Uint8Array => new TextEncoder().encode(JSON.stringify(l));

/** Two looks are drawn alike exactly when their keys are the same. */
export const bodyKey = (l: Look): string => `${l.colour}.${l.skin}.${l.coat ?? ""}`;
export const headKey = (l: Look): string => `${l.skin}.${l.hair}.${l.hairColour}.${l.hat ?? ""}`;
