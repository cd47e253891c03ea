// Dialogs over the scene.

import { t } from "./text";

/** Opens a dialog with a title; fill puts things into its body and its foot. */
export function openDialog(title: string, small: boolean, fill: (body: HTMLElement, foot: HTMLElement, close: () => void) => void): HTMLDialogElement {
  document.querySelector("dialog")?.close();
  const dialog = document.createElement("dialog");
  if (small) dialog.className = "small";
  const header = document.createElement("header"), heading = document.createElement("h2"), x = document.createElement("button"), body = document.createElement("div"), foot = document.createElement("footer");
  heading.id = "dialog-title";
  heading.textContent = title;
  dialog.setAttribute("aria-labelledby", heading.id);
  x.type = "button";
  x.className = "x";
  x.textContent = "×";
  x.setAttribute("aria-label", t("close"));
  x.addEventListener("click", () => dialog.close());
  body.className = "body";
  header.append(heading, x);
  dialog.append(header, body);
  fill(body, foot, () => dialog.close());
  if (foot.childElementCount > 0) dialog.append(foot);
  dialog.addEventListener("click", (e) => {
    if (e.target === dialog) dialog.close();
  });
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

/** A short way to make elements. */
export function make<K extends keyof HTMLElementTagNameMap>(tag: K, props: Partial<Record<"class" | "text" | "type" | "label", string>> = {}, ...children: (Node | string)[]): HTMLElementTagNameMap[K] {
  const e = document.createElement(tag);
  if (props.class) e.className = props.class;
  if (props.text !== undefined) e.textContent = props.text;
  if (props.type) e.setAttribute("type", props.type);
  if (props.label) e.setAttribute("aria-label", props.label);
  e.append(...children);
  return e;
}
