// What every page does: the theme switch, the key that focuses a field, and
// pictures that cannot be shown.
(() => {
  const root = document.documentElement;

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
