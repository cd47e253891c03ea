// What is said, who is here, and the field to talk.

import type { Actor } from "./scene";
import { portrait } from "./portrait";
import { t } from "./text";

/** Most lines that are kept. */
const linesMax = 200;

const byId = <E extends HTMLElement>(id: string) => document.getElementById(id) as E;

export interface ChatActions {
  say(text: string): void;
  whisper(uid: string, text: string): void;
  meet(a: Actor): void;
  /** Size of the panel has changed. */
  resized(): void;
}

export class Chat {
  private readonly log = byId("log");
  private readonly people = byId("people");
  private readonly field = byId<HTMLInputElement>("say");
  private to: { uid: string; name: string } | null = null;
  private shown: "chat" | "people" = "chat";
  private here: Actor[] = [];
  private own = "";

  constructor(private readonly actions: ChatActions) {
    byId("say-form").addEventListener("submit", (e) => {
      e.preventDefault();
      const text = this.field.value.trim();
      if (!text) return byId("scene").focus();
      if (this.to) actions.whisper(this.to.uid, text);
      else actions.say(text);
      this.field.value = "";
    });
    this.field.addEventListener("keydown", (e) => {
      if (e.key === "Escape") {
        if (this.to) this.whisperTo(null);
        byId("scene").focus();
      }
    });
    byId("whisper-end").addEventListener("click", () => {
      this.whisperTo(null);
      this.field.focus();
    });
    for (const tab of ["chat", "people"] as const) byId(`tab-${tab}`).addEventListener("click", () => this.show(tab));
    byId("fold").addEventListener("click", () => this.fold(!byId("talk-body").hidden));
  }

  focus(): void {
    this.field.focus();
  }

  private fold(away: boolean): void {
    byId("talk-body").hidden = away;
    const button = byId("fold");
    button.setAttribute("aria-expanded", String(!away));
    button.dataset.label = away ? "chatOpen" : "chatClose";
    button.setAttribute("aria-label", t(button.dataset.label));
    button.title = t(button.dataset.label);
    this.actions.resized();
  }

  private show(tab: "chat" | "people"): void {
    this.shown = tab;
    this.fold(false);
    this.log.hidden = tab !== "chat";
    this.people.hidden = tab !== "people";
    for (const other of ["chat", "people"]) byId(`tab-${other}`).setAttribute("aria-pressed", String(other === tab));
    this.list(this.here, this.own);
  }

  /** Words in another language. */
  respeak(): void {
    this.whisperTo(this.to);
    this.list(this.here, this.own);
  }

  whisperTo(who: { uid: string; name: string } | null): void {
    this.to = who;
    byId("whisper").hidden = !who;
    byId("whisper-text").textContent = who ? t("whisperTo", who) : "";
    const hint = who ? t("whisperHint", who) : t("chatHint");
    this.field.placeholder = hint;
    this.field.setAttribute("aria-label", hint);
    if (who) this.field.focus();
    this.actions.resized();
  }

  private add(kind: string, name: string, text: string): void {
    const line = document.createElement("p");
    line.className = kind;
    if (name) {
      const who = document.createElement("b");
      who.textContent = name;
      line.append(who, " ");
    }
    line.append(text);
    const atEnd = this.log.scrollTop + this.log.clientHeight >= this.log.scrollHeight - 30;
    this.log.append(line);
    while (this.log.childElementCount > linesMax) this.log.firstElementChild!.remove();
    if (atEnd) this.log.scrollTop = this.log.scrollHeight;
  }

  said(name: string, text: string, own: boolean): void {
    this.add(own ? "own" : "", name, text);
  }
  whispered(name: string, text: string, own: boolean): void {
    this.add("whisper", t(own ? "youWhispered" : "whispered", { name }), text);
  }
  system(text: string): void {
    this.add("system", "", text);
  }

  /** Who is here. The list is only made while it is shown. */
  list(actors: Actor[], ownUid: string): void {
    this.here = actors;
    this.own = ownUid;
    byId("tab-people").textContent = t("peopleCount", { n: actors.length });
    if (this.shown !== "people") return;
    const focused = document.activeElement instanceof HTMLElement ? document.activeElement.dataset.uid : undefined;
    const rows = [...actors].sort((a, b) => Number(b.uid === ownUid) - Number(a.uid === ownUid) || a.name.localeCompare(b.name));
    this.people.replaceChildren(
      ...rows.map((a) => {
        const row = document.createElement("li"), button = document.createElement("button"), face = document.createElement("canvas");
        face.setAttribute("aria-hidden", "true");
        portrait(face, a.look, "head", 34, 34);
        button.type = "button";
        button.dataset.uid = a.uid;
        button.append(face, a.name);
        if (a.uid === ownUid) {
          const you = document.createElement("small");
          you.textContent = t("you");
          button.append(you);
        }
        button.addEventListener("click", () => this.actions.meet(a));
        row.append(button);
        return row;
      }),
    );
    if (focused) this.people.querySelector<HTMLElement>(`[data-uid="${focused}"]`)?.focus();
  }
}
