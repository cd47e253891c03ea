// What every page does: the theme switch, the key that focuses a field, and
// pictures that cannot be shown.
(() => {
  const root = document.documentElement;

  // On a narrow window the navigation is a strip that scrolls.
  document.querySelector("nav [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });

  const dark = () => root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;

  document.addEventListener("click", (event) => {
    if (!event.target.closest("[data-theme-toggle]")) return;
    root.dataset.theme = dark() ? "light" : "dark";
    try { localStorage.setItem("kamado-theme", root.dataset.theme); } catch { /* holds for this page only */ }
    document.dispatchEvent(new CustomEvent("themechange"));
  });

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, textarea, select, [contenteditable]")) return;
    const field = document.querySelector(`[data-focus-key="${CSS.escape(event.key)}"]`);
    if (field) { event.preventDefault(); field.focus(); field.select?.(); }
  });

  // An error event does not bubble; it is caught on its way down.
  const broken = (img) => {
    const text = document.getElementById("content").dataset.broken;
    const note = document.createElement("span");
    note.className = "broken";
    note.textContent = text;
    img.replaceWith(note);
  };
  document.addEventListener("error", (event) => {
    if (event.target.matches?.("img[data-picture]")) broken(event.target);
  }, true);
  for (const img of document.querySelectorAll("img[data-picture]")) {
    if (img.complete && img.naturalWidth === 0 && img.currentSrc) broken(img);
  }
})();

// Parts of a page that keep themselves current (htmx): they are asked for while
// somebody can see them, and change only where they differ, so that focus,
// selection, scroll and what is being typed stay.
(() => {
  const stale = document.getElementById("stale");
  const polled = (event) => event.detail.elt?.getAttribute?.("hx-trigger")?.startsWith("every");

  if (window.Idiomorph) {
    const { callbacks } = Idiomorph.defaults;
    callbacks.beforeNodeMorphed = (node) => !(node.dataset && "keep" in node.dataset);
    callbacks.beforeAttributeUpdated = (name, node) => !(name === "open" && node.tagName === "DETAILS");
  }

  document.addEventListener("htmx:beforeRequest", (event) => { if (polled(event) && document.hidden) event.preventDefault(); });
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) return;
    for (const part of document.querySelectorAll("[hx-trigger*=seen]")) htmx.trigger(part, "seen");
  });
  for (const kind of ["htmx:responseError", "htmx:sendError", "htmx:timeout"]) {
    document.addEventListener(kind, (event) => { if (polled(event)) stale.hidden = false; });
  }

  // What is read at its end stays at its end.
  const atEnd = new WeakSet();
  const follow = () => { for (const e of document.querySelectorAll("[data-follow]")) e.scrollTop = e.scrollHeight; };
  document.addEventListener("htmx:beforeSwap", () => {
    for (const e of document.querySelectorAll("[data-follow]")) {
      if (e.scrollTop + e.clientHeight >= e.scrollHeight - 4) atEnd.add(e); else atEnd.delete(e);
    }
  });
  document.addEventListener("htmx:afterSwap", (event) => {
    if (polled(event)) stale.hidden = true;
    for (const e of document.querySelectorAll("[data-follow]")) if (atEnd.has(e)) e.scrollTop = e.scrollHeight;
  });
  follow();
})();

// Copying, questions before what cannot be undone, and the form that an address
// leads to.
(() => {
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    const source = document.getElementById(button.dataset.copy), label = button.querySelector("span");
    try {
      await navigator.clipboard.writeText(source.textContent);
      const text = label.textContent;
      label.textContent = button.dataset.done;
      setTimeout(() => { label.textContent = text; }, 1500);
    } catch { getSelection().selectAllChildren(source); /* no clipboard here: it is chosen, to be copied by hand */ }
  });

  const dialog = document.getElementById("confirm");
  let asking = null;
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (!dialog || !form.dataset.confirm) return;
    event.preventDefault();
    asking = form;
    document.getElementById("confirm-title").textContent = form.dataset.confirm;
    document.getElementById("confirm-text").textContent = form.dataset.confirmText;
    document.getElementById("confirm-yes").textContent = form.dataset.confirmYes;
    dialog.returnValue = "no";
    dialog.showModal();
  });
  dialog?.addEventListener("close", () => {
    if (dialog.returnValue === "yes" && asking) asking.submit(); // past the question
    asking = null;
  });

  const target = location.hash && document.getElementById(location.hash.slice(1));
  if (target?.tagName === "DETAILS") target.open = true;
})();
