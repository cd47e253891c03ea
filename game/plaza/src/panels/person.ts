// The card of somebody else.

import type { App } from "../app";
import { pictureURL } from "../app";
import { make, openDialog } from "../dialog";
import { portrait } from "../portrait";
import type { Actor } from "../scene";
import { t } from "../text";

export function open(app: App, who: Actor): void {
  openDialog(t("person.title", { name: who.name }), true, (body, _foot, close) => {
    body.classList.add("card");
    const figure = make("canvas");
    figure.setAttribute("aria-hidden", "true");
    portrait(figure, who.look, "all", 160, 180);
    if (who.look.picture && app.config.images.url) {
      const image = make("img");
      image.alt = t("picture.of", { name: who.name });
      image.src = pictureURL(app.config, who.uid, who.look.picture, Math.min(1024, Math.round(160 * (devicePixelRatio || 1))));
      image.addEventListener("error", () => image.replaceWith(figure));
      body.append(image);
    } else body.append(figure);
    const whisper = make("button", { class: "primary", type: "button", text: t("person.whisper") });
    whisper.addEventListener("click", () => {
      close();
      app.whisper(who);
    });
    body.append(whisper);
  });
}
