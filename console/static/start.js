// The slider of a player's picture: each size is made by the pictures service when it is asked for.
(() => {
  const texts = JSON.parse(document.getElementById("texts").textContent);
  let asked = 0;

  const show = async (box) => {
    const size = box.querySelector("input").value, mine = ++asked;
    const say = box.querySelector("[data-shown]"), img = box.querySelector("img");
    try {
      const res = await fetch(box.dataset.pictureSize + size);
      if (!res.ok) throw new Error(String(res.status));
      const blob = await res.blob();
      if (mine !== asked) return; // a newer size was asked for meanwhile
      const old = img.src;
      img.src = URL.createObjectURL(blob);
      img.width = img.height = size;
      if (old.startsWith("blob:")) URL.revokeObjectURL(old);
      say.textContent = texts.shown.replaceAll("{0}", size).replace("{1}", (blob.size / 1000).toFixed(1)).replace("{2}", blob.type.replace("image/", "").toUpperCase());
      box.querySelector("[data-address]").textContent = res.headers.get("X-Picture-Url") ?? "";
      box.dataset.size = size;
    } catch { if (mine === asked) say.textContent = texts.failed; }
  };

  document.addEventListener("input", (event) => {
    const box = event.target.closest("[data-picture-size]");
    if (box) show(box);
  });
  const first = () => { for (const box of document.querySelectorAll("[data-picture-size]:not([data-size])")) { box.dataset.size = ""; show(box); } };
  document.addEventListener("htmx:afterSwap", first);
  first();
})();
