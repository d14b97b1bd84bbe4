"use strict";
// A run that goes on: asks once a second how it stands, and draws that.
function ownCharts({ D, css, colour, shell, limit, logTicks, draw }) {
  const charts = { rate, "in-time": inTime, latency };
  const by = id => document.getElementById(id);
  const say = (id, text) => { if (by(id).textContent !== text) by(id).textContent = text; };
  const count = n => Math.round(n).toLocaleString("en");
  const column = key => D.points.map(p => p[key]);

  function timeline(yaxis, more) {
    const last = D.points.length ? D.points[D.points.length - 1].at_s : 1;
    const first = D.points.length ? D.points[0].at_s : 0;
    const shapes = D.bands.map(b => ({ type: "rect", xref: "x", yref: "paper", x0: b.from_s, x1: b.to_s === null ? last : b.to_s, y0: 0, y1: 1, fillcolor: css("--band"), opacity: 0.15, line: { width: 0 }, layer: "below" }));
    return shell({ shapes: shapes.concat(more || []), yaxis, xaxis: { range: [first, Math.max(first + 10, last)], ticksuffix: " s" } });
  }

  const line = (key, name, hovertemplate, style) => ({ x: column("at_s"), y: column(key), name, mode: "lines", line: { color: colour(0), width: 2, ...style }, hovertemplate });

  function rate() {
    const asked = { ...line("asked_per_s", "asked", "%{y}/s"), fill: "tozeroy", line: { width: 0, color: css("--soft") }, fillcolor: "rgba(128,136,148,.18)" };
    return [[asked, line("answered_per_s", "answered", "%{y}/s")], timeline({ rangemode: "tozero", ticksuffix: "/s" })];
  }

  function inTime() {
    const share = line("in_time", "in time", "%{y:.1f} %");
    share.y = share.y.map(v => v === null ? null : v * 100);
    return [[share], timeline({ range: [-2, 104], ticksuffix: " %" })];
  }

  function latency() {
    return [[
      line("p99_ms", "p99", "%{y:.3~s} ms"),
      { ...line("max_ms", "slowest", "%{y:.3~s} ms", { width: 1 }), opacity: 0.6 },
      line("p50_ms", "p50", "%{y:.3~s} ms", { width: 1.5, dash: "dot" }),
    ], timeline({ type: "log", ...logTicks })];
  }

  function numbers(id) {
    const traces = charts[id]()[0];
    return { head: ["second", ...traces.map(t => t.name)], rows: D.points.map((p, i) => [Math.floor(p.at_s), ...traces.map(t => t.y[i])]) };
  }

  const ms = v => v === null || v === undefined ? "–" : v >= 1000 ? (v / 1000).toPrecision(3) + " s" : v.toPrecision(3) + " ms";
  const made = (tag, text, name) => { const e = document.createElement(tag); e.textContent = text; if (name) e.className = name; return e; };

  function show() {
    const run = D.run, last = D.points[D.points.length - 1] || {};
    say("study", D.study || "");
    if (!run && D.notes.length) { say("state", "STARTING"); say("left", ""); }
    if (run) {
      document.title = run.target + " – brunt";
      document.querySelector("h1").textContent = run.profile ? run.target + " under " + run.profile : run.target;
      say("state", run.phase === "drain" ? "ENDING" : "RUNNING");
      say("phases", run.phases.map((name, i) => i === run.phase_index ? "[" + name + "]" : name).join(" → "));
      const done = Math.min(100, 100 * run.done);
      by("progress").setAttribute("aria-valuenow", done.toFixed(0));
      by("progress").firstElementChild.style.width = done + "%";
      say("left", run.left);
      say("answered", count(run.answered_per_s) + " of " + count(run.asked_per_s) + "/s");
      say("share", run.in_time === null ? "–" : (Math.floor(run.in_time * 1000) / 10).toFixed(1) + " %");
      say("in-flight", count(run.in_flight));
      say("not-ok", count(run.not_ok));
      by("node-rows").replaceChildren(...run.nodes.map(node => {
        const row = document.createElement("tr"), name = made("th", node.name);
        name.scope = "row";
        const state = made("td", node.is_up ? (node.leads ? "up, leader" : "up") : "DOWN", node.is_up ? "" : "bad");
        row.append(name, state, made("td", node.cpu_share === null ? "–" : Math.round(node.cpu_share * 100) + " %"));
        return row;
      }));
      const standing = run.faults.map(text => "in force: " + text).concat(run.thresholds);
      by("standing").replaceChildren(...standing.map(text => made("li", text)));
      const lost = run.thresholds.some(text => text.includes(" LOST"));
      by("verdict").dataset.verdict = lost ? "fail" : run.faults.length || run.thresholds.some(text => text.includes(" MISSED")) ? "inconclusive" : "pass";
    }
    say("p50", ms(last.p50_ms));
    say("slowest", ms(last.max_ms));
    const notes = D.notes.map(n => {
      const item = document.createElement("li");
      if (n.at_s !== null) item.append(made("span", n.at_s.toFixed(1) + " s", "at"), " ");
      item.append(n.text);
      return item;
    });
    by("notes").replaceChildren(...notes.reverse());
    Object.keys(charts).forEach(draw);
  }

  async function ask() {
    try {
      const answer = await fetch("live.json", { cache: "no-store" });
      Object.assign(D, await answer.json());
      show();
      setTimeout(ask, 1000);
    } catch (e) {
      say("state", "ENDED");
      say("left", "brunt has ended, or cannot be reached; what is below is the last that it told.");
      setTimeout(ask, 5000);
    }
  }

  return { charts, numbers, link: ask };
}
