// Words for people, in their language. Each language is a file of its own, which is only fetched by who reads it.

type Words = Record<string, string>;

const loaders: Record<string, () => Promise<{ default: Words }>> = {
  en: () => import("./text/en.json"),
  ja: () => import("./text/ja.json"),
};

let words: Words = {};

/** The language that is shown. */
export let language = "en";

/** What the person chose earlier, or what the browser prefers. */
export function preferred(): string {
  let chosen = "";
  try {
    chosen = localStorage.getItem("kamado.language") ?? "";
  } catch {
    // storage is switched off: the browser's languages count
  }
  for (const l of [chosen, ...navigator.languages]) {
    const short = l.toLowerCase().split("-")[0]!;
    if (Object.hasOwn(loaders, short)) return short;
  }
  return "en";
}

/** Shows the page in a language: every element with data-t, data-label or data-hint. */
export async function speak(next: string): Promise<void> {
  words = (await loaders[next]!()).default;
  language = next;
  document.documentElement.lang = next;
  document.title = t("title");
  translate(document);
}

export function translate(root: ParentNode): void {
  for (const e of root.querySelectorAll<HTMLElement>("[data-t]")) e.textContent = t(e.dataset.t!);
  for (const e of root.querySelectorAll<HTMLElement>("[data-label]")) {
    e.setAttribute("aria-label", t(e.dataset.label!));
    if (e instanceof HTMLButtonElement) e.title = t(e.dataset.label!);
  }
  for (const e of root.querySelectorAll<HTMLInputElement>("[data-hint]")) e.placeholder = t(e.dataset.hint!);
}

/** A text with its values put in. */
export function t(key: string, values: Record<string, string | number> = {}): string {
  return (words[key] ?? key).replace(/\{(\w+)\}/g, (_, name: string) => String(values[name] ?? ""));
}

export const number = (n: number): string => new Intl.NumberFormat(language).format(n);

const adjectives = { en: ["Amber", "Quiet", "Sunny", "Clever", "Velvet", "Lucky", "Maple", "Misty", "Brave", "Honey", "Silver", "Cosy"], ja: ["こはくの", "しずかな", "ひなたの", "かしこい", "ふわふわ", "しあわせ", "もみじの", "かすみの", "いさましい", "はちみつ", "ぎんいろ", "ぬくぬく"] };
const animals = { en: ["Fox", "Heron", "Tanuki", "Otter", "Cat", "Swallow", "Rabbit", "Crane", "Badger", "Carp", "Owl", "Deer"], ja: ["きつね", "さぎ", "たぬき", "かわうそ", "ねこ", "つばめ", "うさぎ", "つる", "あなぐま", "こい", "ふくろう", "しか"] };

/** A name for who has not chosen one: always the same for one user. */
export function nameOf(uid: string): string {
  const n = Number(BigInt.asUintN(32, BigInt(uid || "0") * 2654435761n)), l = language === "ja" ? "ja" : "en";
  const a = adjectives[l][(n >>> 4) % 12]!, b = animals[l][(n >>> 12) % 12]!;
  return l === "ja" ? a + b : `${a} ${b}`;
}
