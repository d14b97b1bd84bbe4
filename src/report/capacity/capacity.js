"use strict";
// Searches for a capacity: each trial at its rate, one search at a time; and sizes beside each other.
function ownCharts({ D, css, colour, shell, escape, legend, logTicks, buttons, draw }) {
  let chosen = 0;
  const of = { knee: "answered_per_s", broken: "broke", p99: "p99_ms" };
  const charts = { knee, broken, p99, scaling };
  const marks = {
    holds: ["holds", "circle", "--good"], fails: ["fails", "x", "--bad"],
    overload: ["overload", "triangle-up", "--warn"], "not-believed": ["not believed", "circle-open", "--unsure"],
  };
  const rate = v => v.toPrecision(4).replace(/\.?0+$/, "") + "/s";

  // One trace for each verdict, so that the legend tells them.
  function trials(s, key, said) {
    return Object.entries(marks).map(([result, [name, symbol, tone]]) => {
      const all = s.trials.filter(t => t.result === result && t[key] !== null);
      return {
        x: all.map(t => t.rate_per_s), y: all.map(t => t[key]), name, mode: "markers", showlegend: all.length > 0,
        marker: { size: 10, symbol, color: css(tone), line: { width: symbol === "circle-open" ? 2 : 1, color: symbol === "circle-open" ? css(tone) : css("--bg") } },
        text: all.map(t => escape(t.name + ", " + rate(t.rate_per_s) + ": " + said(t) + ", " + t.word)), hovertemplate: "%{text}<extra></extra>",
      };
    });
  }

  // The answer with its interval, upright.
  function answer(s) {
    const up = (x0, x1, more) => ({ xref: "x", yref: "paper", x0, x1, y0: 0, y1: 1, layer: "below", ...more });
    const shapes = [];
    if (s.low_per_s !== null && s.high_per_s !== null) shapes.push(up(s.low_per_s, s.high_per_s, { type: "rect", fillcolor: colour(0), opacity: 0.16, line: { width: 0 } }));
    if (s.capacity_per_s !== null) shapes.push(up(s.capacity_per_s, s.capacity_per_s, { type: "line", line: { color: colour(0), width: 2 } }));
    const text = s.capacity_per_s === null ? [] : [{ x: s.capacity_per_s, xref: "x", y: 1, yref: "paper", yanchor: "bottom", text: "<b>" + rate(s.capacity_per_s) + "</b>", showarrow: false, font: { size: 12, color: colour(0) } }];
    return { shapes, annotations: text };
  }

  function layout(s, yaxis, shapes) {
    const most = Math.max(...s.trials.map(t => t.rate_per_s), s.high_per_s || 0) * 1.06, seen = answer(s);
    return shell({
      hovermode: "closest", margin: { l: 56, r: 8, t: 44, b: 28 }, ...legend(), shapes: seen.shapes.concat(shapes), annotations: seen.annotations,
      xaxis: { range: [0, most], ticksuffix: "/s", zeroline: false, fixedrange: false }, yaxis: { zeroline: false, ...yaxis },
    });
  }

  function knee() {
    const s = D.searches[chosen], most = Math.max(1, ...s.trials.map(t => t.rate_per_s));
    const all = { x: [0, most], y: [0, most], name: "all answered", mode: "lines", line: { color: css("--soft"), width: 1, dash: "dash" }, hoverinfo: "skip" };
    const said = t => "answered " + rate(t.answered_per_s) + (t.in_time === null ? "" : ", " + t.in_time + " % in time");
    return [[all].concat(trials(s, of.knee, said)), layout(s, { rangemode: "tozero", ticksuffix: "/s" }, [])];
  }

  // Logarithmic, since what may break it is little; below the edge lies none as well.
  function broken() {
    const s = D.searches[chosen];
    const may = [...new Set(s.trials.map(t => t.allowed).filter(v => v !== null))], edge = Math.min(1, ...may) / 20;
    const lines = may.map(y => ({ type: "line", xref: "paper", yref: "y", x0: 0, x1: 1, y0: y, y1: y, line: { color: css("--soft"), width: 1, dash: "dash" } }));
    const drawn = trials(s, of.broken, t => t.broke + " % break " + t.objective).map(t => ({ ...t, y: t.y.map(v => Math.max(v, edge)) }));
    const ticks = [0.001, 0.01, 0.1, 1, 10, 100].filter(v => v > edge * 1.2);
    return [drawn, layout(s, { type: "log", range: [Math.log10(edge * 0.7), Math.log10(160)], tickvals: [edge].concat(ticks), ticktext: ["less"].concat(ticks.map(v => v + " %")) }, lines)];
  }

  function p99() {
    const s = D.searches[chosen];
    return [trials(s, of.p99, t => "p99 " + t.p99_ms + " ms"), layout(s, { type: "log", ...logTicks }, [])];
  }

  function scaling() {
    const s = D.scaling, down = s.points.map(p => p.low_per_s === null ? 0 : p.rate_per_s - p.low_per_s), up = s.points.map(p => p.high_per_s === null ? 0 : p.high_per_s - p.rate_per_s);
    const line = (c, name, more) => ({ x: c.size, y: c.rate_per_s, name, mode: "lines", line: { width: 2, ...more }, hovertemplate: "%{y:.4~g}/s<extra>%{fullData.name}</extra>" });
    const made = [line(s.linear, "linear", { color: css("--soft"), width: 1, dash: "dash" })];
    if (s.fit) made.push(line(s.fit, escape(s.fit.law), { color: colour(1) }));
    made.push({
      x: s.points.map(p => p.size), y: s.points.map(p => p.rate_per_s), name: "measured", mode: "markers", marker: { size: 10, color: colour(0) },
      error_y: { type: "data", symmetric: false, array: up, arrayminus: down, color: colour(0), thickness: 1.5, width: 5 },
      text: s.points.map(p => escape(p.target + ": " + rate(p.rate_per_s))), hovertemplate: "%{text}<extra></extra>",
    });
    const most = Math.max(...s.linear.size), peak = s.fit && s.fit.peak_size;
    const shapes = peak && peak < most ? [{ type: "line", xref: "x", yref: "paper", x0: peak, x1: peak, y0: 0, y1: 1, line: { color: colour(1), width: 1, dash: "dot" } }] : [];
    return [made, shell({
      hovermode: "closest", margin: { l: 56, r: 8, t: 12, b: 28 }, ...legend(), shapes,
      xaxis: { range: [0, most * 1.03], zeroline: false, tickvals: [...new Set(s.points.map(p => p.size))] }, yaxis: { rangemode: "tozero", ticksuffix: "/s", zeroline: false },
    })];
  }

  function numbers(id) {
    if (id === "scaling") {
      const law = (p, c) => { const i = c ? c.size.indexOf(p.size) : -1; return i < 0 ? null : c.rate_per_s[i]; };
      return { head: ["size", "target", "measured, /s", "from, /s", "to, /s", "linear, /s"].concat(D.scaling.fit ? [D.scaling.fit.law + ", /s"] : []), rows: D.scaling.points.map(p => [p.size, p.target, p.rate_per_s, p.low_per_s, p.high_per_s, law(p, D.scaling.linear)].concat(D.scaling.fit ? [law(p, D.scaling.fit)] : [])) };
    }
    const s = D.searches[chosen];
    const columns = { knee: [["answered, /s", "answered_per_s"], ["in time, %", "in_time"]], broken: [["broke it, %", "broke"], ["may, %", "allowed"], ["objective", "objective"]], p99: [["p99, ms", "p99_ms"]] }[id];
    const rows = s.trials.map(t => [t.name, t.rate_per_s, ...columns.map(([, key]) => t[key]), t.word]);
    return { head: ["trial", "offered, /s", ...columns.map(([name]) => name), "result"], rows: rows.concat([[s.name + ": capacity", s.capacity_per_s], ["95 % interval, from", s.low_per_s], ["95 % interval, to", s.high_per_s]].map(r => r.concat(columns.map(() => ""), ""))) };
  }

  function choices() {
    const box = document.getElementById("searches");
    if (!box) return;
    if (D.searches.length < 2) { box.remove(); return; }
    buttons(box, D.searches.map(s => s.name), chosen, i => { chosen = i; choices(); Object.keys(of).forEach(draw); });
  }

  return { charts, numbers, choices };
}
