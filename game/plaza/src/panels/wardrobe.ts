// How one looks: name, colours, hair, what is in the wardrobe, and the profile picture.

import type { App } from "../app";
import { pictureURL } from "../app";
import { make, openDialog } from "../dialog";
import { coatColours, hairColours, hairStyles, skinColours, type Look } from "../look";
import * as me from "../me";
import { itemPicture, portrait } from "../portrait";
import { t } from "../text";

type NumberField = "colour" | "skin" | "hair" | "hairColour";

const kinds: Record<string, "hat" | "coat"> = { stripes: "coat", sakura: "coat", night: "coat", gold: "coat" };

export function open(app: App): void {
  const look: Look = { ...app.look };
  openDialog(t("wardrobe.title"), false, (body, foot, close) => {
    const mirror = make("canvas"), name = make("input", { type: "text" }), result = make("p", { class: "result" });
    const reflect = () => portrait(mirror, look, "all", 190, 220);
    mirror.setAttribute("aria-hidden", "true");
    name.id = "name";
    name.maxLength = 24;
    name.value = app.name;
    const label = make("label", { class: "name", text: t("wardrobe.name") });
    label.htmlFor = name.id;
    result.setAttribute("role", "status");

    const choices = make("div", {}, label, name,
      swatches("colour", t("wardrobe.colour"), coatColours, look, reflect),
      swatches("skin", t("wardrobe.skin"), skinColours, look, reflect),
      styles(look, reflect),
      swatches("hairColour", t("wardrobe.hairColour"), hairColours, look, reflect),
      things("hat", t("wardrobe.hat"), app.owned, look, reflect),
      things("coat", t("wardrobe.coat"), app.owned, look, reflect),
      make("p", { class: "note", text: t("wardrobe.more") }),
      pictures(app, look, (text, bad) => {
        result.textContent = text;
        result.classList.toggle("bad", bad);
      }),
      stay());
    body.append(make("div", { class: "dress" }, make("div", { class: "mirror" }, mirror), choices));
    const save = make("button", { class: "primary", type: "button", text: t("wardrobe.save") });
    save.id = "wear";
    save.addEventListener("click", async () => {
      save.disabled = true;
      try {
        await app.wear(name.value.trim() || app.name, look);
        close();
        app.tell(t("wardrobe.saved"));
      } catch (e) {
        result.textContent = t("wardrobe.failed", { why: (e as Error).message });
        result.classList.add("bad");
      }
      save.disabled = false;
    });
    foot.append(save, result);
    reflect();
  });
}

function radio(group: string, label: string, checked: boolean, shown: HTMLElement, choose: () => void): HTMLLabelElement {
  const input = make("input", { type: "radio", label });
  input.name = group;
  input.checked = checked;
  input.addEventListener("change", choose);
  return make("label", {}, input, shown);
}

function group(title: string, ...options: HTMLElement[]): HTMLElement {
  return make("fieldset", { class: "choices" }, make("legend", { text: title }), ...options);
}

function swatches(field: NumberField, title: string, colours: readonly string[], look: Look, changed: () => void): HTMLElement {
  return group(title, ...colours.map((c, i) => {
    const swatch = make("span", { class: "swatch" });
    swatch.style.background = c;
    return radio(field, t("wardrobe.choice", { what: title, n: i + 1 }), look[field] === i, swatch, () => {
      look[field] = i;
      changed();
    });
  }));
}

function styles(look: Look, changed: () => void): HTMLElement {
  const title = t("wardrobe.hair");
  return group(title, ...Array.from({ length: hairStyles }, (_, i) => {
    const face = make("canvas");
    portrait(face, { colour: 0, skin: look.skin, hair: i, hairColour: look.hairColour }, "head", 52, 52);
    return radio("hair", i === 0 ? t("wardrobe.none") : t("wardrobe.choice", { what: title, n: i }), look.hair === i, make("span", { class: "thing" }, face), () => {
      look.hair = i;
      changed();
    });
  }));
}

function things(kind: "hat" | "coat", title: string, owned: readonly string[], look: Look, changed: () => void): HTMLElement {
  const none = radio(kind, t("wardrobe.none"), !look[kind], make("span", { class: "thing", text: t("wardrobe.none") }), () => {
    delete look[kind];
    changed();
  });
  return group(title, none, ...owned.filter((id) => (kinds[id] ?? "hat") === kind).map((id) => {
    const picture = make("canvas");
    itemPicture(picture, id, kind, 52);
    return radio(kind, t(`item.${id}`), look[kind] === id, make("span", { class: "thing" }, picture), () => {
      look[kind] = id;
      changed();
    });
  }));
}

function stay(): HTMLElement {
  const box = make("input", { type: "checkbox" });
  box.id = "stay";
  box.checked = me.stays();
  box.addEventListener("change", () => me.stay(box.checked));
  return make("p", {}, make("label", { class: "check" }, box, make("span", {}, t("wardrobe.stay"), make("small", { text: t("wardrobe.stayMore") }))));
}

/** The profile picture: sent to where pictures are kept, and shown in whatever size somebody wants. */
function pictures(app: App, look: Look, say: (text: string, bad: boolean) => void): HTMLElement {
  const box = make("section", {}, make("h3", { text: t("picture.title") })), { images } = app.config;
  if (!images.upload || !images.url) {
    box.append(make("p", { class: "note", text: t("picture.none", { why: images.why || t("picture.noneWhy") }) }));
    return box;
  }
  const frame = make("div", { class: "frame" }), size = make("input", { type: "range", label: t("picture.sizeName") }), told = make("p", { class: "note" });
  const file = make("input", { type: "file" }), choose = make("button", { class: "plain", type: "button", text: t("picture.choose") }), remove = make("button", { class: "plain", type: "button", text: t("picture.remove") });
  size.min = "32";
  size.max = "512";
  size.value = "160";
  size.id = "picture-size";
  file.accept = "image/jpeg,image/png,image/webp";
  file.hidden = true;
  file.id = "picture-file";
  let image: HTMLImageElement | null = null;
  const show = () => {
    remove.hidden = size.hidden = told.hidden = !look.picture;
    if (!look.picture) return frame.replaceChildren();
    const px = Number(size.value);
    told.textContent = t("picture.size", { n: px });
    if (!image) {
      image = make("img");
      image.alt = t("picture.of", { name: app.name });
    }
    image.src = pictureURL(app.config, app.client.uid, look.picture, px);
    image.width = image.height = px;
    frame.replaceChildren(image);
  };
  choose.addEventListener("click", () => file.click());
  remove.addEventListener("click", () => {
    delete look.picture;
    show();
  });
  size.addEventListener("input", show);
  file.addEventListener("change", async () => {
    const chosen = file.files?.[0];
    if (!chosen) return;
    say(t("picture.sending"), false);
    try {
      const answer = await fetch(images.upload!, { method: "POST", body: chosen, headers: { Authorization: `Bearer ${app.client.accessToken}`, "Content-Type": chosen.type } });
      const said = (await answer.json()) as { picture?: string; detail?: string; title?: string };
      if (!answer.ok || !said.picture) throw new Error(said.detail || said.title || String(answer.status));
      look.picture = said.picture;
      say(t("picture.done"), false);
      show();
    } catch (e) {
      say(t("picture.failed", { why: (e as Error).message }), true);
    }
    file.value = "";
  });
  box.append(make("div", { class: "picture" }, frame, make("div", {}, make("p", {}, choose, " ", remove, file), size, told)));
  show();
  return box;
}
