// The overview's charts: the last two minutes of the feed.
(() => {
  const texts = JSON.parse(document.getElementById("texts").textContent);
  const points = 120; // samples kept, one a second
  const times = [];
  const charts = new Map();

  const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  const options = (card, height, floor) => ({
    width: card.clientWidth, height,
    cursor: { show: false }, legend: { show: false }, select: { show: false },
    padding: [4, 0, 0, 0],
    axes: [{ show: false }, { show: false }],
    // The newest sample is at the right edge, whatever has been seen so far.
    scales: { x: { time: false, range: (u, min, max) => [max - points + 1, max] }, y: { range: (u, min, max) => [0, Math.max(max * 1.15, floor)] } },
    series: [{}, { stroke: color("--accent"), width: 1.75, fill: color("--accent-wash"), points: { show: false } }],
  });

  const draw = (name) => {
    const chart = charts.get(name);
    chart.plot?.destroy();
    const floor = name === "hits" || name === "busy" ? 100 : 1;
    chart.plot = new uPlot(options(chart.box, 56, floor), [times, chart.values], chart.box);
  };

  for (const card of document.querySelectorAll("[data-chart]")) {
    const name = card.dataset.chart;
    charts.set(name, { box: card.querySelector(".plot"), value: card.querySelector("[data-value]"), values: [], plot: null });
    draw(name);
  }

  const show = (v) => v >= 100 ? Math.round(v).toLocaleString("en") : v >= 10 || v === 0 ? v.toFixed(0) : v.toFixed(1);

  let count = 0;
  const add = (sample) => {
    times.push(count++);
    if (times.length > points) times.shift();
    for (const [name, chart] of charts) {
      chart.values.push(sample[name]);
      if (chart.values.length > points) chart.values.shift();
      chart.value.textContent = show(sample[name]);
      chart.plot.setData([times, chart.values]);
    }
  };

  document.body.addEventListener("htmx:sseBeforeMessage", (event) => {
    if (event.detail.type !== "sample") return;
    event.preventDefault();
    add(JSON.parse(event.detail.data));
  });

  const redraw = () => { for (const name of charts.keys()) draw(name); };
  document.addEventListener("themechange", redraw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  new ResizeObserver(redraw).observe(document.getElementById("charts"));
  for (const chart of charts.values()) chart.box.title = texts.waiting;
})();
