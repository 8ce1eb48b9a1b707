"use strict";
// Draws each chart of the page when it comes into view. `data` holds what `html.py` put there:
// the times in seconds, of all charts or of each its own, and for each chart its unit and its lines.
// The values of a chart with labels are their positions.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const pick = (value, units, step) => {
    let at = 0;
    while (Math.abs(value) >= step && at < units.length - 1) { value /= step; at += 1; }
    return `${Number(value.toPrecision(3))}${units[at]}`;
  };
  const write = {
    processors: (v) => `${Number(v.toPrecision(3))}`,
    share: (v) => `${Number((100 * v).toPrecision(3))}%`,
    rate: (v) => pick(v, ["", "k", "M", "G"], 1000),
    bytes: (v) => pick(v, [" B/s", " KiB/s", " MiB/s", " GiB/s"], 1024),
    ns: (v) => pick(v, [" ns", " µs", " ms", " s"], 1000),
    number: (v) => `${Number(v.toPrecision(3))}`,
  };
  const two = (n) => String(n).padStart(2, "0");
  const clock = (s) => {
    const all = Math.round(s);
    const [h, m] = [Math.floor(all / 3600), Math.floor(all / 60) % 60];
    return h ? `${h}:${two(m)}:${two(all % 60)}` : `${m}:${two(all % 60)}`;
  };
  const show = (text) => (u, v) => (v == null ? "-" : text(v));
  const powers = Array.from({ length: 44 }, (_, at) => 2 ** at);
  const drawn = new Map();

  function draw(element) {
    const chart = data.charts[element.dataset.chart];
    const times = chart.t || data.t;
    const labels = chart.labels;
    const text = labels ? (v) => labels[v] || "" : write[chart.unit];
    const axis = { stroke: css("--soft"), grid: { stroke: css("--line"), width: 1 },
      ticks: { stroke: css("--line"), width: 1 }, font: "12px system-ui,sans-serif" };
    const series = chart.lines.map((line) => ({
      label: line.label, stroke: css(`--l${line.color}`), width: line.dashed ? 1 : 2,
      dash: line.dashed ? [5, 4] : undefined,
      points: { show: line.dots || times.length < 3, size: line.dots ? 8 : 5 },
      paths: line.dots ? () => null : line.stepped ? uPlot.paths.stepped({ align: -1 }) : undefined,
      value: show(text), spanGaps: false }));
    const options = {
      width: element.clientWidth, height: 220, series: [
        { label: "time", value: show(clock) }, ...series],
      scales: { x: { time: false, range: [0, data.end] },
        y: { range: (u, low, high) => (labels ? [-0.5, labels.length - 0.5]
          : [0, Math.max(high * 1.05, chart.least)]) } },
      axes: [{ ...axis, values: (u, ticks) => ticks.map(clock), incrs: [
        1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400] },
      { ...axis, size: labels ? 104 : 84, incrs: chart.unit === "bytes" ? powers : undefined,
        splits: labels ? () => labels.map((_, at) => at) : undefined,
        values: (u, ticks) => ticks.map(text) }],
      bands: chart.band ? [{ series: chart.band, fill: `${css("--l0")}33` }] : undefined,
      cursor: { sync: { key: element.dataset.guest }, points: { size: 6 } },
      legend: { live: true },
    };
    element.replaceChildren();
    drawn.set(element, new uPlot(options, [times, ...chart.lines.map((l) => l.values)], element));
  }

  const all = [...document.querySelectorAll("[data-chart]")];
  const seen = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (entry.isIntersecting && !drawn.has(entry.target)) draw(entry.target);
    }
  }, { rootMargin: "400px" });
  const sized = new ResizeObserver((entries) => {
    for (const { target } of entries) {
      const plot = drawn.get(target);
      if (plot && target.clientWidth && plot.width !== target.clientWidth) {
        plot.setSize({ width: target.clientWidth, height: 220 });
      }
    }
  });
  const redraw = () => {
    for (const [element, plot] of drawn) { plot.destroy(); draw(element); }
  };
  all.forEach((element) => { seen.observe(element); sized.observe(element); });
  dark.addEventListener("change", redraw);
  addEventListener("beforeprint", () => all.forEach((each) => drawn.has(each) || draw(each)));
})();
