"use strict";
// The charts of runs under one clock: timelines, and response times by percentile.
function ownCharts({ D, css, colour, dashes, shell, escape, plain, limit, legend, logTicks, buttons, draw }) {
  const middle = values => values.map((_, i) => (i + 0.5) * D.step);
  const percent = values => values.map(v => v === null ? null : v * 100);
  const charts = { lanes, "in-time": inTime, rate, errors, latency, heat, cpu, "node-cpu": nodeCpu, hits, lag, nodes, percentiles };
  const timelines = Object.keys(charts).filter(id => id !== "percentiles" && document.getElementById(id));
  const lastOf = D.end_s;
  let chosen = Math.max(0, busiest());
  // Of charts that have room for one target: which.
  const target = { heat: D.targets.length - 1, "node-cpu": D.targets.length - 1 };

  // The phase shown first: the calm one in which most was asked.
  function busiest() {
    let best = -1, most = -1;
    D.percentiles.forEach((p, i) => {
      const phase = D.phases.find(x => x.name === p.phase);
      const hit = D.faults.some(f => f.start < phase.end && f.end > phase.start);
      const within = t => t.offered.slice(Math.round(phase.start / D.step), Math.round(phase.end / D.step));
      const asked = Math.max(...D.targets.map(t => within(t).reduce((a, b) => a + b, 0)));
      const rate = asked * D.step / Math.max(1, phase.end - phase.start) - (hit ? 1e9 : 0);
      if (p.curves.length && (best < 0 || rate > most)) { best = i; most = rate; }
    });
    return best;
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
    const width = document.getElementById("in-time").clientWidth - 64;
    return D.phases.filter(p => (p.end - p.start) / lastOf > Math.max(0.07, p.name.length * 7.5 / width) && !D.faults.some(f => f.start < p.end && f.end > p.start))
      .map(p => ({ x: (p.start + p.end) / 2, xref: "x", yref: "paper", y: 1, yanchor: "bottom", text: escape(p.name), showarrow: false, font: { color, size: 12 } }));
  }

  const each = make => D.targets.flatMap((t, i) => make(t, i));
  // Lines that lie on one another stay visible: the first ones are wider.
  const under = i => 2 + 1.3 * Math.max(0, Math.min(D.targets.length, 4) - 1 - i);
  const lineOf = (t, i, y, more) => dotted({ x: middle(y), y, name: escape(t.name), mode: "lines", line: { color: colour(i), width: 2, ...(more || {}) } });

  // A point without neighbours is no line: it is drawn as a dot.
  function dotted(trace) {
    const known = i => trace.y[i] !== null && trace.y[i] !== undefined;
    const alone = trace.y.map((_, i) => known(i) && !known(i - 1) && !known(i + 1));
    if (!alone.includes(true)) return trace;
    return { ...trace, mode: "lines+markers", marker: { color: trace.line.color, size: alone.map(a => a ? 6 : 0), line: { width: 0 } } };
  }

  // Faults in the bands' colour, what they did in the colour of bad news, the rest in the target's.
  function lanes() {
    const rows = D.targets.flatMap((t, i) => t.lanes.map(lane => ({ lane, i })));
    const many = D.targets.length > 1;
    const colourOf = ({ lane, i }) => lane.kind === "fault" ? css("--band") : lane.kind === "effect" ? css("--bad") : colour(i);
    const width = document.getElementById("lanes").clientWidth - 64, beside = [];
    const bars = rows.flatMap((row, y) => row.lane.bars.map((b, n, all) => {
      const from = n ? all[n - 1].end : 0, until = n + 1 < all.length ? all[n + 1].start : lastOf;
      const text = escape((many ? D.targets[row.i].name + ": " : "") + b.text), needs = text.length * 6.6 / width;
      const isLong = (b.end - b.start) / lastOf > needs, fits = (until - b.end) / lastOf > needs;
      // A bar's own text is inside it or to its right; where neither has room, to its left.
      if (!isLong && !fits && (b.start - from) / lastOf > needs) beside.push({ x: b.start, y, xref: "x", yref: "y", xanchor: "right", text, showarrow: false, font: { size: 12, color: css("--ink") } });
      return {
        type: "bar", orientation: "h", y: [y], base: [b.start], x: [b.end - b.start], width: 0.72, name: text,
        marker: { color: colourOf(row), opacity: row.lane.kind === "leader" ? 0.35 : 0.75 },
        text: [isLong || fits ? text : ""], textposition: isLong ? "inside" : "outside", insidetextanchor: "start", cliponaxis: true,
        textfont: { size: 12, color: css("--ink") }, outsidetextfont: { size: 12, color: css("--ink") }, constraintext: "none",
        hovertemplate: text + "<br>" + b.start.toFixed(2) + " s to " + b.end.toFixed(2) + " s<extra></extra>",
      };
    }));
    document.getElementById("lanes").style.height = (90 + 26 * Math.max(1, rows.length)) + "px";
    const layout = timeline({ range: [rows.length - 0.4, -0.6], showticklabels: false, showgrid: false, zeroline: false }, { layout: { barmode: "overlay", hovermode: "closest" } });
    layout.annotations = layout.annotations.concat(beside);
    return [bars, layout];
  }

  function inTime() {
    const lines = each((t, i) => {
      const marks = { x: t.marks.map(m => m.at), y: t.marks.map(() => 4 + 7 * i), text: t.marks.map(m => escape(m.text)), name: escape(t.name), mode: "markers", marker: { symbol: "triangle-up", size: 9, color: colour(i), line: { width: 1, color: css("--bg") } }, hovertemplate: "%{text}<extra>%{fullData.name}</extra>" };
      return [{ ...lineOf(t, i, percent(t.in_time), { width: under(i) }), hovertemplate: "%{y:.1f} %" }, marks];
    });
    return [lines, timeline({ range: [-2, 104], tickvals: [0, 25, 50, 75, 100], ticktext: ["0 %", "25 %", "50 %", "75 %", "100 %"] }, { shapes: [limit(D.hypothesis * 100)] })];
  }

  function rate() {
    const most = D.targets.map(t => t.offered).reduce((a, b) => b.length > a.length ? b : a);
    const area = dotted({ x: middle(most), y: most, name: "asked", mode: "lines", fill: "tozeroy", line: { width: 0, color: css("--soft") }, fillcolor: "rgba(128,136,148,.18)", hovertemplate: "%{y}/s" });
    const asked = D.is_asked_once ? [area] : each((t, i) => [{ ...lineOf(t, i, t.offered, { width: 1, dash: "dash" }), name: escape(t.name) + " asked", hovertemplate: "%{y}/s" }]);
    return [asked.concat(each((t, i) => [{ ...lineOf(t, i, t.answered), hovertemplate: "%{y}/s" }])), timeline({ rangemode: "tozero", ticksuffix: "/s" })];
  }

  function errors() {
    const lines = each((t, i) => [{ ...lineOf(t, i, t.wrong, { width: under(i) }), hovertemplate: "%{y}/s" }]);
    return [lines, timeline({ rangemode: "tozero", ticksuffix: "/s" })];
  }

  function heat() {
    const h = D.targets[target.heat].heat;
    if (!h.rows.length) return [[], timeline({})];
    const x = Array.from({ length: h.rows[0].length + 1 }, (_, i) => i * h.step);
    const most = Math.max(...h.rows.flat());
    const seen = n => n > 0 ? Math.log10(1 + n) : null;
    const counts = [1, 10, 100, 1000, 10000, 100000].filter(n => n <= most);
    const cells = {
      type: "heatmap", x, y: h.edges_ms, z: h.rows.map(row => row.map(seen)), customdata: h.rows, zmin: 0, zmax: seen(most) || 1,
      name: "answers", hoverongaps: false,
      // From what is seen at all to the target's colour at its strongest.
      colorscale: [[0, css("--heat")], [1, colour(target.heat)]],
      colorbar: { orientation: "h", x: 0, xanchor: "left", xpad: 0, y: -0.16, yanchor: "top", len: 0.4, thickness: 8, outlinewidth: 0, tickvals: counts.map(seen), ticktext: counts.map(n => n + "/s"), tickfont: { color: css("--soft"), size: 11 } },
      hovertemplate: "%{customdata}/s took about %{y:.3~s} ms<extra></extra>",
    };
    return [[cells], timeline({ type: "log", ...logTicks }, { shapes: [limit(D.in_time_ms)], layout: { hovermode: "closest" } })];
  }

  // Of one target, since each node has a line: roles by colour, the nodes of a role by dashes.
  function nodeCpu() {
    const t = D.targets[target["node-cpu"]];
    const names = Object.keys(t.node_cpu), role = name => name.replace(/-\d+$/, "");
    const roles = [...new Set(names.map(role))];
    const lines = names.map(name => {
      const same = names.filter(other => role(other) === role(name));
      const dash = dashes[same.indexOf(name) % dashes.length];
      return dotted({ x: middle(t.node_cpu[name]), y: percent(t.node_cpu[name]), name: escape(name), mode: "lines", line: { color: colour(roles.indexOf(role(name))), width: 1.5, dash }, hovertemplate: "%{y:.0f} %" });
    });
    return [lines, timeline({ rangemode: "tozero", ticksuffix: " %" }, { shapes: [limit(100)], layout: legend() })];
  }

  const named = (key, scale, more) => each((t, i) => Object.entries(t[key]).map(([name, values], n) => ({
    ...lineOf(t, i, scale(values), { dash: dashes[n % dashes.length] }), name: escape(D.targets.length > 1 ? t.name + " " + name : name), ...more,
  })));

  function hits() {
    return [named("hits", percent, { hovertemplate: "%{y:.1f} %" }), timeline({ range: [-2, 104], ticksuffix: " %" }, { layout: legend() })];
  }

  function lag() {
    return [named("lag", v => v, { hovertemplate: "%{y} entries" }), timeline({ rangemode: "tozero" }, { layout: legend() })];
  }

  function latency() {
    const lines = each((t, i) => [
      { ...lineOf(t, i, t.p99_ms), name: escape(t.name) + " p99", hovertemplate: "%{y:.3~s} ms" },
      { ...lineOf(t, i, t.max_ms, { width: 1 }), opacity: 0.4, name: escape(t.name) + " slowest", hovertemplate: "%{y:.3~s} ms" },
      { ...lineOf(t, i, t.p50_ms, { width: 1.5, dash: "dot" }), name: escape(t.name) + " p50", hovertemplate: "%{y:.3~s} ms" },
    ]);
    return [lines, timeline({ type: "log", ...logTicks }, { shapes: [limit(D.in_time_ms)] })];
  }

  function cpu() {
    return [named("cpu", percent, { hovertemplate: "%{y:.0f} %" }), timeline({ rangemode: "tozero", ticksuffix: " %" }, { shapes: [limit(100)], layout: legend() })];
  }

  function nodes() {
    const lines = each((t, i) => [dotted({ x: t.nodes_up.map((_, i) => i * D.step), y: t.nodes_up, name: escape(t.name), mode: "lines", line: { color: colour(i), width: under(i), shape: "hv" }, hovertemplate: "%{y} of " + t.nodes_total })]);
    const most = Math.max(1, ...D.targets.map(t => t.nodes_total));
    return [lines, timeline({ range: [0, most * 1.08], dtick: Math.max(1, Math.ceil(most / 6)) })];
  }

  function percentiles() {
    const p = D.percentiles[chosen];
    if (!p) return null;
    const style = c => ({ dash: c.is_response ? "solid" : "dash" });
    // Drawn first, so that what is known lies on it.
    const unsure = p.curves.map(c => ({ x: c.beyond_x, y: c.beyond_ms, name: escape(D.targets[c.target].name) + (c.is_response ? " response" : " service") + ", too few samples", mode: "lines", showlegend: false, line: { color: css("--unsure"), width: c.is_response ? 2.5 : 1.5, ...style(c) }, hovertemplate: "%{y:.3~s} ms, too few samples" }));
    const lines = unsure.concat(p.curves.map(c => ({ x: c.x, y: c.ms, name: escape(D.targets[c.target].name) + (c.is_response ? " response" : " service"), mode: "lines", line: { color: colour(c.target), width: c.is_response ? 2.5 : 1.5, ...style(c) }, hovertemplate: "%{y:.3~s} ms" })));
    const most = Math.max(10, ...p.curves.flatMap(c => c.x.concat(c.beyond_x)));
    const ticks = [1, 2, 10, 100, 1000, 10000, 100000, 1000000];
    return [lines, shell({
      showlegend: true, legend: { orientation: "h", y: -0.08, font: { size: 12, color: css("--soft") } },
      xaxis: { type: "log", range: [0, Math.log10(most) + 0.03], tickvals: ticks, ticktext: ["0", "50 %", "90 %", "99 %", "99.9 %", "99.99 %", "99.999 %", "99.9999 %"], fixedrange: false, hoverformat: ".4~g" },
      yaxis: { rangemode: "tozero", ticksuffix: " ms", fixedrange: false },
      margin: { l: 64, r: 8, t: 32, b: 28 },
      shapes: [limit(D.in_time_ms)].filter(() => Math.max(0, ...p.curves.flatMap(c => c.ms.concat(c.beyond_ms))) > D.in_time_ms * 0.5),
    })];
  }

  function choices() {
    buttons(document.getElementById("phases"), D.percentiles.map(p => p.phase), chosen, i => { chosen = i; choices(); draw("percentiles"); });
    const gone = (D.percentiles[chosen] || { overloaded: [] }).overloaded;
    document.getElementById("overloaded").textContent = gone.length
      ? gone.join(", ") + ": overloaded in this phase. Percentiles would only tell how long the phase was, so none are drawn."
      : "";
    document.querySelectorAll(".choices[data-for]").forEach(box => {
      const id = box.dataset.for;
      if (D.targets.length < 2) { box.remove(); return; }
      buttons(box, D.targets.map(t => t.name), target[id], i => { target[id] = i; choices(); draw(id); });
    });
  }

  function numbers(id) {
    if (id === "lanes") return { head: ["what", "from, s", "to, s"], rows: each(t => t.lanes.flatMap(l => l.bars.map(b => [(D.targets.length > 1 ? t.name + ": " : "") + b.text, b.start, b.end]))) };
    if (id === "heat") {
      const h = D.targets[target.heat].heat;
      return { head: ["from, ms"].concat((h.rows[0] || []).map((_, i) => i * h.step + " s")), rows: h.rows.map((row, i) => [h.edges_ms[i], ...row]).reverse() };
    }
    const drawn = charts[id]();
    const traces = (drawn ? drawn[0] : []).filter(t => (t.mode || "").startsWith("lines") && t.x.length && t.showlegend !== false);
    const head = [id === "percentiles" ? "percentile" : "second", ...traces.map(t => plain(t.name))];
    const at = traces.map(t => new Map(t.x.map((x, i) => [x, t.y[i]])));
    const all = [...new Set(traces.flatMap(t => t.x))].sort((a, b) => a - b);
    const kept = id === "percentiles" ? all.filter((_, i) => i % 4 === 0) : all;
    const name = x => id === "percentiles" ? (100 - 100 / x).toPrecision(x < 100 ? 3 : 6) + " %" : Math.floor(x);
    return { head, rows: kept.map(x => [name(x), ...at.map(m => m.get(x))]) };
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

  ["heat", "cpu", "node-cpu", "hits", "lag"].forEach(id => { const plot = document.getElementById(id); if (plot) plot.style.height = "310px"; });
  return { charts, numbers, choices, link };
}
