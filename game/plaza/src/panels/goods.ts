// What is for sale, and buying it.

import { KamadoError } from "../../../client/delegate";
import type { App, Item, Purse } from "../app";
import { make, openDialog } from "../dialog";
import { itemPicture } from "../portrait";
import { number, t } from "../text";

/** How often a purchase whose answer was lost is asked for again: with the same id it happens once. */
const askMost = 5;

const pause = (ms: number) => new Promise((r) => setTimeout(r, ms));

async function buy(app: App, item: Item, say: (text: string, bad: boolean) => void): Promise<void> {
  const purchase = crypto.randomUUID?.() ?? Array.from(crypto.getRandomValues(new Uint8Array(16)), (b) => b.toString(16).padStart(2, "0")).join("");
  for (let turn = 1; ; turn++) {
    try {
      app.setPurse(await app.client.callJSON<Purse>("shop.buy", { item: item.id, purchase }));
      say(t("shop.bought", { item: t(`item.${item.id}`) }), false);
      return;
    } catch (e) {
      const known = e instanceof KamadoError ? e : new KamadoError({ detail: String(e) });
      if (turn < askMost && (known.doubt || known.kind === "unavailable")) {
        say(t("shop.again"), false);
        await pause(Math.max(known.retryMs, 400 * turn));
        continue;
      }
      say(t("shop.failed", { why: known.message }), true);
      return;
    }
  }
}

export async function open(app: App): Promise<void> {
  const purse = await app.client.callJSON<Purse>("shop.list");
  app.items = purse.items ?? [];
  app.setPurse(purse);
  openDialog(t("shop.title"), false, (body, foot) => {
    const balance = make("strong"), result = make("p", { class: "result" }), goods = make("ul", { class: "goods" });
    result.setAttribute("role", "status");
    body.append(make("p", { class: "note", text: t("shop.intro") }), goods);
    foot.append(balance, result);
    let busy = "";
    const say = (text: string, bad: boolean) => {
      result.textContent = text;
      result.classList.toggle("bad", bad);
    };
    const show = () => {
      const focused = document.activeElement instanceof HTMLElement ? document.activeElement.dataset.item : undefined;
      balance.textContent = t("shop.balance", { n: number(app.balance) });
      goods.replaceChildren(...app.items.map((item) => row(item)));
      if (focused) goods.querySelector<HTMLElement>(`[data-item="${focused}"]`)?.focus();
    };
    const row = (item: Item) => {
      const picture = make("canvas"), name = t(`item.${item.id}`), button = make("button", { class: "primary", type: "button" });
      picture.setAttribute("aria-hidden", "true");
      itemPicture(picture, item.id, item.kind, 96);
      button.dataset.item = item.id;
      const owned = app.owned.includes(item.id), worn = app.look[item.kind] === item.id, missing = item.price - app.balance;
      if (owned) {
        button.className = "plain";
        button.textContent = t(worn ? "shop.wearing" : "shop.wear");
        button.setAttribute("aria-pressed", String(worn));
        button.addEventListener("click", async () => {
          const look = { ...app.look };
          if (worn) delete look[item.kind];
          else look[item.kind] = item.id;
          try {
            await app.wear(app.name, look);
          } catch (e) {
            say(t("wardrobe.failed", { why: (e as Error).message }), true);
          }
          show();
        });
      } else {
        button.textContent = missing > 0 ? t("shop.poor", { n: number(missing) }) : t("shop.buy", { n: number(item.price) });
        button.setAttribute("aria-label", `${button.textContent}: ${name}`);
        button.disabled = missing > 0 || busy !== "";
        button.addEventListener("click", async () => {
          if (busy) return;
          busy = item.id;
          await buy(app, item, say);
          busy = "";
          show();
        });
      }
      return make("li", {}, picture, make("strong", { text: name }), make("span", { class: "note", text: owned ? t("shop.owned") : number(item.price) }), button);
    };
    show();
  });
}
