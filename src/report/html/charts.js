"use strict";
(async () => {
  const D = JSON.parse(document.getElementById("data").textContent);
  try {
    await inflate();
  } catch (e) {
    document.querySelectorAll(".plot").forEach(p => { p.style.height = "auto"; p.textContent = "Charts are not available in this browser (" + e + ")."; });
    return;
  }

  // Plotly travels gzipped in this file; the browser unpacks it.
  async function inflate() {
    const bytes = Uint8Array.from(atob(document.getElementById("plotly").textContent), c => c.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    const script = document.createElement("script");
    script.textContent = await new Response(stream).text();
    document.head.appendChild(script);
  }

  const css = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const colour = i => css("--t" + (i % 6));
  const middle = values => values.map((_, s) => s + 0.5);
  const dashes = ["solid", "dot", "dash", "longdash", "dashdot", "longdashdot"];
  const timelines = ["lanes", "in-time", "rate", "latency", "cpu", "nodes"];
  const lastOf = D.phases.length ? D.phases[D.phases.length - 1].end : 1;
  const config = { displaylogo: false, responsive: true, modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"] };
  let chosen = Math.max(0, busiest());

  // The phase shown first: the calm one in which most was asked.
  function busiest() {
    let best = -1, most = -1;
    D.percentiles.forEach((p, i) => {
      const phase = D.phases.find(x => x.name === p.phase);
      const hit = D.faults.some(f => f.start < phase.end && f.end > phase.start);
      const asked = D.targets[0].offered.slice(Math.round(phase.start), Math.round(phase.end)).reduce((a, b) => a + b, 0);
      const rate = asked / Math.max(1, phase.end - phase.start) - (hit ? 1e9 : 0);
      if (p.curves.length && (best < 0 || rate > most)) { best = i; most = rate; }
    });
    return best;
  }

  function shell(extra) {
    const line = css("--line"), soft = css("--soft");
    const axis = { gridcolor: line, linecolor: line, zerolinecolor: line, tickfont: { color: soft, size: 12 }, fixedrange: true, automargin: true };
    return {
      margin: { l: 56, r: 8, t: 44, b: 28 }, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      font: { family: getComputedStyle(document.body).fontFamily, color: css("--ink"), size: 13 },
      hovermode: "x unified", hoverlabel: { bgcolor: css("--card"), bordercolor: line, font: { color: css("--ink") } },
      showlegend: false, modebar: { bgcolor: "rgba(0,0,0,0)", color: soft, activecolor: css("--ink") },
      ...extra,
      xaxis: { ...axis, ...(extra.xaxis || {}) }, yaxis: { ...axis, ...(extra.yaxis || {}) },
    };
  }

  function timeline(yaxis, more) {
    const band = css("--band"), soft = css("--soft");
    const shapes = D.faults.map(f => ({ type: "rect", xref: "x", yref: "paper", x0: f.start, x1: f.end, y0: 0, y1: 1, fillcolor: band, opacity: 0.15, line: { width: 0 }, layer: "below" }))
      .concat(D.phases.slice(1).map(p => ({ type: "line", xref: "x", yref: "paper", x0: p.start, x1: p.start, y0: 0, y1: 1, line: { color: css("--line"), width: 1 }, layer: "below" })))
      .concat((more && more.shapes) || []);
    const annotations = D.faults.map(f => ({ x: (f.start + f.end) / 2, xref: "x", yref: "paper", y: 1, yanchor: "bottom", text: "<b>" + f.letter + "</b>", showarrow: false, font: { color: css("--ink"), size: 12 } }))
      .concat(phaseNames(soft));
    return shell({ shapes, annotations, yaxis, xaxis: { range: [0, lastOf], ticksuffix: " s", fixedrange: false, hoverformat: ".1f" }, ...((more && more.layout) || {}) });
  }

  // A name only where there is room for it and no letter of a fault.
  function phaseNames(color) {
    return D.phases.filter(p => (p.end - p.start) / lastOf > 0.07 && !D.faults.some(f => f.start < p.end && f.end > p.start))
      .map(p => ({ x: (p.start + p.end) / 2, xref: "x", yref: "paper", y: 1, yanchor: "bottom", text: escape(p.name), showarrow: false, font: { color, size: 12 } }));
  }

  // Plotly reads a little HTML in texts.
  function escape(text) {
    return String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
  }

  const limit = y => ({ type: "line", xref: "paper", yref: "y", x0: 0, x1: 1, y0: y, y1: y, line: { color: css("--soft"), width: 1, dash: "dash" } });
  const each = make => D.targets.flatMap((t, i) => make(t, i));
  // Lines that lie on one another stay visible: the first ones are wider.
  const under = i => 2 + 1.3 * Math.max(0, Math.min(D.targets.length, 4) - 1 - i);
  const lineOf = (t, i, y, more) => ({ x: middle(y), y, name: escape(t.name), mode: "lines", line: { color: colour(i), width: 2, ...(more || {}) } });

  // Faults in the bands' colour, what they did in the colour of bad news, the rest in the target's.
  function lanes() {
    const rows = D.targets.flatMap((t, i) => t.lanes.map(lane => ({ lane, i })));
    const many = D.targets.length > 1;
    const colourOf = ({ lane, i }) => lane.kind === "fault" ? css("--band") : lane.kind === "effect" ? css("--bad") : colour(i);
    const bars = rows.flatMap((row, y) => row.lane.bars.map(b => {
      const text = escape((many ? D.targets[row.i].name + ": " : "") + b.text);
      const isLong = (b.end - b.start) / lastOf > 0.3, isLate = b.start / lastOf > 0.7;
      return {
        type: "bar", orientation: "h", y: [y], base: [b.start], x: [b.end - b.start], width: 0.72, name: text,
        marker: { color: colourOf(row), opacity: row.lane.kind === "leader" ? 0.35 : 0.75 },
        text: [isLate && !isLong ? "" : text], textposition: isLong ? "inside" : "outside", insidetextanchor: "start", cliponaxis: true,
        textfont: { size: 12, color: css("--ink") }, outsidetextfont: { size: 12, color: css("--ink") }, constraintext: "none",
        hovertemplate: text + "<br>" + b.start.toFixed(2) + " s to " + b.end.toFixed(2) + " s<extra></extra>",
      };
    }));
    document.getElementById("lanes").style.height = (90 + 26 * Math.max(1, rows.length)) + "px";
    return [bars, timeline({ range: [rows.length - 0.4, -0.6], showticklabels: false, showgrid: false, zeroline: false }, { layout: { barmode: "overlay", hovermode: "closest" } })];
  }

  function inTime() {
    const lines = each((t, i) => {
      const percent = t.in_time.map(v => v === null ? null : v * 100);
      const marks = { x: t.marks.map(m => m.at), y: t.marks.map(() => 4 + 7 * i), text: t.marks.map(m => escape(m.text)), name: escape(t.name), mode: "markers", marker: { symbol: "triangle-up", size: 9, color: colour(i), line: { width: 1, color: css("--bg") } }, hovertemplate: "%{text}<extra>%{fullData.name}</extra>" };
      return [{ ...lineOf(t, i, percent, { width: under(i) }), hovertemplate: "%{y:.1f} %" }, marks];
    });
    return [lines, timeline({ range: [-2, 104], tickvals: [0, 25, 50, 75, 100], ticktext: ["0 %", "25 %", "50 %", "75 %", "100 %"] }, { shapes: [limit(D.hypothesis * 100)] })];
  }

  function rate() {
    const offered = D.targets[0].offered;
    const asked = { x: middle(offered), y: offered, name: "asked", mode: "lines", fill: "tozeroy", line: { width: 0, color: css("--soft") }, fillcolor: "rgba(128,136,148,.18)", hovertemplate: "%{y}/s" };
    return [[asked].concat(each((t, i) => [{ ...lineOf(t, i, t.answered), hovertemplate: "%{y}/s" }])), timeline({ rangemode: "tozero", ticksuffix: "/s" })];
  }

  function latency() {
    const lines = each((t, i) => [
      { ...lineOf(t, i, t.p99_ms), name: escape(t.name) + " p99", hovertemplate: "%{y:.3~s} ms" },
      { ...lineOf(t, i, t.p50_ms, { width: 1.5, dash: "dot" }), name: escape(t.name) + " p50", hovertemplate: "%{y:.3~s} ms" },
    ]);
    return [lines, timeline({ type: "log", tickvals: [1, 3, 10, 30, 100, 300, 1000, 3000, 10000], ticktext: ["1 ms", "3 ms", "10 ms", "30 ms", "100 ms", "300 ms", "1 s", "3 s", "10 s"] }, { shapes: [limit(D.in_time_ms)] })];
  }

  function cpu() {
    const lines = each((t, i) => Object.entries(t.cpu).map(([group, values], g) => ({ ...lineOf(t, i, values.map(v => v === null ? null : v * 100), { dash: dashes[g % dashes.length] }), name: escape(t.name + " " + group), hovertemplate: "%{y:.0f} %" })));
    return [lines, timeline({ rangemode: "tozero", ticksuffix: " %" }, { shapes: [limit(100)], layout: { showlegend: true, legend: { orientation: "h", y: -0.16, font: { size: 12, color: css("--soft") } } } })];
  }

  function nodes() {
    const lines = each((t, i) => [{ x: t.nodes_up.map((_, s) => s), y: t.nodes_up, name: escape(t.name), mode: "lines", line: { color: colour(i), width: under(i), shape: "hv" }, hovertemplate: "%{y} of " + t.nodes_total }]);
    const most = Math.max(1, ...D.targets.map(t => t.nodes_total));
    return [lines, timeline({ range: [0, most * 1.08], dtick: Math.max(1, Math.ceil(most / 6)) })];
  }

  function percentiles() {
    const p = D.percentiles[chosen];
    if (!p) return null;
    const lines = p.curves.map(c => ({ x: c.x, y: c.ms, name: escape(D.targets[c.target].name) + (c.is_response ? " response" : " service"), mode: "lines", line: { color: colour(c.target), width: c.is_response ? 2.5 : 1.5, dash: c.is_response ? "solid" : "dash" }, hovertemplate: "%{y:.3~s} ms" }));
    const most = Math.max(10, ...p.curves.map(c => c.x[c.x.length - 1]));
    const ticks = [1, 2, 10, 100, 1000, 10000, 100000];
    return [lines, shell({
      showlegend: true, legend: { orientation: "h", y: -0.08, font: { size: 12, color: css("--soft") } },
      xaxis: { type: "log", range: [0, Math.log10(most) + 0.03], tickvals: ticks, ticktext: ["0", "50 %", "90 %", "99 %", "99.9 %", "99.99 %", "99.999 %"], fixedrange: false, hoverformat: ".4~g" },
      yaxis: { rangemode: "tozero", ticksuffix: " ms", fixedrange: false },
      margin: { l: 64, r: 8, t: 32, b: 28 },
      shapes: [limit(D.in_time_ms)].filter(() => Math.max(0, ...p.curves.flatMap(c => c.ms)) > D.in_time_ms * 0.5),
    })];
  }

  function choices() {
    const box = document.getElementById("phases");
    box.replaceChildren(...D.percentiles.map((p, i) => {
      const button = document.createElement("button");
      button.textContent = p.phase;
      button.setAttribute("aria-pressed", String(i === chosen));
      button.onclick = () => { chosen = i; choices(); draw("percentiles", percentiles()); };
      return button;
    }));
    const gone = (D.percentiles[chosen] || { overloaded: [] }).overloaded;
    document.getElementById("overloaded").textContent = gone.length
      ? gone.join(", ") + ": overloaded in this phase. Percentiles would only tell how long the phase was, so none are drawn."
      : "";
  }

  function draw(id, made) {
    if (made) return Plotly.react(id, made[0], made[1], config);
  }

  function drawAll() {
    const made = { lanes: lanes(), "in-time": inTime(), rate: rate(), latency: latency(), cpu: cpu(), nodes: nodes(), percentiles: percentiles() };
    Object.entries(made).forEach(([id, m]) => draw(id, m));
    choices();
  }

  // One clock: zooming one timeline zooms all.
  function link() {
    let busy = false;
    timelines.forEach(id => document.getElementById(id).on("plotly_relayout", async e => {
      const zoomed = "xaxis.range[0]" in e, reset = e["xaxis.autorange"];
      if (busy || !(zoomed || reset)) return;
      busy = true;
      const range = zoomed ? [e["xaxis.range[0]"], e["xaxis.range[1]"]] : [0, lastOf];
      await Promise.all(timelines.map(other => Plotly.relayout(other, { "xaxis.range": range, "xaxis.autorange": false })));
      busy = false;
    }));
  }

  document.getElementById("cpu").style.height = "310px";
  drawAll();
  link();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
  addEventListener("beforeprint", drawAll);
  addEventListener("afterprint", drawAll);
})();
