// Sets the theme before the page is painted: the person's choice, or none, so
// that the system's holds.
(() => {
  const root = document.documentElement;
  try {
    const chosen = localStorage.getItem("kamado-theme");
    if (chosen === "light" || chosen === "dark") root.dataset.theme = chosen;
  } catch { /* storage is off: the system's theme holds */ }
})();
