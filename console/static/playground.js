// The playground: the controls make a rendition's options, the options make a
// URL, and the picture behind it is fetched and measured.
(() => {
  const texts = JSON.parse(document.getElementById("texts").textContent);
  const say = (key, ...args) => args.reduce((s, arg, i) => s.replaceAll(`{${i}}`, arg), texts[key]);
  const $ = (id) => document.getElementById(id);
  const play = $("play"), form = $("controls"), picture = $("picture"), stage = document.querySelector(".stage");
  const key = play.dataset.key;
  const original = { bytes: +play.dataset.bytes, width: +play.dataset.width, height: +play.dataset.height };
  const keyPath = key.split("/").map(encodeURIComponent).join("/");

  // ---- from controls to options, in the canonical order and spelling ----

  const decimal = (v) => String(Math.round(v * 10) / 10);
  const lossy = (format) => !["png", "gif"].includes(format);
  const clamp = (input) => {
    const v = parseFloat(input.value);
    const whole = +input.step >= 1;
    if (!Number.isFinite(v)) return +input.defaultValue;
    const inside = Math.min(+input.max, Math.max(+input.min, v));
    return whole ? Math.round(inside) : inside;
  };
  const settings = () => {
    const data = new FormData(form);
    const s = Object.fromEntries(data);
    for (const name of ["w", "h", "q", "blur", "sharpen"]) s[name] = clamp(form.elements[name]);
    return s;
  };
  const optionsOf = (s) => {
    const box = s.w > 0 && s.h > 0;
    let fit = s.fit;
    if (!box && (fit === "crop" || fit === "pad")) fit = "inside"; // nothing to cut to
    const items = [];
    if (s.w) items.push(`w:${s.w}`);
    if (s.h) items.push(`h:${s.h}`);
    if (fit !== "inside") items.push(`fit:${fit}`);
    if ((fit === "crop" || fit === "pad") && s.gravity !== "center") items.push(`gravity:${s.gravity}`);
    if (s.rotate !== "0") items.push(`rotate:${s.rotate}`);
    if (s.blur > 0) items.push(`blur:${decimal(s.blur)}`);
    if (s.sharpen > 0) items.push(`sharpen:${decimal(s.sharpen)}`);
    if (lossy(s.format)) items.push(`q:${s.q}`);
    if (s.format !== "original") items.push(`format:${s.format}`);
    return items.join(",") || "whole";
  };

  // ---- numbers for people ----

  const bytesText = (n) => {
    const units = ["B", "kB", "MB", "GB"];
    let i = 0;
    while (n >= 999.5 && i < units.length - 1) { n /= 1000; i++; }
    return `${n.toFixed(i > 0 && n < 99.95 ? 1 : 0)} ${units[i]}`;
  };
  const ms = (v) => v >= 100 ? v.toFixed(0) : v >= 10 ? v.toFixed(1) : v.toFixed(2);
  const shareText = (part, whole) => {
    const r = part / whole;
    if (r > 1) return say("larger", r.toFixed(1));
    return say("share", `${(100 * r).toFixed(r < 0.1 ? 2 : 1)} %`);
  };

  // ---- the URL ----

  let urls = null;
  const showURL = () => {
    if (!urls) return;
    const wanted = form.ownerDocument.querySelector("input[name=grammar]:checked").value;
    const url = urls[wanted] || urls.native;
    const output = $("url");
    output.replaceChildren();
    // The part that says the size stands out.
    const parts = new URL(url.url);
    const segments = parts.pathname.split("/");
    const at = url === urls.tofu ? 3 : 3;
    output.append(`${parts.origin}`);
    segments.forEach((segment, i) => {
      if (i > 0) output.append("/");
      if (i === at) {
        const strong = document.createElement("b");
        strong.textContent = decodeURI(segment);
        output.append(strong);
      } else output.append(segment);
    });
    output.append(parts.search);
    output.dataset.url = url.url;
    $("open").href = url.url;
    $("unsigned").hidden = !url.needed || url.signed;
    $("no-tofu").hidden = wanted !== "tofu" || !!urls.tofu;
  };

  // ---- the picture ----

  const stagesOf = (header) => {
    const stages = [], facts = {};
    for (const item of (header || "").split(",")) {
      const [name, ...params] = item.trim().split(";");
      for (const p of params) {
        const [k, v] = p.split("=");
        if (k.trim() === "dur") stages.push({ name, dur: parseFloat(v) });
        if (k.trim() === "desc") facts[name] = v.replaceAll('"', "");
      }
    }
    return { stages, facts };
  };

  const showTime = (header) => {
    const { stages, facts } = stagesOf(header);
    const total = stages.find((s) => s.name === "total")?.dur ?? 0;
    const parts = stages.filter((s) => s.name !== "total" && s.dur > 0.0005);
    const known = parts.reduce((sum, s) => sum + s.dur, 0);
    const bar = $("stages"), legend = $("legend");
    bar.replaceChildren();
    legend.replaceChildren();
    const from = [texts[facts.cache] ?? facts.cache ?? "", facts.source === "mezzanine" ? texts.mezzanine : ""].filter(Boolean).join(", ");
    $("total").textContent = [say("total", ms(total)), from].filter(Boolean).join(" · ");
    if (total - known > 0.01 && parts.length > 0) parts.push({ name: "other", dur: total - known });
    if (facts.cache && !["rendered", "shared"].includes(facts.cache)) {
      const note = document.createElement("li");
      note.className = "muted";
      note.textContent = texts.cached;
      legend.append(note);
      return;
    }
    const sum = Math.max(total, known) || 1;
    parts.forEach((part, i) => {
      const color = part.name === "other" ? "other" : String(i % 6);
      const piece = document.createElement("span");
      piece.style.flexGrow = part.dur / sum * 1000;
      piece.dataset.color = color;
      bar.append(piece);
      const item = document.createElement("li");
      const dot = document.createElement("span");
      dot.className = "swatch";
      dot.dataset.color = color;
      const value = document.createElement("span");
      value.className = "num";
      value.textContent = `${ms(part.dur)} ms`;
      item.append(dot, texts[part.name] ?? part.name, value);
      legend.append(item);
    });
  };

  const showBytes = (n) => {
    $("bytes-after").textContent = bytesText(n);
    $("share").textContent = shareText(n, original.bytes);
    const most = Math.max(n, original.bytes);
    $("bar").style.width = `${Math.max(0.6, 100 * n / most)}%`;
    document.querySelector(".bar.whole").style.width = `${100 * original.bytes / most}%`;
    play.dataset.renderedBytes = n;
  };

  const showProblem = (text) => {
    const p = $("problem");
    p.textContent = text;
    p.hidden = !text;
    picture.hidden = !!text;
  };

  let running = null, objectURL = "";
  const update = async () => {
    running?.abort();
    const run = running = new AbortController();
    const options = optionsOf(settings());
    stage.setAttribute("aria-busy", "true");
    try {
      const query = new URLSearchParams({ options, key });
      const [answer, written] = await Promise.all([
        fetch(`/pictures/${options}/${keyPath}`, { signal: run.signal, headers: { Accept: "image/*, application/problem+json;q=0.9, application/json;q=0.8" } }),
        fetch(`/images/url?${query}`, { signal: run.signal }),
      ]);
      if (written.ok) { urls = await written.json(); showURL(); }
      if (!answer.ok) {
        const problem = await answer.json().catch(() => ({}));
        showProblem(problem.detail || say("failed", answer.status));
        return;
      }
      const blob = await answer.blob();
      if (run.signal.aborted) return;
      const next = URL.createObjectURL(blob);
      await new Promise((done) => {
        picture.onload = picture.onerror = done;
        picture.src = next;
      });
      if (objectURL) URL.revokeObjectURL(objectURL);
      objectURL = next;
      showProblem("");
      const type = (answer.headers.get("Content-Type") || "").replace("image/", "").toUpperCase();
      $("shown").textContent = say("shown", picture.naturalWidth, picture.naturalHeight, type);
      picture.alt = say("alt", key, options);
      play.dataset.shown = options; // what is on the stage now
      showBytes(blob.size);
      showTime(answer.headers.get("Server-Timing"));
    } catch (err) {
      if (err.name !== "AbortError") showProblem(texts.unreachable);
    } finally {
      if (running === run) stage.setAttribute("aria-busy", "false");
      // The strip waits, so that it does not compete with the picture for a place.
      for (const img of document.querySelectorAll("img[data-later]")) {
        img.src = img.dataset.later;
        delete img.dataset.later;
      }
    }
  };

  // ---- the controls, and the page's own address ----

  const remember = () => {
    const s = settings(), q = new URLSearchParams({ key });
    for (const [name, value] of Object.entries(s)) {
      const field = form.elements[name];
      const initial = field instanceof RadioNodeList ? [...field].find((f) => f.defaultChecked)?.value : field.defaultValue ?? [...field.options][0].value;
      if (String(value) !== String(initial)) q.set(name, value);
    }
    history.replaceState(null, "", `?${q}`);
    for (const link of document.querySelectorAll("a[data-keep]")) {
      const there = new URLSearchParams(new URL(link.href).search);
      const kept = new URLSearchParams(q);
      kept.set("key", there.get("key"));
      link.href = `?${kept}`;
    }
  };

  // The strip shows where we are, without moving the page.
  const here = document.querySelector(".strip a[aria-current]");
  if (here) here.parentElement.scrollLeft = here.offsetLeft - here.parentElement.offsetLeft - (here.parentElement.clientWidth - here.clientWidth) / 2;

  let timer = 0;
  const changed = () => {
    clearTimeout(timer);
    timer = setTimeout(() => { remember(); update(); }, 90); // fewer requests while a slider moves
  };
  const quality = () => {
    const off = !lossy(form.elements.format.value);
    form.elements.q.disabled = $("q-range").disabled = off;
  };
  form.addEventListener("input", (event) => {
    const { range, number } = event.target.dataset;
    if (range) form.elements[range].value = event.target.value;
    if (number) $(`${number}-range`).value = event.target.value;
    quality();
    changed();
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(() => {
    for (const range of form.querySelectorAll("[data-range]")) range.value = form.elements[range.dataset.range].value;
    quality();
    changed();
  }));
  for (const radio of document.querySelectorAll("input[name=grammar]")) radio.addEventListener("change", showURL);

  $("copy").addEventListener("click", async () => {
    const label = $("copy").querySelector("span"), before = label.textContent;
    try {
      await navigator.clipboard.writeText($("url").dataset.url);
    } catch { // not a secure context: select it for the person
      getSelection().selectAllChildren($("url"));
      return;
    }
    label.textContent = texts.copied;
    setTimeout(() => { label.textContent = before; }, 1500);
  });

  const given = new URLSearchParams(location.search);
  for (const [name, value] of given) {
    const field = form.elements[name];
    if (field) field.value = value;
    const range = $(`${name}-range`);
    if (range) range.value = value;
  }
  if (given.has("gravity") || given.has("rotate") || given.has("blur") || given.has("sharpen")) form.querySelector("details").open = true;
  quality();
  remember();
  update();
})();
