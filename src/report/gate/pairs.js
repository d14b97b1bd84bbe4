"use strict";
// A chart for each measure: what changed in each pair, and what all of them together say.
function ownCharts({ D, css, colour, shell, escape }) {
  const charts = Object.fromEntries(D.measures.map(m => [m.id, () => chart(m)]));
  const text = (m, value) => (value > 0 ? "+" : "") + value.toFixed(Math.abs(value) < 1 ? 2 : 1) + " " + m.unit;

  function chart(m) {
    const last = D.last, at = last + 1.4, ink = css("--ink"), soft = css("--soft"), bad = css("--bad");
    const all = m.changes.concat([m.low, m.high, m.margin, 0]).filter(v => v !== null);
    const low = Math.min(...all), high = Math.max(...all), room = Math.max((high - low) * 0.14, 1e-3);
    const range = [low - room, high + room];
    const line = (y, more) => ({ type: "line", xref: "paper", yref: "y", x0: 0, x1: 1, y0: y, y1: y, line: { width: 1, ...more }, layer: "below" });
    const area = (y0, y1, fillcolor, opacity) => ({ type: "rect", xref: "paper", yref: "y", x0: 0, x1: 1, y0, y1, fillcolor, opacity, line: { width: 0 }, layer: "below" });
    const isOdd = n => m.outlier === n;
    const dots = {
      x: m.pairs, y: m.changes, name: "a pair", mode: "markers",
      marker: { size: 9, color: m.pairs.map(n => isOdd(n) ? css("--warn") : colour(0)), symbol: m.pairs.map(n => isOdd(n) ? "diamond" : "circle"), line: { width: 1, color: css("--bg") } },
      text: m.changes.map((v, i) => "pair " + m.pairs[i] + ": " + text(m, v) + (isOdd(m.pairs[i]) ? ", far from the others" : "")), hovertemplate: "%{text}<extra></extra>",
    };
    const estimate = {
      x: [at], y: [m.change], name: "all pairs", mode: "markers", marker: { size: 11, color: ink, symbol: "square" },
      error_y: { type: "data", symmetric: false, array: [m.high - m.change], arrayminus: [m.change - m.low], color: ink, thickness: 2, width: 7 },
      text: [text(m, m.change) + ", 95 % interval " + text(m, m.low) + " to " + text(m, m.high)], hovertemplate: "%{text}<extra></extra>",
    };
    const isUp = m.margin > 0;
    const ticks = m.pairs.filter((_, i) => i % Math.ceil(m.pairs.length / 12) === 0);
    return [[dots, estimate], shell({
      hovermode: "closest", margin: { l: 56, r: 8, t: 12, b: 28 },
      shapes: [
        area(m.margin, isUp ? range[1] : range[0], bad, 0.1), area(m.low, m.high, soft, 0.16),
        line(0, { color: soft }), line(m.margin, { color: bad, dash: "dash" }),
      ],
      annotations: [{ x: 0, xref: "paper", xanchor: "left", y: m.margin, yref: "y", yanchor: isUp ? "bottom" : "top", text: "worse from " + escape(text(m, m.margin)), showarrow: false, font: { size: 12, color: bad } }],
      xaxis: { range: [Math.min(...m.pairs) - 0.7, at + 0.9], tickvals: ticks.concat(at), ticktext: ticks.concat("all"), showgrid: false, zeroline: false },
      yaxis: { range, zeroline: false, ticksuffix: " " + m.unit },
    })];
  }

  function numbers(id) {
    const m = D.measures.find(m => m.id === id);
    const rows = m.pairs.map((n, i) => ["pair " + n, text(m, m.changes[i])]);
    return { head: ["pair", "change"], rows: rows.concat([
      ["all pairs", text(m, m.change)], ["95 % interval, from", text(m, m.low)], ["95 % interval, to", text(m, m.high)], ["worse from", text(m, m.margin)],
    ]) };
  }

  return { charts, numbers };
}
