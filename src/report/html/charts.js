"use strict";
// What every page with charts has in common. Its own script, before this one, says which charts
// there are: `ownCharts` gives for each what plotly draws, and what of it stands in the table.
(async () => {
  const D = JSON.parse(document.getElementById("data").textContent);
  try {
    await inflate();
  } catch (e) {
    document.documentElement.dataset.charts = "none";
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
  const dashes = ["solid", "dot", "dash", "longdash", "dashdot", "longdashdot"];
  const config = { displaylogo: false, responsive: true, modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"] };

  function shell(extra) {
    const line = css("--line"), soft = css("--soft");
    const axis = { gridcolor: line, linecolor: line, zerolinecolor: line, tickfont: { color: soft, size: 12 }, fixedrange: true, automargin: true, ticks: "" };
    return {
      margin: { l: 56, r: 8, t: 44, b: 28 }, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      font: { family: getComputedStyle(document.body).fontFamily, color: css("--ink"), size: 13 },
      hovermode: "x unified", hoverlabel: { bgcolor: css("--card"), bordercolor: line, font: { color: css("--ink") } },
      showlegend: false, modebar: { bgcolor: "rgba(0,0,0,0)", color: soft, activecolor: css("--ink") },
      ...extra,
      xaxis: { ...axis, ...(extra.xaxis || {}) }, yaxis: { ...axis, ...(extra.yaxis || {}) },
    };
  }

  // Plotly reads a little HTML in texts.
  function escape(text) {
    return String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
  }

  const limit = y => ({ type: "line", xref: "paper", yref: "y", x0: 0, x1: 1, y0: y, y1: y, line: { color: css("--soft"), width: 1, dash: "dash" } });
  const legend = () => ({ showlegend: true, legend: { orientation: "h", y: -0.16, font: { size: 12, color: css("--soft") } } });

  // Times on a logarithmic axis.
  const logTicks = {
    tickvals: [0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000, 3000, 10000, 30000],
    ticktext: ["0.1 ms", "0.3 ms", "1 ms", "3 ms", "10 ms", "30 ms", "100 ms", "300 ms", "1 s", "3 s", "10 s", "30 s"],
  };

  // A row of buttons of which one is pressed.
  function buttons(box, names, pressed, press) {
    const made = names.map((name, i) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = name;
      button.setAttribute("aria-pressed", String(i === pressed));
      button.onclick = () => { press(i); box.children[i].focus(); };
      return button;
    });
    box.replaceChildren(...made);
  }

  // What is drawn, as a table: for whoever does not see it, and for whoever wants the figures.
  const tidy = v => v === null || v === undefined ? "–" : typeof v === "number" ? String(Number(v.toPrecision(4))) : v;
  const plain = text => { const box = document.createElement("textarea"); box.innerHTML = text; return box.value; };

  function fill(details) {
    const { head, rows } = own.numbers(details.dataset.of);
    const cell = (tag, text, scope) => { const c = document.createElement(tag); c.textContent = tidy(text); if (scope) c.scope = scope; return c; };
    const line = cells => { const tr = document.createElement("tr"); tr.append(...cells); return tr; };
    const table = document.createElement("table"), box = details.querySelector("div");
    const caption = document.createElement("caption");
    caption.textContent = document.getElementById(details.dataset.of + "-title").textContent;
    table.className = "dense";
    table.append(caption, table.createTHead(), table.createTBody());
    table.tHead.append(line(head.map(h => cell("th", h, "col"))));
    table.tBodies[0].append(...rows.map(r => line(r.map((v, i) => i ? cell("td", v) : cell("th", v, "row")))));
    box.className = "scroll";
    box.tabIndex = 0;
    box.setAttribute("role", "region");
    box.setAttribute("aria-label", "The numbers of: " + caption.textContent);
    box.replaceChildren(table);
  }

  // Open tables follow what is drawn.
  function refill(id) {
    document.querySelectorAll("details.numbers[open]").forEach(d => { if (d.dataset.of === id) fill(d); });
  }

  function draw(id) {
    const made = document.getElementById(id) && own.charts[id]();
    if (!made) return;
    refill(id);
    return Plotly.react(id, made[0], made[1], config);
  }

  function drawAll() {
    const all = Object.keys(own.charts).map(draw);
    if (own.choices) own.choices();
    return Promise.all(all);
  }

  // What is on the screen first; between two charts the page answers whoever uses it.
  async function drawInTurn() {
    const top = id => document.getElementById(id).getBoundingClientRect().top;
    const ids = Object.keys(own.charts).filter(id => document.getElementById(id)).sort((a, b) => top(a) - top(b));
    if (own.choices) own.choices();
    for (const id of ids) {
      if (top(id) > innerHeight) seen();
      await draw(id);
      await new Promise(go => setTimeout(go));
    }
    seen();
  }

  function seen() {
    if (!performance.getEntriesByName("first-screen").length) performance.mark("first-screen");
  }

  const own = ownCharts({ D, css, colour, dashes, shell, escape, plain, limit, legend, logTicks, buttons, draw });
  document.querySelectorAll("details.numbers").forEach(d => d.addEventListener("toggle", () => { if (d.open) fill(d); }));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
  addEventListener("beforeprint", drawAll);
  addEventListener("afterprint", drawAll);
  await drawInTurn();
  if (own.link) own.link();
  document.documentElement.dataset.charts = "drawn";
})();
